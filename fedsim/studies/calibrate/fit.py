"""Finds the coefficients with which simulated nodes are as fast as the measured ones.

The relative errors of the time to the first token and of the time between tokens are made least, by
Gauss-Newton steps: simulate the log from its arrivals, see what ran in the steps of each request
there, and find the coefficients with which just that would have taken the measured times. What ran
stands in for the derivative of the simulated times, which itself is of no use: single times jump as
soon as an arrival falls into another step, though their sums do not. For the same reason the steps
never come quite to rest, and the result is the mean of the last of them (Polyak and Juditsky, *SIAM
Journal on Control and Optimization* 30, 1992).

In a step that also decodes, a p0 below d0 cannot be seen. There is a best fit on either side of d0,
from which small steps do not lead to the other, so that a fit begins on both.

What stands in for the derivative does not know of queues, whose waits grow with every step that is
too slow; ``refine`` ends the fit with true differences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from fedsim.studies.calibrate.coefficients import (
    D0,
    D1,
    D2,
    FLOOR,
    NAMES,
    OVERHEAD,
    P0,
    P1,
    P2,
    coefficients,
)
from fedsim.studies.calibrate.log import Floats, RequestLog
from fedsim.studies.calibrate.overlap import DECODE, FIRST, features, met_empty, prompt_work
from fedsim.studies.calibrate.refine import STEPS, TRIALS, refined
from fedsim.studies.calibrate.replay import replay
from fedsim.studies.calibrate.start import FEWEST_EMPTY, decodes, rough_pace, starts
from fedsim.world.engine.config import EngineConfig

TRIAL = 14
"""Simulations of the log from each start, with whole steps; then the better start goes on."""

ROUNDS = 36
"""Simulations after that, with ever smaller steps; the second half of them is averaged."""

_JUDGED = 6
_LEAST_GAIN = 0.15
_HUBER = 2.5
_FEWEST_ALIKE = 20
_LEAST_SPREAD = 1e-3
_RIDGE = 0.1
_PRIOR = 3.0
_BLOCKS = 50
_NOTHING = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Fitted coefficients, in the order of ``NAMES``.

    Attributes:
        values_s: Their values in seconds.
        errors_s: Their standard errors; of the size that the coefficient can have at most where
            the log says nothing of it.
    """

    values_s: Floats
    errors_s: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Round:
    """What one simulation says: errors, weighted, and what would mend them.

    Attributes:
        slopes: How each error falls with each coefficient, in units of its scale.
        errors: Logarithms of measured over simulated times, times their weights.
        request: The request that each is about.
        loss: Mean absolute errors without weights, of times to first token and between tokens.
    """

    slopes: Floats
    errors: Floats
    request: NDArray[np.intp]
    loss: Floats


