"""Improves fitted coefficients by what they do to whole stretches of a log.

What ran in the steps of a request does not say how long it waits for others: where a queue stands
for minutes, steps that are a percent too slow make it longer and longer. That shows in the mean
errors of stretches of the log. They change smoothly, as those of single requests do not, so that
differences of simulations are their derivatives, and Levenberg's and Marquardt's steps make them
less. A step counts only if the errors of single requests become less by it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fedsim.studies.calibrate.log import Floats, RequestLog

STEPS = 4
"""Steps at most."""

TRIALS = 3
"""Lengths that are tried of each step, at most."""

_STRETCHES = 16
_NUDGE = 0.03
_LONGEST = 0.3
_LEAST_ERROR = 1e-3
_DAMPING = 0.1
_GENTLER, _FIRMER = 1.0 / 3.0, 5.0


def refined(
    values: Floats,
    simulate: Callable[[Floats], RequestLog],
    log: RequestLog,
    rows: NDArray[np.intp],
    decoding: NDArray[np.intp],
) -> Floats:
    """Return coefficients with which the simulated log is nearer to the measured one.

    Args:
        values: The coefficients to begin with, 0 or more; those of 0 stay.
        simulate: Returns the log as coefficients make it.
        log: The measured log.
        rows: The requests that count, in order of arrival.
        decoding: Those of them that have a time between tokens.
    """

    def errors(values: Floats) -> list[Floats]:
        found = simulate(values)
        return [
            _errors(log.ttft_s, found.ttft_s, rows),
            _errors(_spans_s(log), _spans_s(found), decoding),
            _errors(log.latency_s, found.latency_s, rows),
        ]

    places = np.flatnonzero(values > 0.0)
    present = errors(values)
    usual = [max(_loss([each], [1.0]), _LEAST_ERROR) for each in present]
    least, damping = _loss(present, usual), _DAMPING
    for _ in range(STEPS):
        means = _means(present, usual)
        slopes = np.stack(
            [
                (_means(errors(_moved(values, place, _NUDGE)), usual) - means)
                for place in places.tolist()
            ],
            axis=1,
        )
        slopes /= np.log1p(_NUDGE)
        normal = slopes.T @ slopes
        usual_slope = np.trace(normal) / len(places)
        for _ in range(TRIALS):
            damped = normal + (damping * usual_slope + 1e-12) * np.eye(len(places))
            step = np.clip(-np.linalg.solve(damped, slopes.T @ means), -_LONGEST, _LONGEST)
            trial = _moved(values, places, np.expm1(step))
            found = errors(trial)
            loss = _loss(found, usual)
            if loss < least:
                values, present, least = trial, found, loss
                damping *= _GENTLER
                break
            damping *= _FIRMER
        else:
            break
    return values


def _moved(values: Floats, places: NDArray[np.intp] | int, by: Floats | float) -> Floats:
    moved = values.copy()
    moved[places] *= 1.0 + by
    return moved


def _spans_s(log: RequestLog) -> Floats:
    return log.last_token_s - log.first_token_s


def _errors(measured_s: Floats, simulated_s: Floats, rows: NDArray[np.intp]) -> Floats:
    """Return the logarithms of measured over simulated times."""
    return np.log(np.maximum(measured_s[rows], 1e-9) / np.maximum(simulated_s[rows], 1e-9))


def _loss(errors: list[Floats], usual: list[float]) -> float:
    return float(sum(np.abs(each).mean() / size for each, size in zip(errors, usual, strict=True)))


def _means(errors: list[Floats], usual: list[float]) -> Floats:
    """Return the mean errors of stretches of the log, in units of the usual error."""
    return np.array(
        [
            part.mean() / size
            for each, size in zip(errors, usual, strict=True)
            for part in np.array_split(each, _STRETCHES)
        ]
    )
