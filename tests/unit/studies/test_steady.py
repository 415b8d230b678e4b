"""Estimates of the long run: warm-up, pooled percentiles, and runs that are too short."""

from __future__ import annotations

import numpy as np
import pytest

from fedsim.studies.statistics import Estimate
from fedsim.studies.steady import TooShort, mser, pooled_percentile, warmup


def test_mser_by_hand():
    """Batch means 6.6, 2, 2, 2, 2, 2 have 0.4898 with the first of them, and 0 without."""
    batches = np.array([6.6, 2.0, 2.0, 2.0, 2.0, 2.0])
    assert mser(batches)[:2] == pytest.approx([0.4898, 0.0], abs=5e-5)
    assert warmup(np.repeat(batches, 5)) == 5


def test_a_series_that_has_not_settled_has_no_warmup():
    """A series that rises to its end is too short, and so are two batches."""
    assert warmup(np.arange(100.0)) is None
    assert warmup(np.ones(9)) is None
    assert warmup(np.ones(100)) == 0


def test_warmup_does_not_depend_on_units():
    """A scaled and shifted series has the same warm-up."""
    rng = np.random.default_rng(5)
    series = 1.0 - np.exp(-np.arange(400) / 20.0) + rng.normal(0.0, 0.05, size=400)
    cut = warmup(series)
    assert cut is not None
    assert 20 <= cut <= 150
    assert warmup(1000.0 * series - 7.0) == cut


def test_a_pooled_percentile_by_hand():
    """The center is that of all runs, the spread that of the runs' own about it."""
    rng = np.random.default_rng(6)
    runs = rng.exponential(1.0, size=(10, 5_000))
    found = pooled_percentile(list(runs), 0.99)
    assert isinstance(found, Estimate)
    pooled = np.quantile(runs, 0.99)
    own = np.quantile(runs, 0.99, axis=1)
    half = 2.262157 * np.sqrt(((own - pooled) ** 2).sum() / 9.0 / 10.0)
    assert (found.mean, found.count) == (pooled, 10)
    assert (found.low, found.high) == pytest.approx((pooled - half, pooled + half), rel=1e-6)


def test_short_runs_are_refused():
    """A run without a tail of its own is refused, and so are runs unlike the whole."""
    rng = np.random.default_rng(7)
    few = pooled_percentile(list(rng.exponential(1.0, size=(10, 999))), 0.99)
    assert isinstance(few, TooShort)
    assert few.reason == (
        "a 99th percentile of the long run needs 1,000 requests after the warm-up in every run; "
        "one has 999"
    )
    busy = rng.exponential(1.0, size=(10, 1_000)) * np.array([5.0] + [1.0] * 9)[:, np.newaxis]
    off = pooled_percentile(list(busy), 0.99)
    assert isinstance(off, TooShort)
    assert "too short for the long run" in off.reason
