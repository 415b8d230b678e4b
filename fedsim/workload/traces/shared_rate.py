"""The rate of a trace as far as all its clients share it: days, steps and spikes, without bursts.

The span is halved again and again. Where a rate is the same in both halves of a part with n
requests, the counts of the halves differ by the square root of n, times what the clients' own
bursts add on that scale: that is seen in what most parts of the scale do. A part whose halves
differ by far more has seen something that happened to all clients, and it, and all around it, keeps
both rates; every other part has one. This is the recursive dyadic partition of Kolaczyk and Nowak
(2004), with a dispersion of its own for each scale.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_FEWEST = 8
"""Requests that a part needs to be judged."""

_PARTS = 32
"""Parts that a scale needs to estimate how much its halves differ ordinarily."""

_USUAL_SHARE = 0.9
_USUAL = 2.7055
"""A square of a normal variable is at most this in that share of cases."""


class SharedRate:
    """A trace's clock that runs with the rate that its clients share.

    In its own time, which passes by 1 from the first request to the end of the trace, requests
    come at one rate throughout, but for the bursts of single clients.

    Args:
        times_s: Times of the requests in seconds, ascending.
        end_s: End of the trace in seconds, after the last of them.
    """

    def __init__(self, times_s: Floats, end_s: float) -> None:
        depth = max(math.ceil(math.log2(max(len(times_s) / 4.0, 1.0))), 0)
        bounds_s = np.linspace(times_s[0], end_s, 2**depth + 1)
        cells = np.searchsorted(bounds_s[1:-1], times_s, side="right")
        shares = _shares(np.bincount(cells, minlength=2**depth).astype(np.float64))
        self._bounds_s = bounds_s
        self._own = np.concatenate(([0.0], np.cumsum(shares)))
        self._own /= self._own[-1]

    def own(self, times_s: Floats) -> Floats:
        """Return the own time at each of *times_s*, from 0 to 1."""
        return np.interp(times_s, self._bounds_s, self._own)

    def times_s(self, own: Floats) -> Floats:
        """Return when it is each of the times *own*, from 0 to 1."""
        return np.interp(own, self._own, self._bounds_s)


def _shares(counts: Floats) -> Floats:
    """Return the share of the requests in each cell, by the shared rate alone."""
    scales = [counts]
    while len(scales[-1]) > 1:
        scales.append(scales[-1].reshape(-1, 2).sum(axis=1))
    pairs = [each.reshape(-1, 2) for each in scales[:-1]]  # the finest scale first
    squares = [_squares(pair) for pair in pairs]
    limit = 2.0 * math.log(max(len(counts), 2))
    differs = np.zeros(len(counts), dtype=np.bool_)
    kept = []
    for square, usual in zip(squares, _dispersions(squares), strict=True):
        differs = differs.reshape(-1, 2).any(axis=1) | (np.nan_to_num(square) > limit * usual)
        kept.append(differs)
    shares = np.ones(1)
    for pair, differs in zip(reversed(pairs), reversed(kept), strict=True):
        whole = np.maximum(pair.sum(axis=1, keepdims=True), 1.0)
        halves = np.where(differs[:, None], pair / whole, 0.5)
        shares = (shares[:, None] * halves).reshape(-1)
    return shares


def _squares(pair: Floats) -> Floats:
    """Return how much the halves of parts differ: 1 on average for a steady Poisson process."""
    whole = pair.sum(axis=1)
    enough = whole >= _FEWEST
    squares: Floats = np.full(len(pair), np.nan)
    squares[enough] = (pair[enough, 0] - pair[enough, 1]) ** 2 / whole[enough]
    return squares


def _dispersions(squares: list[Floats]) -> list[float]:
    """Return how much halves differ ordinarily on each scale, at least as in a Poisson process.

    A scale with too few parts to estimate it has that of the nearest one, the finer of two.
    """
    known = {}
    for scale, each in enumerate(squares):
        judged = each[np.isfinite(each)]
        if len(judged) >= _PARTS:
            known[scale] = max(float(np.quantile(judged, _USUAL_SHARE)) / _USUAL, 1.0)
    return [
        known[min(known, key=lambda each: (abs(each - scale), each))] if known else 1.0
        for scale in range(len(squares))
    ]
