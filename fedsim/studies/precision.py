"""How many replications a study needs: rounds of them, until its estimates are exact enough."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedsim.results.measures import MEASURES
from fedsim.studies.statistics import Estimate, estimate

ROUND = 5
"""Replications that are added at a time; the same for any number of workers."""

LOOKS = 2
"""Looks in a row that must find every estimate exact enough: one may do so by chance."""


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of the search for enough replications.

    Attributes:
        enough: Whether every estimate was exact enough before there were too many replications.
        half_widths: By measure, the larger side of the widest interval among the variants: as a
            share of the mean, or in shares for a measure that is one; NaN where it is not known.
            A variant without a value is left out.
    """

    enough: bool
    half_widths: Mapping[str, float]


class Precision:
    """Says after each round of replications whether to go on.

    The interval of every variant is to be within ± γ of the true mean: its larger side at most
    γ / (1 + γ) of the estimated mean (Law, *Simulation Modeling and Analysis*, section 9.4.1), or
    γ for a measure that is a share. The slowest of all measures and variants decides.

    Args:
        targets: γ by measure, > 0; without any, the first number of replications is enough.
        first: The number of replications before the first look.
        most: The largest number of replications.
        confidence: The coverage of the intervals.
    """

    def __init__(
        self, targets: Mapping[str, float], first: int, most: int, confidence: float
    ) -> None:
        self._targets = dict(targets)
        self._most = max(most, first)
        self._confidence = confidence
        self._looks = 0
        self.replications = first
        """The number of replications that there are to be at the next look."""
        self.reached = Reached(not targets, {})
        self.asked: dict[str, Any] = {"targets": self._targets, "first": first} if targets else {}
        """The targets and the first number of replications, as plain values; empty for none."""

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures whose estimates are to be exact."""
        return tuple(self._targets)

    def goes_on(self, values: Mapping[str, Iterable[Sequence[float]]]) -> bool:
        """Return whether more replications are needed, and set how many there are to be then.

        A variant without any value of a measure does not count, as more replications of it would
        have none either: no request succeeds, or runs are too short for the long run.

        Args:
            values: By measure, the values of each variant, one per replication.
        """
        if not self._targets:
            return False
        widths, exact, known = {}, True, False
        for measure, target in self._targets.items():
            share, bounds = MEASURES[measure].unit == "%", MEASURES[measure].bounds
            each = [estimate(own, bounds, self._confidence) for own in values[measure]]
            sides = [_side(found, relative=not share) for found in each if found.count]
            # What is not known is not exact, and NaN compares as false.
            widths[measure] = float(np.max(sides)) if sides else math.nan
            exact &= not sides or widths[measure] <= (target if share else target / (1.0 + target))
            known |= bool(sides)
        self._looks = self._looks + 1 if exact and known else 0
        self.reached = Reached(self._looks >= LOOKS, widths)
        if self.reached.enough or not known or self.replications >= self._most:
            return False
        self.replications = min(self.replications + ROUND, self._most)
        return True


def reached_in_words(reached: Reached) -> str:
    """Return the half-widths in words, such as ``latency_p99_s ± 1.3 %``."""
    return ", ".join(
        f"{measure} not known"
        if math.isnan(width)
        else f"{measure} ± {100.0 * width:.2g} {half_width_unit(measure)}"
        for measure, width in reached.half_widths.items()
    )


def half_width_unit(measure: str) -> str:
    """Return what half-widths of a measure are in: percent of it, or points of a share."""
    return "points" if MEASURES[measure].unit == "%" else "%"


def _side(found: Estimate, *, relative: bool) -> float:
    """Return the larger side of an interval, as a share of its mean if *relative*."""
    side = max(found.mean - found.low, found.high - found.mean)
    if not relative:
        return side
    if not found.mean:
        return 0.0 if side == 0.0 else math.nan
    return side / abs(found.mean)
