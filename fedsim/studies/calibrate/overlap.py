"""What ran in the steps of each request, as far as a log shows.

A request decodes between its first and its last token, one token a step, and so do all others that
overlap with it. If the steps up to any time were known, so were the tokens of all requests by that
time, and their contexts: sums of straight lines and parabolas. What ran next to a request is the
growth of those sums over its own decoding. A log does not show the steps, but with roughly known
coefficients it shows how fast they went: so many sequences decoded between two neighbouring times
of the log, and so much of that span went to prefills, which end with the first tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedsim.studies.calibrate.log import Floats, RequestLog

Rows = NDArray[np.intp]

DECODE = ("steps", "sequences", "context", "prompt", "attention", "prefills")
"""What ran between a request's first token and its last, summed over these steps.

``steps`` is their number, ``sequences`` and ``context`` count the sequences that decoded and their
tokens of context, ``prompt`` and ``attention`` the prompt tokens that were prefilled and the
tokens that these met (``n (c + n/2)``), and ``prefills`` the steps that prefilled.
"""

FIRST = ("request", "empty", *DECODE[1:])
"""What ran between a request's arrival and its first token.

``request`` is 1, and ``empty`` is 1 if it met no other request on its node; the others are as in
``DECODE``.
"""

_SAME_STEP = 0.05


@dataclass(frozen=True, slots=True)
class Pace:
    """Roughly how long steps take, in seconds.

    Attributes:
        step_s: A step that decodes.
        sequence_s: Added per sequence.
        context_s: Added per token of context.
        prompt_s: Added per prompt token.
        attention_s: Added per token that a prompt token meets.
        prefill_s: Added to a step that decodes and prefills.
    """

    step_s: float
    sequence_s: float
    context_s: float
    prompt_s: float
    attention_s: float
    prefill_s: float


def features(log: RequestLog, pace: Pace | None = None) -> tuple[Floats, Floats]:
    """Return what ran in the steps of each request.

    Args:
        log: The requests.
        pace: How fast steps go; None takes each request's tokens as evenly spread.

    Returns:
        The columns of ``DECODE``, and those of ``FIRST``; a row per request.
    """
    decode, first = np.zeros((len(log), len(DECODE))), np.zeros((len(log), len(FIRST)))
    for place in range(len(log.nodes)):
        rows = np.flatnonzero(log.node == place)
        decode[rows], first[rows] = _on_a_node(log, rows, pace)
    return decode, first


def prompt_work(log: RequestLog) -> tuple[Floats, Floats]:
    """Return the tokens that each prompt's prefill computes, and the tokens that these meet."""
    new = (log.prompt_tokens - log.cached_tokens).astype(np.float64)
    return new, new * (log.cached_tokens + new / 2.0)


def met_empty(log: RequestLog) -> NDArray[np.bool_]:
    """Return which requests met a node on which every earlier request had finished."""
    found = np.zeros(len(log), dtype=np.bool_)
    for place in range(len(log.nodes)):
        rows = np.flatnonzero(log.node == place)
        busy_until_s = np.maximum.accumulate(log.last_token_s[rows])
        found[rows] = np.append(True, log.arrived_s[rows][1:] > busy_until_s[:-1])
    return found


def _on_a_node(log: RequestLog, rows: Rows, pace: Pace | None) -> tuple[Floats, Floats]:
    arrived_s, first_s, last_s = (
        times_s[rows] for times_s in (log.arrived_s, log.first_token_s, log.last_token_s)
    )
    new, attention = (work[rows] for work in prompt_work(log))
    steps = np.asarray(log.output_tokens[rows] - 1.0, dtype=np.float64)
    decoded = _Decoded(first_s, last_s, log.prompt_tokens[rows].astype(np.float64), steps)
    step_s = decoded.step_s
    if pace is not None:
        clock = _clock(decoded, first_s, _stalls_s(pace, new, attention), pace)
        decoded = decoded.on(clock)
    else:
        clock = _wall_clock
    order = np.argsort(first_s, kind="stable")
    prefilled = _Prefilled(first_s[order], step_s)
    empty = met_empty(log)[rows]

    def ran(begin_s: Floats, end_s: Floats) -> list[Floats]:
        between = [
            total(clock(end_s)) - total(clock(begin_s))
            for total in (decoded.sequences, decoded.context)
        ]
        work = (new[order], attention[order], prefilled.steps)
        return [*between, *(prefilled.between(each, begin_s, end_s) for each in work)]

    own = [np.ones(len(rows)), empty * 1.0]
    return (
        np.stack([steps, *ran(first_s, last_s)], axis=1),
        np.stack([*own, *ran(arrived_s, first_s)], axis=1),
    )


def _wall_clock(time_s: Floats) -> Floats:
    return time_s


def _stalls_s(pace: Pace, new: Floats, attention: Floats) -> Floats:
    return pace.prefill_s + pace.prompt_s * new + pace.attention_s * attention


