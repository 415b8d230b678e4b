"""Studies of the long run: compare and sweep with ``study.steady_state``."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import fedsim
from fedsim.document import markdown
from fedsim.errors import ResultsError
from fedsim.report.comparison import comparison_report
from fedsim.report.sweep import sweep_report
from fedsim.studies.storage import comparison_json
from tests.studies.test_coverage import mm1

SERVICE_S = 0.1
LONG = {"study": {"steady_state": True}}
RATE = "workload.chat.arrivals.rate"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a study of M/M/1 that was begun for windows."""
    folder = tmp_path_factory.mktemp("long") / "study"
    scenario = mm1("steady", 5.0)
    fedsim.compare(
        scenario, strategies=["round_robin"], replications=2, workers=1, directory=folder
    )
    return folder


@pytest.fixture(scope="module")
def comparison(directory: Path) -> fedsim.Comparison:
    """Return the study of the long run that goes on in that directory."""
    return fedsim.compare(
        mm1("steady", 5.0, **LONG),
        strategies=["round_robin"],
        replications=5,
        workers=1,
        directory=directory,
    )


def test_queueing_theory_is_within_intervals(comparison: fedsim.Comparison):
    """Waits in M/M/1 at load 0.5: their mean, and the 90th percentile of all."""
    row = comparison.estimates().iloc[0]
    exact_s = {"mean": 0.1, "p90": math.log(0.5 / 0.1) / (1.0 / SERVICE_S - 5.0)}
    for measure, exact in exact_s.items():
        name = f"queue_wait_{measure}_s"
        assert row[f"{name}_low"] < exact < row[f"{name}_high"]
        assert row[f"{name}_high"] - row[f"{name}_low"] < exact
    assert row["success_rate"] == 1.0
    assert row["throughput_rps"] == pytest.approx(5.0, rel=0.1)


def test_runs_without_their_requests_are_made_again(comparison: fedsim.Comparison, directory: Path):
    """Runs that were made for windows lack what the long run takes; digests stay the same."""
    again = fedsim.open(directory)
    assert isinstance(again, fedsim.Comparison)
    assert all(each.observed is not None for each in again.records)
    assert again.target == comparison.target
    assert again.estimates().equals(comparison.estimates())
    assert again.digests == comparison.digests
    record = directory / "runs" / f"{comparison.records[-1].id}.json"
    data = json.loads(record.read_text())
    record.write_text(json.dumps(data | {"observed": None}))
    cut = fedsim.open(directory)
    assert isinstance(cut, fedsim.Comparison)
    assert cut.cells["state"].tolist() == ["done"] * 4 + ["missing"]
    record.write_text(json.dumps(data))


def test_every_table_names_the_long_run(comparison: fedsim.Comparison):
    """Headings say what estimates are of, and warnings why there is none of a tail."""
    assert comparison.target.startswith("in the long run, 5 replications, 95 %, warm-up ")
    text = markdown(comparison_report(comparison))
    assert f"Ranking by goodput ({comparison.target})" in text
    assert "that of the requests of all replications together" in text
    assert "mean of a window" not in text
    assert "round_robin, in the long run there is no estimate of latency_p999_s" in text
    with pytest.raises(ResultsError, match="is that of all requests, and not by stream"):
        comparison.by("stream")


def test_what_has_no_estimate_is_null(comparison: fedsim.Comparison):
    """In JSON it is null, with the reason; what each run measured is there all the same."""
    data = comparison_json(comparison)
    assert data["target"] == comparison.target
    assert math.isnan(data["ranking"][0]["latency_p999_s"])
    reasons = {row["measure"]: row["reason"] for row in data["withheld"]}
    assert reasons["latency_p999_s"].startswith("it needs 10,000 requests")
    assert reasons["imbalance"] == "it is measured over windows alone"
    assert comparison.replications["latency_p999_s"].notna().all()


def test_a_sweep_of_the_long_run():
    """Points have the same estimator, and differ in the warm-up that is deleted."""
    found = fedsim.sweep(
        mm1("steady", 5.0, duration="120s", warmup="0s", **LONG),
        grid={RATE: ["3/s", "12/s"]},
        replications=3,
        workers=1,
    )
    assert found.target.startswith("in the long run, 3 replications, 95 %")
    table = found.estimates()
    calm, full = table["latency_mean_s"].tolist()
    assert calm == pytest.approx(1.0 / (1.0 / SERVICE_S - 3.0), rel=0.2)
    assert full > 4.0 or math.isnan(full)
    assert f"Measures at each point ({found.target})" in markdown(sweep_report(found))
    reasons = set(found.withheld.query("measure == 'latency_p99_s'")["reason"])
    assert reasons
    with pytest.raises(ResultsError, match="is that of all requests"):
        found.estimates(by="stream")


def test_a_scenario_that_changes_over_time_has_a_warning():
    """A fault that strikes once, and a rate along a curve, are in no long run."""
    scenario = mm1(
        "changes",
        5.0,
        duration="60s",
        faults=[{"kind": "slowdown", "pool": "chat", "at": "20s", "lasts": "5s", "factor": 2}],
        **LONG,
    )
    found = fedsim.compare(scenario, strategies=["round_robin"], replications=2, workers=1)
    assert any("slowdown of chat strikes once" in text for text in found.warnings)
