"""A node's health endpoint: what it answers to probes, truly, falsely or late."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from fedsim.federation.contracts import (
    FederationError,
    HealthState,
    Internal,
    NodeHealth,
    NodeUnreachable,
)
from fedsim.world.faults.config import EndpointConfig

if TYPE_CHECKING:
    from fedsim.world.nodes.base import Node

SAMPLE_S = 1.0
"""How often an endpoint that will lag takes down what it would say, in seconds."""

Answer = NodeHealth | FederationError | None
"""Telemetry, an error, or None for silence."""


class HealthEndpoint:
    """Answers probes for a node.

    Of several lies at once, ill comes before well, and the longest lag counts.

    Args:
        node: The node.
    """

    __slots__ = ("_lies", "_node", "_past", "_recorded_s")

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lies: dict[object, EndpointConfig] = {}
        self._past: deque[tuple[float, Answer]] = deque()
        self._recorded_s = 0.0

    def answer(self) -> Answer:
        """Return what it answers to a probe that arrives now."""
        return self._falsely() if self._lies else self._truth()

    def set_lie(self, cause: object, lie: EndpointConfig | None) -> None:
        """Lie from now on; None ends it."""
        if lie is None:
            del self._lies[cause]
        else:
            self._lies[cause] = lie

    def record(self, lag_s: float) -> None:
        """Take down from now on what it would say, so that it can say it *lag_s* seconds later."""
        if self._recorded_s == 0.0:
            self._node.env.process(self._sample())
        self._recorded_s = max(self._recorded_s, lag_s)

    def _truth(self) -> Answer:
        node = self._node
        if node.silent:
            return None
        return self._telemetry() if node.up else NodeUnreachable(node.node_id)

    def _falsely(self) -> Answer:
        lies = self._lies.values()
        says = {lie.says for lie in lies}
        if "ill" in says:
            return Internal(f"the health endpoint of node {self._node.name} says that it is ill")
        lag_s = max(lie.lag_s for lie in lies)
        answer = self._before(lag_s) if lag_s > 0.0 else self._truth()
        if "well" in says and not isinstance(answer, NodeHealth):
            return self._telemetry()
        return answer

    def _before(self, lag_s: float) -> Answer:
        """Return the newest sample that is *lag_s* seconds old, or the first one."""
        until_s = self._node.env.now - lag_s
        found = self._past[0][1]
        for time_s, answer in self._past:
            if time_s > until_s:
                break
            found = answer
        return found

    def _sample(self) -> Generator[Any, Any, None]:
        env, past = self._node.env, self._past
        while True:
            past.append((env.now, self._truth()))
            while len(past) > 1 and past[1][0] <= env.now - self._recorded_s - SAMPLE_S:
                past.popleft()
            yield env.timeout(SAMPLE_S)

    def _telemetry(self) -> NodeHealth:
        """Return what the node says of itself now."""
        node = self._node
        return NodeHealth(
            node.node_id,
            HealthState.HEALTHY,
            0.0,
            0.0,
            node.throughput(),
            node.gpu_utilization(),
            node.queued,
            node.env.now,
            node.running,
            node.kv_usage(),
        )
