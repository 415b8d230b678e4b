"""A node's health endpoint: what it answers to probes, truly, falsely or late."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from fedsim.federation.contracts import (
    FederationError,
    Internal,
    NodeHealth,
)

if TYPE_CHECKING:
    from fedsim.kernel.environment import Environment

SAMPLE_S = 1.0
"""How often an endpoint that will lag records what it would say, in seconds."""

Answer = NodeHealth | FederationError | None
"""Telemetry, an error, or None for silence."""


@dataclass(frozen=True, slots=True)
class Lie:
    """What a health endpoint says in place of the truth.

    Attributes:
        says: ``well`` (it answers whatever the node does), ``ill`` (it says that the node is ill
            whatever it does), or None for the truth.
        lag_s: Age of what it says, in seconds; 0 for the present.
    """

    says: Literal["well", "ill"] | None = None
    lag_s: float = 0.0


class HealthEndpoint:
    """Answers probes for a node.

    Of several lies at once, ill comes before well, and the longest lag counts.

    Args:
        env: The environment.
        name: The node's name.
        truth: Returns what it answers while it neither lies nor lags.
        telemetry: Returns what the node says of itself while it is well.
    """

    __slots__ = ("_env", "_lies", "_name", "_past", "_recorded_s", "_telemetry", "_truth")

    def __init__(
        self,
        env: Environment,
        name: str,
        truth: Callable[[], Answer],
        telemetry: Callable[[], NodeHealth],
    ) -> None:
        self._env = env
        self._name = name
        self._truth = truth
        self._telemetry = telemetry
        self._lies: dict[object, Lie] = {}
        self._past: deque[tuple[float, Answer]] = deque()
        self._recorded_s = 0.0

    def answer(self) -> Answer:
        """Return what it answers to a probe that arrives now."""
        return self._falsely() if self._lies else self._truth()

    def set_lie(self, cause: object, lie: Lie | None) -> None:
        """Lie from now on; None ends it."""
        if lie is None:
            self._lies.pop(cause, None)
        else:
            self._lies[cause] = lie

    def tell_the_truth(self) -> None:
        """End all lies."""
        self._lies.clear()

    def record(self, lag_s: float) -> None:
        """Record from now on what it would say, so that it can say it *lag_s* seconds later."""
        if self._recorded_s == 0.0:
            self._env.process(self._sample())
        self._recorded_s = max(self._recorded_s, lag_s)

    def _falsely(self) -> Answer:
        lies = self._lies.values()
        says = {lie.says for lie in lies}
        if "ill" in says:
            return Internal(f"the health endpoint of node {self._name} says that it is ill")
        lag_s = max(lie.lag_s for lie in lies)
        answer = self._before(lag_s) if lag_s > 0.0 else self._truth()
        if "well" in says and not isinstance(answer, NodeHealth):
            return self._telemetry()
        return answer

    def _before(self, lag_s: float) -> Answer:
        """Return the newest sample that is *lag_s* seconds old, or the first one."""
        until_s = self._env.now - lag_s
        found = self._past[0][1]
        for time_s, answer in self._past:
            if time_s > until_s:
                break
            found = answer
        return found

    def _sample(self) -> Generator[Any, Any, None]:
        env, past = self._env, self._past
        while True:
            past.append((env.now, self._truth()))
            while len(past) > 1 and past[1][0] <= env.now - self._recorded_s - SAMPLE_S:
                past.popleft()
            yield env.timeout(SAMPLE_S)
