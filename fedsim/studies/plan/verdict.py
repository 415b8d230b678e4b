"""Whether a fleet holds its objective in a case, with confidence.

A replication gives, of each bound, y = value / limit − 1, or (1 − value) / (1 − limit) − 1 of a
share: what exceeds the limit, as a share of it. The bound is held where the one-sided upper limit
of the mean of y is at most 0, the skewness-adjusted one of `fedsim.studies.statistics`; that is
judged on all replications, never earlier, because a few quiet first replications have too small a
spread. It is violated where the lower limit at 99 % is above 0, which may be judged early.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fedsim.results.belief import needed
from fedsim.studies.statistics import estimate, t_quantiles

Floats = NDArray[np.float64]

LOOK = 4
"""Replications between two looks at whether a fleet is violated, and before the first."""

_VIOLATED = 0.98
"""The two-sided confidence whose lower end is the one-sided limit at 99 %."""

_BOUNDS = (-1.0, math.inf)
"""What y can be: the values of times and the shares of failures are not below 0."""

_MOST_NEEDED = 10_000

State = Literal["open", "violated", "held", "undecided", "failed"]
"""``open``: more replications are to come. ``undecided`` counts as not held, and excludes none; so
does ``failed``: a run came to nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """What a bound came to, replication by replication.

    Attributes:
        name: What is bounded, in words, such as ``latency p95 of chat``.
        measure: The measure, such as ``latency_p95_s``.
        values: Its values; NaN where there is none.
        limit: Its limit.
        share: Whether it is a share that has to reach the limit, rather than stay below it.
        counts: The number of requests behind each value.
        percentile: The percentile as a share; 0 for none.
        broken: Why the first replication that cannot be within any limit is not; empty for none.
        missing: Why there is no value at all; empty where there is one.
    """

    name: str
    measure: str
    values: Floats
    limit: float
    share: bool
    counts: Floats
    percentile: float = 0.0
    broken: str = ""
    missing: str = ""

    @property
    def is_strict(self) -> bool:
        """Whether nothing at all may go wrong."""
        return self.limit == (1.0 if self.share else 0.0)

    @property
    def excess(self) -> Floats:
        """By what share of the limit each replication exceeds it; below 0 where it does not."""
        wrong = 1.0 - self.values if self.share else self.values
        allowed = 1.0 - self.limit if self.share else self.limit
        if allowed == 0.0:
            return np.where(wrong > 0.0, np.inf, np.where(np.isnan(wrong), np.nan, -1.0))
        return np.asarray(wrong / allowed - 1.0)

    @property
    def mean(self) -> float:
        """The mean of the values; NaN for none."""
        known = self.values[~np.isnan(self.values)]
        return float(known.mean()) if len(known) else math.nan


@dataclass(frozen=True, slots=True)
class Judgment:
    """What is known of a fleet in a case.

    Attributes:
        state: What it comes to.
        runs: Number of replications that it rests on.
        name: The bound that decides: of those violated the clearest, else the tightest, in words.
        measure: Its measure.
        value: The mean of its values; NaN for none.
        limit: Its limit.
        excess: The mean of y, a share of the limit.
        low: The end below which y is not, at 99 %.
        high: The end above which y is not, at the plan's confidence for one case.
        reason: Why it is not held, where it is not the interval; empty else.
        needed: How many replications would decide; 0 where none would, or it is decided.
    """

    state: State
    runs: int = 0
    name: str = ""
    measure: str = ""
    value: float = math.nan
    limit: float = math.nan
    excess: float = math.nan
    low: float = math.nan
    high: float = math.nan
    reason: str = ""
    needed: int = 0

    @property
    def facts(self) -> dict[str, Any]:
        """What tables have of it, by column."""
        return {
            "measure": self.name,
            "value": self.value,
            "limit": self.limit,
            "low": self.low,
            "high": self.high,
            "runs": self.runs,
        }


OPEN = Judgment("open")


def judged(series: Sequence[Series], runs: int, replications: int, alpha: float) -> Judgment:
    """Return whether a fleet holds all bounds in a case.

    Args:
        series: The bounds.
        runs: Number of replications that there are.
        replications: Number of all that there will be.
        alpha: The probability with which a fleet that is just within a limit may be called held
            in this case.
    """
    found = [_bound(each, runs, replications, alpha) for each in series]
    violated = [each for each in found if each.state == "violated"]
    if violated:
        return max(violated, key=lambda each: np.nan_to_num(each.low, nan=np.inf))
    if runs < replications:
        return max(found, key=_tightness)
    undecided = [each for each in found if each.state == "undecided"]
    return max(undecided or found, key=_tightness)


