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


def _rows(points: Sequence[tuple[float, float, float]], owner: str) -> dict[float, list[Point]]:
    """Return the *points* by their first number, in order.

    Raises:
        ValueError: There are no points, or two at one place, or one is out of range.
    """
    rows: dict[float, list[Point]] = {}
    for row, at, time_s in sorted(points):
        if row < 0.0 or at < 0.0 or not 0.0 < time_s < math.inf:
            message = f"the {owner} point ({row}, {at}, {time_s}) is not one of a table of times"
            raise ValueError(message)
        others = rows.setdefault(row, [])
        if others and others[-1][0] == at:
            message = f"the {owner} table has two points at ({row}, {at}): leave one out"
            raise ValueError(message)
        others.append((at, time_s))
    if not rows:
        message = f"the {owner} table has no points"
        raise ValueError(message)
    return rows


def _inverse(points: Iterable[Point]) -> list[Point]:
    """Return the points that lie above all before them, each the other way round."""
    inverse: list[Point] = []
    for at, time_s in points:
        if not inverse or time_s > inverse[-1][0]:
            inverse.append((time_s, at))
    return inverse


@dataclass(frozen=True, slots=True)
class Work:
    """How much work it is to prefill, in seconds: ``p1·n + p2·n·(c + n/2)``.

    Attributes:
        p1_s: Work per new token, in seconds.
        p2_s: Work per new token and token before it, in seconds.
    """

    p1_s: float
    p2_s: float

    @classmethod
    def of_table(cls, rows: dict[float, list[Point]]) -> Work:
        """Return the work at the far end of a table, where it is what takes the time.

        p2 is what the most cached tokens add to the time of the most new ones, p1 what is left of
        the slope between the last two points of the first row.
        """
        least = min(rows)
        first = rows[least]
        alone = dict(first)
        joint = [
            (new * (cached - least), time_s - alone[new])
            for cached, row in rows.items()
            for new, time_s in row
            if cached > least and new in alone
        ]
        pairs, added_s = max(joint, default=(1.0, 0.0))
        p2_s = max(added_s / pairs, 0.0)
        last, time_s = first[-1]
        p1_s = time_s / last
        if len(first) > 1:
            between = least + 0.5 * (first[-2][0] + last)
            rest_s = _slope(first[-2], first[-1]) - p2_s * between
            p1_s = rest_s if rest_s > 0.0 else p1_s
        return cls(p1_s, p2_s)

    def __call__(self, new: float, cached: float) -> float:
        """Return the work of *new* tokens on top of *cached* ones, in seconds."""
        return new * (self.p1_s + self.p2_s * (cached + 0.5 * new))


@dataclass(frozen=True, slots=True)
class MeasuredSteps:
    """Step times interpolated in tables of measured points.

    Decode steps are interpolated linearly, between batches first, then along the context of a
    sequence, which is the mean over the batch.

    Prefill steps go by the work of their prompts, so that many short prompts in a step take what
    one long prompt of as much work was measured to take: reading the weights, which short prompts
    have in common, is not counted for each. The work of a prompt is linear in its tokens and in the
    pairs of tokens that attend to each other; on top of cached tokens it is that of a prompt which
    takes as long without them, as interpolated linearly between the points, along the new tokens
    first. So a step of one prompt takes what was measured, unless cached tokens made it shorter.

    Beyond the ends of a table the last two points are extended, but where the time would fall.

    The base of prefill is the time at no work, the base of decoding the time of that batch at no
    context. A step that does both takes the larger of the two, and of either what it takes above
    its base.

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
    _work: Work = field(init=False, repr=False, compare=False)
    _by_cached: dict[float, Curve] = field(init=False, repr=False, compare=False)
    _work_of: Curve = field(init=False, repr=False, compare=False)
    _prefill_curve: Curve = field(init=False, repr=False, compare=False)
    _batches: dict[float, Curve] = field(init=False, repr=False, compare=False)
    _at_batch: dict[int, Curve] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rows = _rows([(cached, new, time_s) for new, cached, time_s in self.prefill], "prefill")
        work, least = Work.of_table(rows), min(rows)
        points = [(work(new, least), time_s) for new, time_s in rows[least]]
        batches = _rows(self.decode, "decode")
        object.__setattr__(self, "_work", work)
        object.__setattr__(self, "_by_cached", {at: Curve(row) for at, row in rows.items()})
        object.__setattr__(self, "_work_of", Curve(_inverse(points)))
        object.__setattr__(self, "_prefill_curve", Curve(points))
        object.__setattr__(self, "_batches", {at: Curve(row) for at, row in batches.items()})
        object.__setattr__(self, "_at_batch", {})

    def prefill_s(self, new: int, cached: int) -> float:
        """Return the work of *new* prompt tokens on top of *cached* ones, in seconds."""
        by_cached = self._by_cached
        alone_s = self._work(new, min(by_cached))
        time_s = sum(weight * curve(new) for weight, curve in _between(by_cached, cached))
        return max(self._work_of(time_s), alone_s) if cached else alone_s

    def step_s(self, prefill_s: float, prefills: int, decoding: int, context: int) -> float:
        """Return the duration of a step in seconds; see ``StepTimes``."""
        time_s = self.step_overhead_s
        base_s = prefill_base_s = 0.0
        if prefills:
            base_s = prefill_base_s = self._prefill_curve(0.0)
            time_s += self._prefill_curve(prefill_s) - prefill_base_s
        if decoding:
            curve = self._decode_curve(decoding)
            decode_base_s = curve(0.0)
            base_s = max(prefill_base_s, decode_base_s)
            time_s += curve(context / decoding) - decode_base_s
        return base_s + time_s

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