class Fitter:
    """Fits the coefficients to some requests of a log.

    Args:
        log: The log; all of its requests load the simulated nodes.
        rows: Which requests are fitted.
        config: The engine; its step times and request overhead do not matter.
        report: Called with the share of the work that is done.
    """

    def __init__(
        self,
        log: RequestLog,
        rows: NDArray[np.bool_],
        config: EngineConfig,
        report: Callable[[float], None],
    ) -> None:
        self._log, self._config, self._report = log, config, report
        self._rows = np.flatnonzero(rows)
        self._decoding = np.flatnonzero(rows & decodes(log))
        self._pace = rough_pace(log, rows)
        self._measured = features(log, self._pace)
        self._scale = _scales(log)
        self._starts = starts(log, rows, self._pace)

    def fit(self) -> Fit:
        """Return the fitted coefficients."""
        place = self._settled(self._tried())
        if met_empty(self._log)[self._rows].sum() < FEWEST_EMPTY:
            place[FLOOR] = 0.0  # which then is what some first request took as the node warmed up
        place = self._refined(place)
        errors = _standard_errors(self._simulate(place), len(self._log))
        values_s = place * self._scale
        if values_s[FLOOR] <= values_s[P0]:  # no step is that short
            values_s[FLOOR] = 0.0
        return Fit(values_s, errors * self._scale)

    def _tried(self) -> Floats:
        """Return where whole steps lead, from the start that leads to the smaller errors."""
        losses, ends = [], []
        for number, begin in enumerate(self._starts):
            found, place = [], begin / self._scale
            for turn in range(TRIAL):
                found.append(self._simulate(place))
                place = _target(found[-1], place)
                self._done(number * TRIAL + turn + 1)
            losses.append(np.mean([each.loss for each in found[-_JUDGED:]], axis=0))
            ends.append(place)
        least = np.maximum(np.min(losses, axis=0), _LEAST_SPREAD)
        return ends[int(np.argmin((losses / least).sum(axis=1)))]

    def _settled(self, place: Floats) -> Floats:
        """Return the mean of where ever smaller steps lead."""
        total = np.zeros(len(NAMES))
        for turn in range(ROUNDS):
            gain = max(1.5 / (turn + 1.5), _LEAST_GAIN)
            place = place + gain * (_target(self._simulate(place), place) - place)
            if turn >= ROUNDS // 2:
                total += place
            self._done(TRIAL * len(self._starts) + turn + 1)
        return total / (ROUNDS - ROUNDS // 2)

    def _refined(self, place: Floats) -> Floats:
        """Return where steps lead that follow true differences."""
        rounds = count(TRIAL * len(self._starts) + ROUNDS + 1)

        def simulate(place: Floats) -> RequestLog:
            self._done(next(rounds))
            return self._replay(place)

        place = np.where(place < _NOTHING, 0.0, place)
        return refined(place, simulate, self._log, self._rows, self._decoding)

    def _done(self, rounds: int) -> None:
        most = TRIAL * len(self._starts) + ROUNDS + 1 + STEPS * (len(NAMES) + TRIALS)
        self._report(rounds / most)

    def _replay(self, place: Floats) -> RequestLog:
        steps, overhead_s = coefficients(place * self._scale)
        config = replace(self._config, steps=steps, request_overhead_s=overhead_s)
        return replay(self._log, config)

    def _simulate(self, place: Floats) -> _Round:
        log, rows, decoding = self._log, self._rows, self._decoding
        vector, simulated = place * self._scale, self._replay(place)
        decode, first = (
            (ours + theirs) / 2.0
            for ours, theirs in zip(features(simulated, self._pace), self._measured, strict=True)
        )
        ttft_s, first_errors = _middle(log.ttft_s, simulated.ttft_s)
        spans_s, span_errors = _middle(
            log.last_token_s - log.first_token_s, simulated.last_token_s - simulated.first_token_s
        )
        first_errors, span_errors = first_errors[rows], span_errors[decoding]
        on_first = _on_first(first, prompt_work(log), vector) / ttft_s[:, None]
        on_span = _on_span(decode, vector) / spans_s[:, None]
        weights = np.concatenate(
            [
                _weights(first_errors, _alike_first(first, log)[rows]),
                _weights(span_errors, _alike_span(decode)[decoding]),
            ]
        )
        slopes = np.concatenate([on_first[rows], on_span[decoding]]) * self._scale
        errors = np.concatenate([first_errors, span_errors])
        requests = np.concatenate([rows, decoding])
        loss = np.array([np.abs(first_errors).mean(), np.abs(span_errors).mean()])
        return _Round(slopes * weights[:, None], errors * weights, requests, loss)


def _middle(measured_s: Floats, simulated_s: Floats) -> tuple[Floats, Floats]:
    """Return the geometric mean of measured and simulated times, and the logarithm of their ratio.

    Whether an arrival falls early or late into a step is random, and different in the simulation.
    What is made of the errors therefore treats both alike: divided by the simulated times alone,
    those that happen to be short would count more, and their errors have a sign.
    """
    measured_s, simulated_s = np.maximum(measured_s, 1e-9), np.maximum(simulated_s, 1e-9)
    return np.sqrt(measured_s * simulated_s), np.log(measured_s / simulated_s)


def _target(found: _Round, place: Floats) -> Floats:
    """Return the coefficients, 0 or more, that leave the least errors if the same ran again.

    A weak pull towards where they are keeps those still of which the log says nothing.
    """
    from scipy.optimize import nnls

    left = np.concatenate([found.slopes, _RIDGE * np.eye(len(place))])
    right = np.concatenate([found.errors + found.slopes @ place, _RIDGE * place])
    orthogonal, triangular = np.linalg.qr(left)  # the same problem, with as many rows as columns
    return np.asarray(nnls(triangular, orthogonal.T @ right)[0])


def _standard_errors(found: _Round, requests: int) -> Floats:
    """Return standard errors that allow for requests close in time having errors alike.

    What each request contributes is summed over blocks of neighbours, whose sums count as
    independent. A coefficient without effect gets the standard error of one of which nothing is
    known but that it explains no more than a few times the usual time.
    """
    parts = np.zeros((requests, len(NAMES)))
    np.add.at(parts, found.request, found.slopes * found.errors[:, None])
    blocks = np.stack([part.sum(axis=0) for part in np.array_split(parts, _BLOCKS)])
    prior = np.eye(len(NAMES)) / _PRIOR**2
    bread = np.linalg.inv(found.slopes.T @ found.slopes + prior)
    return np.asarray(np.sqrt(np.diag(bread @ (blocks.T @ blocks + prior) @ bread)))


def _on_span(decode: Floats, vector: Floats) -> Floats:
    """Return what each coefficient adds to the time from the first token to the last."""
    ran = dict(zip(DECODE, decode.T, strict=True))
    above = ran["prefills"] * float(vector[P0] > vector[D0])
    columns = np.zeros((len(decode), len(NAMES)))
    columns[:, P0], columns[:, D0] = above, ran["steps"] - above
    columns[:, P1], columns[:, P2] = ran["prompt"], ran["attention"]
    columns[:, D1], columns[:, D2] = ran["sequences"], ran["context"]
    return columns


def _on_first(first: Floats, work: tuple[Floats, Floats], vector: Floats) -> Floats:
    """Return what each coefficient adds to the time to the first token."""
    ran = dict(zip(FIRST, first.T, strict=True))
    new, attention = work
    prefill_s = vector[P0] + vector[P1] * new + vector[P2] * attention
    floored = ran["empty"] * (prefill_s < vector[FLOOR])
    above = (ran["prefills"] - ran["empty"]) * float(vector[P0] > vector[D0])
    columns = np.zeros((len(first), len(NAMES)))
    columns[:, OVERHEAD], columns[:, FLOOR] = ran["request"], floored
    columns[:, P0] = ran["empty"] - floored + above
    columns[:, P1] = ran["prompt"] - floored * new
    columns[:, P2] = ran["attention"] - floored * attention
    columns[:, D0] = ran["prefills"] - ran["empty"] - above
    columns[:, D1], columns[:, D2] = ran["sequences"], ran["context"]
    return columns


def _alike_first(first: Floats, log: RequestLog) -> NDArray[np.intp]:
    """Return a number per request: whether anything else ran before its first token."""
    ran = dict(zip(FIRST, first.T, strict=True))
    others = ran["prompt"] > prompt_work(log)[0] + 0.5
    return np.asarray((ran["sequences"] > 0.5) | others, dtype=np.intp)


def _alike_span(decode: Floats) -> NDArray[np.intp]:
    """Return a number per request: by how many steps it took, and how full they were."""
    ran = dict(zip(DECODE, decode.T, strict=True))
    steps = np.maximum(ran["steps"], 1.0)
    batch = ran["sequences"] / steps
    fullness = (batch > 1.05).astype(np.intp) + (batch > 4.0)
    return np.asarray(3 * np.floor(np.log2(steps)).astype(np.intp) + fullness)


def _weights(errors: Floats, alike: NDArray[np.intp]) -> Floats:
    """Return one over the robust spread of the errors of requests that are alike.

    Errors beyond 2.5 spreads weigh less (Huber's weights).
    """
    spread = np.full(len(errors), _spread(errors))
    for group in np.unique(alike):
        members = alike == group
        if members.sum() >= _FEWEST_ALIKE:
            spread[members] = _spread(errors[members])
    large = np.maximum(np.abs(errors), 1e-12)
    return np.asarray(np.sqrt(np.minimum(1.0, _HUBER * spread / large)) / spread)


def _spread(errors: Floats) -> float:
    return max(1.4826 * float(np.median(np.abs(errors))), _LEAST_SPREAD)


def _scales(log: RequestLog) -> Floats:
    """Return for each coefficient a value at which it alone would explain the usual step."""
    step_s = float(np.median(log.tpot_s[decodes(log)]))
    new, attention = prompt_work(log)
    steps = log.output_tokens - 1.0
    busy_s = max(float(np.ptp(log.last_token_s)) * len(log.nodes), 1e-9)
    batch = max(float(steps @ np.nan_to_num(log.tpot_s)) / busy_s, 1.0)
    context = float(np.mean(log.prompt_tokens + steps / 2.0))
    scales = np.full(len(NAMES), step_s)
    scales[P1], scales[P2] = 2.0 * step_s / new.mean(), 2.0 * step_s / attention.mean()
    scales[D1], scales[D2] = step_s / batch, step_s / (batch * context)
    return scales
