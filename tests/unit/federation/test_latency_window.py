"""Latency windows forget what is too old or too much, and give exact quantiles of the rest."""

from __future__ import annotations

import pytest

from fedsim.federation.latency import LatencyWindow


def window(*samples, window_s=60.0, limit=100):
    """Return a window with pairs of time and latency."""
    made = LatencyWindow(window_s, limit)
    for at_s, latency_s in samples:
        made.add(at_s, latency_s)
    return made


def test_empty():
    """A window without samples knows nothing, and says 0."""
    empty = window()

    assert empty.median_s == 0.0
    assert empty.quantile(0.99) == 0.0
    assert empty.count(0.0) == 0


def test_median():
    """The median is the middle sample, or the mean of the two in the middle."""
    odd = window((0.0, 5.0), (1.0, 1.0), (2.0, 3.0))
    assert odd.median_s == 3.0

    odd.add(3.0, 10.0)
    assert odd.median_s == 4.0


def test_quantile_interpolates():
    """The 99th percentile of two samples lies 99 % of the way between them."""
    assert window((0.0, 1.0), (0.0, 2.0)).quantile(0.99) == pytest.approx(1.99)


def test_the_oldest_go_first():
    """Beyond the limit, a new sample replaces the oldest."""
    full = window((0.0, 9.0), (1.0, 1.0), (2.0, 2.0), (3.0, 3.0), limit=3)

    assert full.count(3.0) == 3
    assert full.median_s == 2.0
    assert full.quantile(1.0) == 3.0


def test_old_samples_are_forgotten_when_a_new_one_comes():
    """A sample older than the window does not survive a new one; equal latencies go singly."""
    aged = window((0.0, 9.0), (30.0, 9.0), (70.0, 1.0))

    assert aged.count(70.0) == 2
    assert aged.median_s == 5.0


def test_all_is_forgotten_at_the_end_of_the_window():
    """Without new samples, the window counts up to the last instant and is empty at its end."""
    quiet = window((0.0, 1.0), (40.0, 1.0))

    assert quiet.expires_s == 100.0
    assert quiet.count(99.999) == 2
    assert quiet.count(100.0) == 0


def test_a_sample_as_old_as_the_window_is_forgotten():
    """What has expired at an instant is not revived by a sample that comes at it."""
    revived = window((0.0, 9.0), (60.0, 1.0))

    assert revived.count(60.0) == 1
    assert revived.median_s == 1.0
