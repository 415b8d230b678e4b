"""Estimates of the long run: warm-up, pooled values, and runs that are too short."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fedsim.studies.believed import target
from fedsim.studies.observed import PARTS, Observed
from fedsim.studies.records import MEASURE_PLACES
from fedsim.studies.steady import LongRun, excursions, long_run, mser, warmup
from tools.coverage import observed


def found(runs: NDArray[np.float64]) -> LongRun:
    """Return the long run of latencies: a row per run, in a window of 100 s."""
    return long_run([observed(run) for run in runs], 100.0)


def column(of: LongRun, measure: str) -> NDArray[np.float64]:
    """Return a measure by run."""
    return of.values[:, MEASURE_PLACES[measure]]


def test_mser_by_hand():
    """Batch means 6.6, 2, 2, 2, 2, 2 have 0.4898 with the first of them, and 0 without."""
    batches = np.array([6.6, 2.0, 2.0, 2.0, 2.0, 2.0])
    assert mser(batches)[:2] == pytest.approx([0.4898, 0.0], abs=5e-5)
    assert warmup(np.repeat(batches, 5)) == 5


def test_warmup_does_not_depend_on_units():
    """A scaled and shifted series has the same warm-up."""
    rng = np.random.default_rng(5)
    series = 1.0 - np.exp(-np.arange(400) / 20.0) + rng.normal(0.0, 0.05, size=400)
    cut = warmup(series)
    assert 20 <= cut <= 150
    assert warmup(1000.0 * series - 7.0) == cut


def test_values_are_those_of_all_runs_pooled():
    """Their mean is that of the pooled requests, their spread that of the runs' own."""
    runs = np.random.default_rng(6).exponential(1.0, size=(10, 5_000))
    kept = runs[:, 50 * found(runs).cut :]
    for measure, of in (
        ("latency_p99_s", lambda values: np.quantile(values, 0.99)),
        ("latency_mean_s", np.mean),
    ):
        values = column(found(runs), measure)
        own = np.array([of(run) for run in kept])
        assert values.mean() == pytest.approx(of(kept), rel=1e-12)
        assert values - values.mean() == pytest.approx(own - own.mean(), abs=1e-12)
    assert set(column(found(runs), "success_rate")) == {1.0}
    assert set(column(found(runs), "requests")) == {float(kept.shape[1])}
    assert np.isnan(column(found(runs), "imbalance")).all()
    assert found(runs).refused["imbalance"] == "it is measured over windows alone"


def test_a_distorted_beginning_is_cut():
    """It is left out of every measure, in whole batches, and by as much in all runs."""
    rng = np.random.default_rng(9)
    runs = rng.exponential(1.0, size=(5, 10_000))
    runs[:, :1_200] += 10.0
    of_it = found(runs)
    assert 15 <= of_it.cut <= 25
    assert column(of_it, "latency_mean_s").mean() == pytest.approx(1.0, abs=0.02)
    throughput = column(of_it, "throughput_rps")
    assert throughput == pytest.approx(10_000 / 100.0, rel=1e-12)
    cuts = [15.0, np.nan, 25.0]
    assert target([100.0], [5], 0.95, cuts) == (
        "in the long run, 5 replications, 95 %, warm-up 15s to 25s deleted"
    )


def test_what_has_not_settled_is_refused():
    """A latency that rises to the end has no long run, nor have shares that fall."""
    rng = np.random.default_rng(7)
    rising = rng.exponential(1.0, size=(5, 2_000)) + np.arange(2_000) / 1_000.0
    of_it = found(rising)
    assert set(of_it.refused.values()) == {"the mean latency rises to the end of the window"}
    assert np.isnan(of_it.values).all()
    halves = long_run([observed(run[1_000:]) for run in rising[:, ::-1]], 100.0)
    assert halves.refused["success_rate"] == "the mean latency falls to the end of the window"
    gaps = [observed(run) for run in rising[:, :90]]
    assert long_run(gaps, 100.0).refused["latency_p50_s"] == (
        "a 100th part of the window has no mean latency in any run"
    )


def test_excursions_by_hand():
    """Beyond 3 again counts only once 1 or less was in between."""
    values = np.array([0.0, 4.0, 2.0, 5.0, 1.0, 2.0, 4.0, 4.0, 0.0])
    assert excursions(values, 1.0, 3.0) == 2
    assert excursions(values[1:], 1.0, 3.0) == 2
    assert excursions(values, 1.0, 5.0) == 1  # nothing exceeds it, one reaches it
    assert excursions(np.ones(5), 1.0, 1.0) == 1


def test_short_runs_are_refused():
    """Too few requests, or too few busy times, give no estimate, and the reason says how many."""
    rng = np.random.default_rng(7)
    few = found(rng.exponential(1.0, size=(10, 900)))
    assert few.refused["latency_p99_s"].startswith("it needs 1,000 requests in every run after")
    assert "latency_p95_s" not in few.refused
    phases = 2.0 * np.pi * np.arange(10)[:, np.newaxis] / 10.0
    busy = np.sin(np.arange(4_000) / 200.0 + phases) + 1.0  # three busy times
    busy += rng.exponential(0.01, size=busy.shape)
    refused = found(busy).refused["latency_p99_s"]
    assert refused.startswith("a run goes beyond it 0.33 times")
    assert "take runs of at least" in refused
    assert np.isnan(column(found(busy), "latency_p99_s")).all()


def test_values_without_spread_are_known():
    """A wait of 0 for most has a percentile of 0, however rarely there is another one."""
    runs = np.zeros((4, 4_000))
    runs[:, 77] = 1.0
    assert set(column(found(runs), "latency_p99_s")) == {0.0}


def test_requests_are_kept_as_text():
    """What is written is what is read; anything else is an error."""
    run = observed(np.random.default_rng(4).exponential(size=500))
    again = Observed.from_text(run.to_text())
    assert again.part.tolist() == run.part.tolist()
    assert again.part.max() == PARTS - 1
    assert np.array_equal(again.sample.latency_s, run.sample.latency_s)
    assert again.sample.ok.all()
    for broken in ("", "no base64!", run.to_text()[:400]):
        with pytest.raises(ValueError, match="its requests are broken"):
            Observed.from_text(broken)
