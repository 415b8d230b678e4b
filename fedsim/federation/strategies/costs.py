"""A strategy that goes by the price of nodes."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import InferenceRequest
from fedsim.federation.fleet import Fleet
from fedsim.federation.strategies.base import Candidates
from fedsim.federation.strategies.sets import Sets, least_in_flight


@dataclass(frozen=True, slots=True)
class CostCappedSettings:
    """Which nodes count as cheap, and when one has enough.

    Attributes:
        within: How much dearer than the cheapest a node may be and still count as cheap; 0.1 is
            ten percent.
        cap_usd_per_hour: Price up to which a node counts as cheap in any case; 0 for none.
        max_in_flight: Requests in flight from this gateway from which on a node is overloaded.
        max_queue: Requests waiting at its last probe from which on a node is overloaded.
    """

    within: float = 0.1
    cap_usd_per_hour: float = 0.0
    max_in_flight: int = 8
    max_queue: int = 4

    def __post_init__(self) -> None:
        for name in ("within", "cap_usd_per_hour"):
            if getattr(self, name) < 0.0:
                msg = f"{name} cannot be negative: use 0 or more"
                raise ValueError(msg)
        for name in ("max_in_flight", "max_queue"):
            if getattr(self, name) < 1:
                msg = f"{name} counts requests: use 1 or more"
                raise ValueError(msg)


class CostCapped:
    """The cheapest nodes that are not overloaded; dearer ones when all cheap ones are.

    Rule: a node is overloaded with max_in_flight requests in flight from this gateway, or max_queue
    waiting at its last probe. Of the others, the cheapest sets the mark: all whose price is within
    *within* of it, or at most cap_usd_per_hour, share the requests by the fewest in flight, in
    turn. When all are overloaded, prices do not matter. A node without a price is the dearest.
    Cost: O(n), about 0.15 us a node. Example: at 2.0, 2.1 and 6.9 USD/h the first two are chosen
    from (2.0 x 1.1 = 2.2), the third once both have eight requests in flight. Failure: cheap nodes
    are kept at the edge of overload, so that their loss is felt at once; a cheap node that fails
    fast is never overloaded. The price is that of an hour and not of a token. Source: of our own;
    LiteLLM's cost-based routing takes the cheapest, however busy it is.
    """

    def __init__(self, context: GatewayContext, settings: CostCappedSettings) -> None:
        self._settings = settings
        self._sets = Sets(context.rng)
        self._version = -1
        self._prices: list[float] = []

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the least loaded of the cheap nodes."""
        if self._version != fleet.version:
            self._version = fleet.version
            self._prices = [
                inf if deployment.cost_usd_per_hour is None else deployment.cost_usd_per_hour
                for deployment in fleet.deployments
            ]
        settings, prices = self._settings, self._prices
        in_flight, records = fleet.in_flight, fleet.records
        free = [
            position
            for position in candidates.positions
            if in_flight[position] < settings.max_in_flight
            and ((record := records[position]) is None or record.queue_depth < settings.max_queue)
        ]
        if not free:
            return least_in_flight(fleet, candidates)
        cheapest = min([prices[position] for position in free])
        mark = max(cheapest * (1.0 + settings.within), settings.cap_usd_per_hour)
        cheap = [position for position in free if prices[position] <= mark]
        return least_in_flight(fleet, self._sets.of(cheap))
