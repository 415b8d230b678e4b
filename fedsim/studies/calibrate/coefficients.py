"""The coefficients of an engine as a vector, and how well a log determines each."""

from __future__ import annotations

from dataclasses import dataclass

from fedsim.studies.calibrate.log import Floats, RequestLog
from fedsim.studies.calibrate.overlap import DECODE, features, prompt_work
from fedsim.world.engine.steps import Coefficients

NAMES = ("p0_s", "p1_s", "p2_s", "floor_s", "d0_s", "d1_s", "d2_s", "request_overhead_s")
"""The coefficients that can be fitted, in the order of the vector.

The overhead of a step is not among them: it adds to every step, and so do p0 (or the floor) and d0;
no log can separate them. The fitted p0, floor and d0 contain it.
"""

P0, P1, P2, FLOOR, D0, D1, D2, OVERHEAD = range(len(NAMES))

DETERMINED = 0.15
"""A coefficient is determined where its standard error is at most this share of it."""

ADVICE = {
    "p0_s": "requests that meet an empty node",
    "p1_s": "prompts of different lengths",
    "p2_s": "long prompts among short ones",
    "floor_s": "short prompts on an empty node",
    "d0_s": "requests that decode alone, and many of them",
    "d1_s": "hours with few and hours with many requests at once, and contexts of all lengths",
    "d2_s": "long and short contexts at the same number of requests",
    "request_overhead_s": "requests with a short time to the first token",
}
"""What a log that determines a coefficient has."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A fitted coefficient.

    Attributes:
        name: One of ``NAMES``.
        value_s: Its value in seconds.
        error_s: Its standard error in seconds; infinite where the log says nothing of it.
        share: What it adds to the mean time to the first token (p0, p1, p2, floor, request
            overhead) or between tokens (d0, d1, d2), as a share of that.
    """

    name: str
    value_s: float
    error_s: float
    share: float

    @property
    def determined(self) -> bool:
        """Whether the standard error is small against the value."""
        return self.error_s <= DETERMINED * self.value_s


def coefficients(vector: Floats) -> tuple[Coefficients, float]:
    """Return the step times of a vector in seconds, and the overhead of a request."""
    p0, p1, p2, floor, d0, d1, d2, overhead = (float(value) for value in vector)
    return Coefficients(p0, p1, p2, d0, d1, d2, floor), overhead


def estimates(values_s: Floats, errors_s: Floats, log: RequestLog) -> tuple[Estimate, ...]:
    """Return the coefficients that play a part: all, but for a floor that there is not.

    Args:
        values_s: Their values in seconds, in the order of ``NAMES``.
        errors_s: Their standard errors.
        log: The log as the coefficients make it.
    """
    decode, _first = features(log)
    ran = dict(zip(DECODE, decode.sum(axis=0).tolist(), strict=True))
    spans_s = max(float((log.last_token_s - log.first_token_s).sum()), 1e-9)
    waits_s = max(float(log.ttft_s.sum()), 1e-9)
    new, attention = (float(work.sum()) for work in prompt_work(log))
    per_second = {
        "p0_s": len(log) / waits_s,
        "p1_s": new / waits_s,
        "p2_s": attention / waits_s,
        "floor_s": len(log) / waits_s,
        "d0_s": ran["steps"] / spans_s,
        "d1_s": ran["sequences"] / spans_s,
        "d2_s": ran["context"] / spans_s,
        "request_overhead_s": len(log) / waits_s,
    }
    return tuple(
        Estimate(name, value_s, error_s, value_s * per_second[name])
        for name, value_s, error_s in zip(NAMES, values_s.tolist(), errors_s.tolist(), strict=True)
        if name != "floor_s" or value_s > 0.0
    )
