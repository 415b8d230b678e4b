"""Where a fit begins: coefficients that regressions of the measured times suggest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedsim.studies.calibrate.coefficients import D0, D1, D2, FLOOR, NAMES, OVERHEAD, P0, P1, P2
from fedsim.studies.calibrate.log import Floats, RequestLog
from fedsim.studies.calibrate.overlap import Pace, features, met_empty, prompt_work

FEWEST_EMPTY = 30
"""With fewer requests that meet an empty node, nothing is made of what they took."""

_FEWEST_STEPS = 2
_BELOW, _ABOVE = 0.7, 1.3
_MOST_OF_BASE = 0.95
_OVERHEAD_S = 1e-3
_FLOOR_GAIN = 0.9


def decodes(log: RequestLog) -> NDArray[np.bool_]:
    """Return which requests have a time between tokens that says something."""
    return (log.output_tokens > _FEWEST_STEPS) & (log.last_token_s > log.first_token_s)


def rough_pace(log: RequestLog, rows: NDArray[np.bool_]) -> Pace:
    """Return how fast steps go, from the times between tokens of *rows* alone.

    The first regression takes tokens as evenly spread, the second spreads them by the first.
    """
    chosen = rows & decodes(log)
    spans_s = (log.last_token_s - log.first_token_s)[chosen]
    pace = None
    for _ in range(2):
        decode, _first = features(log, pace)
        pace = Pace(*_effects(decode[chosen], spans_s).tolist())
    assert pace is not None
    return pace


def starts(log: RequestLog, rows: NDArray[np.bool_], pace: Pace) -> list[Floats]:
    """Return two vectors of coefficients in seconds, with a p0 below and above d0.

    A prefill in a step that also decodes shows p0 where it exceeds d0 alone; the time to the first
    token on an empty node shows p0 and the request's overhead, but only their sum.
    """
    vector = np.zeros(len(NAMES))
    vector[[D0, D1, D2]] = pace.step_s, pace.sequence_s, pace.context_s
    vector[[P1, P2]] = pace.prompt_s, pace.attention_s
    base_s, least_s = np.inf, 0.0
    empty = rows & met_empty(log)
    if empty.sum() >= FEWEST_EMPTY:
        base_s, vector[P1], vector[P2], least_s = _on_an_empty_node(log, empty)
    found = []
    for p0_s in (_BELOW * pace.step_s, max(pace.step_s + pace.prefill_s, _ABOVE * pace.step_s)):
        begin = vector.copy()
        begin[P0] = min(p0_s, _MOST_OF_BASE * base_s)
        begin[OVERHEAD] = base_s - begin[P0] if base_s < np.inf else _OVERHEAD_S
        begin[FLOOR] = max(least_s - begin[OVERHEAD], 0.0)
        found.append(begin)
    return found


def _on_an_empty_node(
    log: RequestLog, empty: NDArray[np.bool_]
) -> tuple[float, float, float, float]:
    """Return base, time per token and per token met, and the least time; 0 for no such.

    There is a least time where the times of the shorter prompts are better said by a constant.
    """
    new, attention = (work[empty] for work in prompt_work(log))
    ttft_s = np.maximum(log.ttft_s[empty], 1e-9)
    line = np.stack([np.ones(len(new)), new, attention], axis=1)
    effects = _effects(line, ttft_s)
    best = _loss(line @ effects, ttft_s) * _FLOOR_GAIN
    found = (*effects.tolist(), 0.0)
    for limit in np.quantile(new, np.arange(0.2, 0.9, 0.1)).tolist():
        short = new <= limit
        if short.all():
            continue
        effects = _effects(line[~short], ttft_s[~short])
        least_s = float(np.median(ttft_s[short]))
        loss = _loss(np.where(short, least_s, line @ effects), ttft_s)
        if loss < best and least_s > float(effects[0]):
            best, found = loss, (*effects.tolist(), least_s)
    return found


def _loss(fitted_s: Floats, times_s: Floats) -> float:
    return float(np.mean(np.minimum(np.abs(fitted_s / times_s - 1.0), 1.0)))


def _effects(regressors: Floats, times_s: Floats) -> Floats:
    """Return what each regressor adds, 0 or more, with the least relative error."""
    from scipy.optimize import nnls

    relative = regressors / times_s[:, None]
    scale = np.sqrt(np.mean(relative**2, axis=0))
    used = np.flatnonzero(scale)
    effects = np.zeros(regressors.shape[1])
    effects[used] = nnls(relative[:, used] / scale[used], np.ones(len(times_s)))[0] / scale[used]
    return effects
