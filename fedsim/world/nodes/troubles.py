"""What faults do to the requests that reach a node: errors, silence, refusals."""

from __future__ import annotations

import math
from collections.abc import Iterable

from fedsim.federation.contracts import FederationError
from fedsim.kernel.environment import Environment, Signal
from fedsim.world.nodes.job import Job


class ErrorFaults:
    """Errors that strike requests at random; a request escapes when it escapes each of them.

    Attributes:
        probability: Probability that one of them strikes.
    """

    __slots__ = ("_faults", "probability")

    def __init__(self) -> None:
        self._faults: dict[object, tuple[float, float]] = {}
        self.probability = 0.0

    def set(self, cause: object, probability: float | None, after_s: float) -> None:
        """Let requests fail with *probability*, *after_s* seconds after they arrive; None ends."""
        if probability is None:
            self._faults.pop(cause, None)
        else:
            self._faults[cause] = (probability, after_s)
        self.probability = 1.0 - math.prod(1.0 - each for each, _ in self._faults.values())

    def clear(self) -> None:
        """End all of them."""
        self._faults.clear()
        self.probability = 0.0

    def after_s(self, draw: float) -> float:
        """Return how long after its arrival a request fails whose *draw* is below `probability`."""
        escapes, struck_s = 1.0, 0.0
        for probability, after_s in self._faults.values():
            escapes *= 1.0 - probability
            struck_s = after_s
            if draw < 1.0 - escapes:
                break
        return struck_s


class HeldJobs:
    """Jobs that a node has taken and does not work on, until they fail or are given up."""

    __slots__ = ("_env", "_held")

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._held: dict[Job, Signal | None] = {}

    def __len__(self) -> int:
        """Return how many are held."""
        return len(self._held)

    def hold(self, jobs: Iterable[Job]) -> None:
        """Hold jobs until `fail_all` or `drop`."""
        for job in jobs:
            self._held[job] = None
            job.hold()

    def fail_at(self, job: Job, when_s: float, error: FederationError) -> None:
        """Hold a job that fails with *error* at *when_s* seconds."""

        def fail(_: Signal) -> None:
            del self._held[job]
            job.release(error)

        self._held[job] = self._env.call_at(when_s, fail)
        job.hold()

    def drop(self, job: Job) -> bool:
        """Let go of a job that was given up, and return whether it was held."""
        if job not in self._held:
            return False
        self._forget(job)
        job.release(None)
        return True

    def fail_all(self, error: FederationError) -> None:
        """Let all fail with *error* now."""
        for job in list(self._held):
            self._forget(job)
            job.release(error)

    def _forget(self, job: Job) -> None:
        signal = self._held.pop(job)
        if signal is not None:
            signal.cancel()
