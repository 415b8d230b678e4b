"""The requests that a summary covers, as parallel arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsim.results.slo import LIMITED, Slo
from fedsim.results.tables import Tables
from fedsim.world.observer import Directory, StreamInfo


@dataclass(frozen=True, slots=True)
class Window:
    """The times of arrival that a summary covers, [start_s, end_s), in seconds."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """Length of the window in seconds."""
        return self.end_s - self.start_s

    def holds(self, times_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which of the times lie in the window."""
        return (times_s >= self.start_s) & (times_s < self.end_s)


@dataclass(frozen=True, slots=True)
class Sample:
    """What the measures need to know of each request.

    Attributes:
        ok: Whether it succeeded.
        good: Whether it was served within the limits of one request.
        cross: Whether it was served outside its region of origin.
        attempts: Number of attempts.
        hedges: Number of hedges among them.
        turned_away: Whether it ended for want of capacity before any attempt.
        latency_s: From arrival to the end, in seconds.
        ttft_s: From arrival to the first token, in seconds.
        tpot_s: Mean time between tokens after the first, in seconds.
        queue_wait_s: Wait in the node's queue, in seconds.
        prompt_tokens: Tokens of the prompt, or -1.
        cached_tokens: Those of them found in a prefix cache, or -1.
        preemptions: How often an engine preempted it, or -1.
    """

    ok: NDArray[np.bool_]
    good: NDArray[np.bool_]
    cross: NDArray[np.bool_]
    attempts: NDArray[np.integer[Any]]
    hedges: NDArray[np.integer[Any]]
    turned_away: NDArray[np.bool_]
    latency_s: NDArray[np.float64]
    ttft_s: NDArray[np.float64]
    tpot_s: NDArray[np.float64]
    queue_wait_s: NDArray[np.float64]
    prompt_tokens: NDArray[np.integer[Any]]
    cached_tokens: NDArray[np.integer[Any]]
    preemptions: NDArray[np.integer[Any]]

    @classmethod
    def of(cls, tables: Tables, directory: Directory, slo: Slo | None) -> Sample:
        """Return the sample of all requests."""
        of = partial(tables.values, "requests")
        ok, attempts = tables.are("requests", "ok"), of("attempts")
        latency_s, ttft_s, tpot_s = of("latency_s"), of("ttft_s"), of("tpot_s")
        limits_s = _limits_s(directory, slo)[:, of("stream")]
        # A missing token time is no longer than its limit: comparisons with NaN are false.
        late = (ttft_s > limits_s[0]) | (tpot_s > limits_s[1]) | (latency_s > limits_s[2])
        return cls(
            ok=ok,
            good=ok & ~late,
            cross=ok & (of("region") != of("origin")),
            attempts=attempts,
            hedges=_hedges(tables),
            turned_away=(attempts == 0) & tables.are("requests", "no_capacity"),
            latency_s=latency_s,
            ttft_s=ttft_s,
            tpot_s=tpot_s,
            queue_wait_s=of("queue_wait_s"),
            prompt_tokens=of("prompt_tokens"),
            cached_tokens=of("cached_tokens"),
            preemptions=of("preemptions"),
        )

    def part(self, rows: NDArray[np.integer[Any]]) -> Sample:
        """Return the requests in *rows*."""
        return Sample(
            self.ok[rows],
            self.good[rows],
            self.cross[rows],
            self.attempts[rows],
            self.hedges[rows],
            self.turned_away[rows],
            self.latency_s[rows],
            self.ttft_s[rows],
            self.tpot_s[rows],
            self.queue_wait_s[rows],
            self.prompt_tokens[rows],
            self.cached_tokens[rows],
            self.preemptions[rows],
        )


def _hedges(tables: Tables) -> NDArray[np.integer[Any]]:
    """Return the number of hedges of each request."""
    rows = tables.request_rows[tables.values("attempts", "hedge")]
    return np.bincount(rows, minlength=tables.count("requests"))


def _limits_s(directory: Directory, slo: Slo | None) -> NDArray[np.float64]:
    """Return the limits of one request, infinite where none is set: rows TTFT, TPOT and latency.

    There is a column per stream. A stream's own ``max_latency`` comes before the objective's.
    """
    objective = slo or Slo()
    limits_s = [
        [
            *(objective.limit_s(time, stream.name) for time in LIMITED[:-1]),
            _latency_s(stream, objective),
        ]
        for stream in directory.streams
    ]
    known = [[math.inf if limit is None else limit for limit in row] for row in limits_s]
    return np.array(known or [[math.inf] * len(LIMITED)]).T


def _latency_s(stream: StreamInfo, slo: Slo) -> float | None:
    own_s = stream.max_latency_s
    return slo.limit_s("latency", stream.name) if own_s is None else own_s