def looks(replications: int) -> list[int]:
    """Return after how many replications a fleet is looked at."""
    return [*range(LOOK, replications, LOOK), replications]


def _tightness(found: Judgment) -> float:
    return float(np.nan_to_num(found.high, nan=found.excess if found.runs == 1 else np.inf))


def _bound(series: Series, runs: int, replications: int, alpha: float) -> Judgment:
    """Return what one bound comes to."""
    excess = series.excess
    if series.broken or bool((excess == np.inf).any()):
        reason = series.broken or f"{series.name}: there may be none, and there are some"
        return _as(series, "violated", runs, math.inf, math.inf, reason)
    known = excess[~np.isnan(excess)]
    low = math.nan
    if len(known) >= 2:
        low = float(estimate(known, _BOUNDS, _VIOLATED).low)
    high = _upper(series, known, alpha)
    if low > 0.0 and runs >= min(LOOK, replications):
        return _as(series, "violated", runs, low, high)
    if runs < replications:
        return _as(series, "open", runs, low, high)
    reason, wanted = _undecided(series, known, high, alpha)
    state: State = "held" if high <= 0.0 and not reason else "undecided"
    return _as(series, state, runs, low, high, reason, wanted)


def _undecided(series: Series, known: Floats, high: float, alpha: float) -> tuple[str, int]:
    """Return why a bound cannot be decided, and how many replications would; none where it is."""
    if not len(known):
        return series.missing or "it has no value", 0
    total, least = float(series.counts.sum()), needed(series.percentile)
    if series.percentile and total < least:
        wanted = math.ceil(least * len(known) / max(total, 1.0))
        return f"its {total:,.0f} requests are too few: this percentile needs {least:,}", wanted
    return "", 0 if high <= 0.0 else _deciding(series, known, alpha)


def _as(
    series: Series,
    state: State,
    runs: int,
    low: float,
    high: float,
    reason: str = "",
    wanted: int = 0,
) -> Judgment:
    known = series.excess[~np.isnan(series.excess)]
    return Judgment(
        state=state,
        runs=runs,
        name=series.name,
        measure=series.measure,
        value=series.mean,
        limit=series.limit,
        excess=float(known.mean()) if len(known) else math.nan,
        low=low,
        high=high,
        reason=reason,
        needed=wanted,
    )


def _upper(series: Series, known: Floats, alpha: float) -> float:
    """Return the one-sided upper limit of the mean excess; NaN where nothing gives one."""
    if not len(known):
        return math.nan
    if series.share and bool((known == known[0]).all()):
        # Equal shares have no spread, whatever the number of requests: that number tells.
        if series.is_strict:
            return -1.0
        wrong = _most_failures(series, alpha)
        return wrong / (1.0 - series.limit) - 1.0
    return float(estimate(known, _BOUNDS, 1.0 - 2.0 * alpha).high)


def _most_failures(series: Series, alpha: float) -> float:
    """Return the highest share of failures that fits those seen (Clopper and Pearson, 1934).

    Without any it is about 3 / n at 95 %, the rule of three.
    """
    from scipy.special import betaincinv

    total = float(series.counts.sum())
    failed = round((1.0 - series.mean) * total)
    return float(betaincinv(failed + 1.0, max(total - failed, 1.0), 1.0 - alpha))


def _deciding(series: Series, known: Floats, alpha: float) -> int:
    """Return about how many replications would decide; 0 for more than can be said."""
    mean = float(known.mean())
    if series.share and bool((known == known[0]).all()):
        if mean >= 0.0:
            return 0
        runs, now = len(known), _most_failures(series, alpha)
        return min(math.ceil(runs * now / (1.0 - series.limit)), _MOST_NEEDED)
    spread = float(np.std(known, ddof=1))
    if mean == 0.0 or spread == 0.0:
        return 0
    level = 1.0 - 2.0 * alpha if mean < 0.0 else _VIOLATED
    count = len(known)
    while count < _MOST_NEEDED:
        count = math.ceil(count * 1.1)
        if float(t_quantiles(count - 1, level)) * spread <= abs(mean) * math.sqrt(count):
            return count
    return 0
