"""Step times from a table of measured points, for models that no formula fits."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Point = tuple[float, float]
"""A number, and the seconds measured there."""


class Curve:
    """A piecewise linear curve through measured points, from 0 on.

    Outside of the points it goes on as between the nearest two, but never falls there from one
    side to the other, and it starts at 0 seconds or more.

    Args:
        points: Numbers, all different, with their seconds.
    """

    __slots__ = ("_lines", "_starts", "points")

    def __init__(self, points: Iterable[Point]) -> None:
        self.points = sorted(points)
        first, time_s = self.points[0]
        slopes = [_slope(*pair) for pair in pairwise(self.points)] or [0.0]
        knots = list(self.points)
        if first > 0.0:
            knots.insert(0, (0.0, max(time_s - first * max(slopes[0], 0.0), 0.0)))
        last_slope = max(slopes[-1], 0.0)
        self._starts = [knot[0] for knot in knots]
        self._lines: list[tuple[float, float, float]] = []
        for knot, after in pairwise(knots):
            slope = _slope(knot, after)
            self._lines.append((knot[1] - slope * knot[0], slope, after[0]))
        last, time_s = knots[-1]
        self._lines.append((time_s - last_slope * last, last_slope, math.inf))

    def line(self, at: float) -> tuple[float, float, float]:
        """Return intercept and slope of the line that holds from *at*, >= 0, and until where."""
        return self._lines[bisect_right(self._starts, at) - 1]

    def __call__(self, at: float) -> float:
        """Return the seconds at *at*, >= 0."""
        intercept_s, slope_s, _ = self.line(at)
        return intercept_s + slope_s * at


def _slope(one: Point, other: Point) -> float:
    return (other[1] - one[1]) / (other[0] - one[0])


def _between(curves: dict[float, Curve], at: float) -> list[tuple[float, Curve]]:
    """Return the curves, with their weights, that are interpolated at *at*, or extrapolated."""
    places = list(curves)
    if len(places) == 1:
        return [(1.0, curves[places[0]])]
    high = min(max(bisect_right(places, at), 1), len(places) - 1)
    low = high - 1
    weight = (at - places[low]) / (places[high] - places[low])
    return [(1.0 - weight, curves[places[low]]), (weight, curves[places[high]])]


def _curves(points: Sequence[tuple[float, float, float]], owner: str) -> dict[float, Curve]:
    """Return a curve for each first number of the *points*, in order.

    Raises:
        ValueError: There are no points, or two at one place, or one is out of range.
    """
    rows: dict[float, dict[float, float]] = {}
    for row, at, time_s in sorted(points):
        if row < 0.0 or at < 0.0 or not 0.0 < time_s < math.inf:
            message = f"the {owner} point ({row}, {at}, {time_s}) is not one of a table of times"
            raise ValueError(message)
        if at in rows.setdefault(row, {}):
            message = f"the {owner} table has two points at ({row}, {at}): leave one out"
            raise ValueError(message)
        rows[row][at] = time_s
    if not rows:
        message = f"the {owner} table has no points"
        raise ValueError(message)
    return {row: Curve(columns.items()) for row, columns in rows.items()}


@dataclass(frozen=True, slots=True)
class MeasuredSteps:
    """Step times interpolated in tables of measured points.

    Between the points all is linear: decoding between batches first, then along the context of a
    sequence, which is the mean over the batch; prefill along the new tokens first, then along the
    cached ones. Beyond the ends of a table the last two points are extended, but for ends where the
    time would fall.

    A step that only decodes takes what the table says. The base of prefill is the largest time at
    no new tokens to which two neighbouring points with the fewest cached tokens point back, but no
    more than the least of these points: what a step takes for its weights, however short its
    prompts. A step that only prefills takes the base and, for each prompt, what the table gives
    above the base; so one prompt alone takes what was measured. The base of decoding is the time
    of that batch at no context, and a step that does both takes the larger of the two bases and
    all the rest.

    Attributes:
        prefill: Points ``(new tokens, cached tokens, seconds)`` of one prompt in a step.
        decode: Points ``(batch, context of each sequence, seconds)``.
        step_overhead_s: Added to every step, in seconds.

    Raises:
        ValueError: A table is empty, or has two points at one place, or a point out of range.
    """

    prefill: tuple[tuple[int, int, float], ...]
    decode: tuple[tuple[int, int, float], ...]
    step_overhead_s: float = 0.0
    _cached: dict[float, Curve] = field(init=False, repr=False, compare=False)
    _batches: dict[float, Curve] = field(init=False, repr=False, compare=False)
    _at_batch: dict[int, Curve] = field(init=False, repr=False, compare=False)
    _base_s: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_cached = [(cached, new, time_s) for new, cached, time_s in self.prefill]
        curves = _curves(by_cached, "prefill")
        object.__setattr__(self, "_cached", curves)
        object.__setattr__(self, "_batches", _curves(self.decode, "decode"))
        object.__setattr__(self, "_at_batch", {})
        lone = next(iter(curves.values()))
        backwards = [one[1] - one[0] * _slope(one, other) for one, other in pairwise(lone.points)]
        least_s = min(time_s for _, time_s in lone.points)
        object.__setattr__(self, "_base_s", min(max([lone(0.0), *backwards]), least_s))

    def prefill_s(self, new: int, cached: int) -> float:
        """Return what *new* prompt tokens on top of *cached* ones take above the base, in s."""
        pairs = _between(self._cached, cached)
        time_s = sum(weight * curve(new) for weight, curve in pairs)
        return max(time_s - self._base_s, 0.0)

    def step_s(self, prefill_s: float, prefills: int, decoding: int, context: int) -> float:
        """Return the duration of a step in seconds; see ``StepTimes``."""
        if not decoding:
            return self._base_s + prefill_s + self.step_overhead_s
        curve = self._decode_curve(decoding)
        time_s = curve(context / decoding) + prefill_s + self.step_overhead_s
        return time_s + max(self._base_s - curve(0.0), 0.0) if prefills else time_s

    def decode_line(self, decoding: int, context: int) -> tuple[float, float, float]:
        """Return the line of steps that only decode, which holds up to the next point."""
        curve = self._decode_curve(decoding)
        intercept_s, slope_s, until = curve.line(context / decoding)
        return intercept_s + self.step_overhead_s, slope_s / decoding, until * decoding

    def _decode_curve(self, batch: int) -> Curve:
        """Return the times of a batch along the context of a sequence."""
        curve = self._at_batch.get(batch)
        if curve is None:
            pairs = _between(self._batches, batch)
            contexts = sorted({at for weight, each in pairs if weight for at, _ in each.points})
            curve = Curve(
                (at, max(sum(weight * each(at) for weight, each in pairs), 0.0)) for at in contexts
            )
            self._at_batch[batch] = curve
        return curve
