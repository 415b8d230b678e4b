"""Strategies that go by the queues of nodes, as reported or as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import InferenceRequest, NodeId, RouteTarget
from fedsim.federation.fleet import Fleet
from fedsim.federation.runtime import Insight
from fedsim.federation.strategies.base import Candidates
from fedsim.federation.strategies.choices import any_of


@dataclass(frozen=True, slots=True)
class JoinShortestQueueSettings:
    """What is taken for the length of a queue.

    Attributes:
        depth: Requests running and waiting as the last probe reported them, or as they actually
            are at this moment, which only a simulator can know.
    """

    depth: Literal["reported", "actual"] = "reported"


class JoinShortestQueue:
    """The node with the fewest requests running and waiting, from all gateways.

    Rule: the least depth; equal nodes take turns. ``depth: reported`` goes by the last probe,
    ``depth: actual`` by the truth. A node that never reported counts with this gateway's own
    requests in flight. Cost: O(n), 0.05 us a node. Example: depths a 3, b 1, c 1 give b, then c.
    Failure: with reported depths all gateways send everything to the node that looked best at its
    last probe, until its next one. On 16 nodes at 90 % load this herd is worse than
    ``power_of_two`` with more than 0.6 service times between two probes, and worse than ``random``
    with more than 4. Source: join the shortest queue; W. Winston, 1977, shows it the best for
    equal servers, memoryless services and true depths; M. Mitzenmacher, How Useful Is Old
    Information?, 2000, what age does.
    """

    def __init__(
        self, context: GatewayContext, settings: JoinShortestQueueSettings | None = None
    ) -> None:
        self._insight: Insight | None = None
        if (settings or JoinShortestQueueSettings()).depth == "actual":
            self._insight = _insight(context, "join_shortest_queue with depth actual")

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the next of the nodes with the shortest queue."""
        positions = candidates.positions
        if self._insight is not None:
            depths = [self._insight.depth(fleet.node_ids[node]) for node in positions]
        else:
            depths = [_reported(fleet, node) for node in positions]
        return candidates.take_turn(depths, min(depths))


class JoinIdleQueue:
    """A node that has said it is idle; a random one where none has.

    Rule: a node that becomes idle reports to one gateway, drawn at random; the gateway sends its
    next request to the node that has waited longest on its list, and strikes it off when it does.
    With no node on the list it draws one. Cost: O(1), 0.5 us, and no message on the way of a
    request. Example: a and b report in this order; the next three requests go to a, to b, and
    anywhere. Failure: a node that fails fast is idle at once and says so again, and attracts
    requests until it is excluded. Its report may be old: another gateway may have drawn the node
    since. Source: Y. Lu et al., Join-Idle-Queue, 2011.
    """

    def __init__(self, context: GatewayContext) -> None:
        self._rng = context.rng
        self._idle: dict[NodeId, None] = {}
        _insight(context, "join_idle_queue").on_idle(self._note_idle)

    def _note_idle(self, node_id: NodeId) -> None:
        self._idle.pop(node_id, None)
        self._idle[node_id] = None

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the node that has been idle longest, as far as this gateway knows."""
        for node_id in self._idle:
            position = fleet.positions.get(node_id, -1)
            if position in candidates:
                return position
        return any_of(candidates.positions, self._rng)

    def on_start(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Strike off the node that a request is sent to."""
        self._idle.pop(target.node_id, None)


def _reported(fleet: Fleet, position: int) -> int:
    record = fleet.records[position]
    if record is None or record.running is None:
        return fleet.in_flight[position]
    return record.running + record.queue_depth


def _insight(context: GatewayContext, who: str) -> Insight:
    if context.insight is None:
        msg = f"{who} needs notifications from nodes, which only a simulator offers"
        raise ValueError(msg)
    return context.insight