def _clock(
    decoded: _Decoded, first_s: Floats, stalls_s: Floats, pace: Pace
) -> Callable[[Floats], Floats]:
    """Return a map from times to the number of steps that have been made by then."""
    times_s = np.unique(decoded.times_s)
    if len(times_s) < 2:
        return _wall_clock
    sequences = np.diff(decoded.sequences(times_s))
    context = np.diff(decoded.context(times_s)) / np.maximum(sequences, 1e-9)
    running = decoded.running((times_s[1:] + times_s[:-1]) / 2.0)
    step_s = pace.step_s + running * (pace.sequence_s + pace.context_s * context)
    ends = np.searchsorted(times_s, first_s) - 1
    inside = (ends >= 0) & (ends < len(step_s))
    stalled_s = np.bincount(ends[inside], stalls_s[inside], len(step_s))
    # A span that is all stall still gets a sliver, so that time and steps map one to one.
    steps = np.maximum((np.diff(times_s) - stalled_s) / np.maximum(step_s, 1e-9), 1e-6)
    made = np.append(0.0, np.cumsum(steps))
    return lambda time_s: np.interp(time_s, times_s, made)


class _Prefilled:
    """Sums over the prefills that ended in a span of time.

    Args:
        ends_s: When each ended, ascending.
        step_s: A usual step: prefills whose ends lie closer than a part of it share one.
    """

    def __init__(self, ends_s: Floats, step_s: float) -> None:
        self._ends_s = ends_s
        self.steps = np.append(True, np.diff(ends_s) > _SAME_STEP * step_s) * 1.0

    def between(self, work: Floats, begin_s: Floats, end_s: Floats) -> Floats:
        """Return the work, given in the order of the ends, that ended after begin, up to end."""
        total = np.append(0.0, np.cumsum(work))
        after, until = (
            np.searchsorted(self._ends_s, time_s, side="right") for time_s in (begin_s, end_s)
        )
        return np.asarray(total[until] - total[after])


class _Decoded:
    """The tokens that have come out of a node by a time, and the sum of their contexts.

    Args:
        first: First token of each request, on any clock.
        last: Its last one.
        prompt: Its prompt tokens.
        steps: Its output tokens less one.
    """

    def __init__(self, first: Floats, last: Floats, prompt: Floats, steps: Floats) -> None:
        rows = np.flatnonzero((steps > 0.0) & (last > first))
        self._requests = first[rows], last[rows], prompt[rows], steps[rows]
        first, last, prompt, steps = self._requests
        rate = steps / (last - first)
        # A request at its token k has the context prompt + k, and k is rate (t - first) + 1/2.
        start = rate * (prompt + 0.5 - rate * first)
        changes = np.stack([np.ones(len(rows)), rate, start, rate * rate])
        times = np.concatenate([first, last])
        order = np.argsort(times, kind="stable")
        self.times_s = np.append(0.0, times[order]) if not len(rows) else times[order]
        both = np.concatenate([changes, -changes], axis=1)[:, order]
        self._slopes = np.cumsum(both, axis=1) if len(rows) else np.zeros((4, 1))
        spans, halves = np.diff(self.times_s), np.diff(self.times_s**2) / 2.0
        _, rates, starts, squares = self._slopes[:, :-1]
        self._sequences = np.append(0.0, np.cumsum(rates * spans))
        self._context = np.append(0.0, np.cumsum(starts * spans + squares * halves))

    @property
    def step_s(self) -> float:
        """The median time between two tokens of a request, on its clock."""
        first, last, _, steps = self._requests
        return float(np.median((last - first) / steps)) if len(steps) else 0.0

    def on(self, clock: Callable[[Floats], Floats]) -> _Decoded:
        """Return the same tokens on another clock."""
        first, last, prompt, steps = self._requests
        return _Decoded(clock(first), clock(last), prompt, steps)

    def running(self, time: Floats) -> Floats:
        """Return how many requests decode."""
        place, known = self._place(time)
        return np.where(known, self._slopes[0, place], 0.0)

    def sequences(self, time: Floats) -> Floats:
        """Return the tokens that have come out."""
        place, known = self._place(time)
        past = time - self.times_s[place]
        return np.where(known, self._sequences[place] + self._slopes[1, place] * past, 0.0)

    def context(self, time: Floats) -> Floats:
        """Return the contexts of the tokens that have come out, summed."""
        place, known = self._place(time)
        begin = self.times_s[place]
        grown = self._slopes[2, place] * (time - begin)
        grown += self._slopes[3, place] * (time**2 - begin**2) / 2.0
        return np.where(known, self._context[place] + grown, 0.0)

    def _place(self, time: Floats) -> tuple[Rows, NDArray[np.bool_]]:
        place = np.searchsorted(self.times_s, time, side="right") - 1
        return np.maximum(place, 0), place >= 0
