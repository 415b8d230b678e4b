"""Probes that get lost on their way."""

from __future__ import annotations

from collections.abc import Callable

from fedsim.federation.contracts import NodeHealth, NodeId, NodeUnreachable
from fedsim.federation.runtime import Clock, Prober, Random
from fedsim.kernel.streams import keyed_uniform

_LOSS = 1


class LossyProbes:
    """Asks nodes for their telemetry, and sometimes gets no answer, whatever the node does.

    Whether a probe is lost depends on the gateway, the node and the probe's number alone.

    Args:
        probes: Carries the probes that are not lost.
        clock: Time.
        random_for: Gives the gateway's randomness by purpose.
        loss: Share of the probes that are lost, 0 to 1.
        wait_s: How long a lost probe is without an answer at least, in seconds; the deadline of
            probes comes earlier.
    """

    def __init__(
        self,
        probes: Prober,
        clock: Clock,
        random_for: Callable[[str], Random],
        loss: float,
        wait_s: float,
    ) -> None:
        self._probes = probes
        self._clock = clock
        self._random_for = random_for
        self._loss = loss
        self._wait_s = wait_s
        self._keys: dict[NodeId, int] = {}
        self._sent: dict[NodeId, int] = {}

    async def probe(self, node_id: NodeId) -> NodeHealth:
        """Ask a node for its telemetry; raises ``NodeUnreachable`` where no answer comes."""
        number = self._sent[node_id] = self._sent.get(node_id, 0) + 1
        if keyed_uniform(self._key(node_id), _LOSS, number) < self._loss:
            await self._clock.sleep(self._wait_s)
            raise NodeUnreachable(node_id)
        return await self._probes.probe(node_id)

    def _key(self, node_id: NodeId) -> int:
        key = self._keys.get(node_id)
        if key is None:
            rng = self._random_for(f"probe loss/{node_id}")
            key = self._keys[node_id] = int(rng.random() * 2.0**53) << 11
        return key
