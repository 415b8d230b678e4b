"""The service objective of a scenario, and whether a run held it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from fedsim.errors import ResultsError

_PERCENTILE = re.compile(r"p(\d{1,2}|\d{3,})")


@cache
def percentile_share(name: str) -> float:
    """Return the share that a percentile's name stands for.

    Two digits are a percentage and further digits are its decimals: ``p50`` is 0.5, ``p99`` 0.99
    and ``p999`` 0.999.

    Raises:
        ResultsError: *name* is not of that form.
    """
    match = _PERCENTILE.fullmatch(name)
    if match is None:
        msg = f"{name!r} is not a percentile; write p50, p99, p999 and the like"
        raise ResultsError(msg)
    digits = match[1]
    return float(f"0.{digits}") if len(digits) > 1 else int(digits) / 100


@dataclass(frozen=True, slots=True)
class Slo:
    """A service objective.

    Attributes:
        latency: Longest latency in seconds at each percentile, such as ``{"p99": 8.0}``; over
            successful requests, from arrival to the answer.
        success_rate: Least share of requests that succeed, 0 to 1, or None for any.
    """

    latency: Mapping[str, float] = field(default_factory=dict)
    success_rate: float | None = None

    def __post_init__(self) -> None:
        for name in self.latency:
            percentile_share(name)

    @property
    def latency_limit_s(self) -> float | None:
        """The limit at the highest percentile, which one request must meet; None for none."""
        if not self.latency:
            return None
        return self.latency[max(self.latency, key=percentile_share)]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one part of an objective was held.

    Attributes:
        objective: What was asked for, such as ``latency_p99_s``.
        limit: The bound, in the unit that the objective's name ends in, or a share.
        value: What was measured; NaN where no request succeeded.
        held: Whether the value is within the bound.
    """

    objective: str
    limit: float
    value: float
    held: bool

    def __str__(self) -> str:
        unit = " s" if self.objective.endswith("_s") else ""
        relation = "at most" if unit else "at least"
        value = "not measured" if math.isnan(self.value) else f"{self.value:.4g}{unit}"
        word = "held" if self.held else "missed"
        return f"{self.objective} {relation} {self.limit:.4g}{unit}: {word} ({value})"


def verdicts(
    slo: Slo, success_rate: float, latency_percentiles_s: Mapping[str, float]
) -> list[Verdict]:
    """Return a verdict for every part of an objective.

    Args:
        slo: The objective.
        success_rate: Share of requests that succeeded; NaN misses.
        latency_percentiles_s: The latency at each percentile of the objective, in seconds; NaN
            misses.
    """
    judged = []
    for name, limit_s in slo.latency.items():
        value_s = latency_percentiles_s[name]
        judged.append(Verdict(f"latency_{name}_s", limit_s, value_s, value_s <= limit_s))
    if slo.success_rate is not None:
        held = success_rate >= slo.success_rate
        judged.append(Verdict("success_rate", slo.success_rate, success_rate, held))
    return judged
