"""Slow start: a node that has recovered gets its share of requests little by little."""

from __future__ import annotations

from collections.abc import Sequence

from fedsim.federation.config import SlowStartConfig
from fedsim.federation.contracts import NodeId
from fedsim.federation.runtime import Clock, Random

_LEAST_AGE_S = 0.001


class SlowStart:
    """Keeps which nodes are in slow start, and offers them for a share of requests only.

    The share is max(least, (t / window) ** (1 / aggression)), where t is the time since the node
    recovered, 1 ms at least; a node is offered with this probability, drawn anew for each
    decision, and always where no other is left. With the defaults a node is offered for a tenth of
    the decisions until 3 s, for half of them at 15 s, and for all from 30 s on.

    Source: Envoy's slow start, where the share is a factor of the node's weight. There a node of
    two equal ones gets f / (1 + f) of the requests, here f / 2 of a strategy that takes turns.

    Attributes:
        since_s: Clock time in seconds at which each node in slow start recovered.
    """

    def __init__(self, clock: Clock, rng: Random, config: SlowStartConfig | None = None) -> None:
        self._clock = clock
        self._rng = rng
        self._config = config or SlowStartConfig()
        self.since_s: dict[NodeId, float] = {}

    def recovered(self, node_id: NodeId) -> None:
        """Begin a node's slow start now."""
        self.since_s[node_id] = self._clock.now()

    def lost(self, node_id: NodeId) -> None:
        """End a node's slow start: it may not serve any more."""
        self.since_s.pop(node_id, None)

    def offered(self, positions: Sequence[int], node_ids: Sequence[NodeId]) -> tuple[int, ...]:
        """Return those of *positions* that are offered for one decision; all where none would be.

        Args:
            positions: Positions of the eligible nodes.
            node_ids: All nodes by position.
        """
        since_s = self.since_s
        kept = []
        for position in positions:
            node_id = node_ids[position]
            if node_id not in since_s or self._is_offered(node_id):
                kept.append(position)
        return tuple(kept or positions)

    def _is_offered(self, node_id: NodeId) -> bool:
        age_s = self._clock.now() - self.since_s[node_id]
        if age_s >= self._config.window_s:
            del self.since_s[node_id]
            return True
        return self._rng.random() < slow_start_share(self._config, age_s)


def slow_start_share(config: SlowStartConfig, age_s: float) -> float:
    """Return the share of its requests that a node gets *age_s* seconds after it recovered."""
    if age_s >= config.window_s:
        return 1.0
    progress = max(_LEAST_AGE_S, age_s) / config.window_s
    share: float = progress ** (1.0 / config.aggression)
    return max(config.least, share)
