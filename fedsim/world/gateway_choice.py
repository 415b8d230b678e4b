"""Which gateway of its region a request goes to: what clients, or a load balancer before it, do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Literal, TypeVar

from fedsim.kernel.streams import GATEWAY, Streams, keyed_uniform

GatewayChoiceName = Literal["random", "tenant", "turn"]
"""How a request's gateway is found; see `GatewayChoice`."""

T = TypeVar("T")


class GatewayChoice(Generic[T]):
    """Finds the gateway of each request, among those of the region that it comes from.

    - ``random``: any, drawn for each request from its key, so that it is the same whatever the
      federation decides.
    - ``tenant``: always the same for one tenant, as with a connection that is kept; the tenant's
      place is drawn by name. A request without a tenant goes to any.
    - ``turn``: strictly one after the other, from one that is drawn. Gateways that take turns
      themselves then march in step more than they do behind clients who choose by chance.

    Args:
        choice: Which of these.
        gateways: The gateways of each region, by its code.
        streams: The random streams of the run.
    """

    def __init__(
        self, choice: GatewayChoiceName, gateways: Sequence[Sequence[T]], streams: Streams
    ) -> None:
        self._gateways = gateways
        self._streams = streams
        self._by_tenant = choice == "tenant"
        self._places: dict[str, float] = {}
        self._turns: list[int] | None = None
        if choice == "turn":
            rng = streams.python_random("world/gateway_choice")
            self._turns = [int(rng.random() * len(there)) for there in gateways]

    def of(self, region: int, key: int, tenant_id: str | None) -> T:
        """Return the gateway of a request.

        Args:
            region: Code of the region that it comes from, which has a gateway.
            key: Its key.
            tenant_id: Its tenant, or None.
        """
        gateways = self._gateways[region]
        if len(gateways) == 1:
            return gateways[0]
        if self._turns is not None:
            turn = self._turns[region]
            self._turns[region] = (turn + 1) % len(gateways)
            return gateways[turn]
        if self._by_tenant and tenant_id is not None:
            place = self._place(tenant_id)
        else:
            place = keyed_uniform(key, GATEWAY, 0)
        return gateways[int(place * len(gateways))]

    def _place(self, tenant_id: str) -> float:
        place = self._places.get(tenant_id)
        if place is None:
            rng = self._streams.python_random(f"world/gateway_choice/{tenant_id}")
            place = self._places[tenant_id] = rng.random()
        return place
