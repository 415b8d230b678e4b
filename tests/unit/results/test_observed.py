"""What was measured next to what was simulated, minute by minute."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import StepPatch

from fedsim.errors import ArgumentError, FedsimError, ResultsError
from fedsim.results.observed import COMPARED
from fedsim.results.run import Run
from tests.fake_world import FakeWorld

START = datetime.fromisoformat("2026-11-03T14:05:00+01:00")
DIFFERENCES = [
    "requests_difference",
    "failures_difference",
    "latency_p50_difference_s",
    "latency_p95_difference_s",
]


@pytest.fixture(scope="module")
def run() -> Run:
    """A run with an outage, on the clock; its last minute is half of one."""
    return FakeWorld(duration_s=210.0).run(start=START)


def logged(run: Run) -> pd.DataFrame:
    """Return the requests of a run as an operator's log has them."""
    requests = run.requests
    return pd.DataFrame(
        {
            "timestamp": pd.Timestamp(START) + pd.to_timedelta(requests["arrived_s"], unit="s"),
            "latency_ms": 1000.0 * requests["latency_s"],
            "status": np.where(requests["outcome"] == "ok", 200, 503),
        }
    )


def by_hand(run: Run) -> pd.DataFrame:
    """Return requests, failures and percentiles by minute of arrival, from pandas."""
    requests = run.requests
    requests = requests[requests["arrived_s"] < run.duration_s]
    minute = (requests["arrived_s"] // 60).astype(int)
    ok = requests["outcome"] == "ok"
    times = requests["latency_s"].where(ok).groupby(minute)
    columns = (minute.groupby(minute).size(), (~ok).groupby(minute).sum())
    quantiles = (times.quantile(0.5), times.quantile(0.95))
    return pd.DataFrame(dict(zip(COMPARED, (*columns, *quantiles), strict=True)))


def test_a_log_of_the_run_itself_differs_in_nothing(run: Run):
    """Whatever form it has: dates, seconds since 1970 or the start, a file; and so by minute."""
    log, requests = logged(run), run.requests
    epoch = log.assign(timestamp=log["timestamp"].map(lambda each: each.timestamp()))
    relative = pd.DataFrame(
        {
            "arrived_s": requests["arrived_s"],
            "end": requests["finished_s"],
            "error": np.where(requests["outcome"] == "ok", "", "refused"),
        }
    )
    minutes = by_hand(run).reset_index(drop=True)
    minutes["time"] = [START + timedelta(minutes=number) for number in range(4)]

    for each in (log, log.sample(frac=1.0, random_state=1), epoch, relative, minutes):
        found = run.against(each)
        assert np.nanmax(np.abs(found[DIFFERENCES].to_numpy())) < 1e-6
        assert found["requests_observed"].sum() == (requests["arrived_s"] < 210.0).sum()


def test_each_minute_is_counted(run: Run):
    """Against the same by pandas' own means."""
    found, expected = run.against(logged(run)), by_hand(run)

    assert found["time_s"].tolist() == [0.0, 60.0, 120.0, 180.0]
    assert found["clock"].tolist()[:2] == ["14:05:00 UTC+01:00", "14:06:00 UTC+01:00"]
    for name in COMPARED:
        stem, unit = (name[:-2], "_s") if name.endswith("_s") else (name, "")
        for kind in ("simulated", "observed"):
            values = found[f"{stem}_{kind}{unit}"].to_numpy(dtype=float)
            assert values == pytest.approx(expected[name].to_numpy(dtype=float), nan_ok=True)


def test_a_file_is_a_log(run: Run, tmp_path: Path):
    """With columns under other names, which the caller says."""
    log = logged(run).rename(columns={"timestamp": "t0", "latency_ms": "took_ms"})
    log["t0"] = log["t0"].dt.tz_convert("UTC").dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    log.to_csv(tmp_path / "log.csv", index=False)

    found = run.against(tmp_path / "log.csv", {"arrival": "t0", "latency": "took_ms"})

    assert found["requests_difference"].tolist() == [0, 0, 0, 0]
    assert np.nanmax(np.abs(found["latency_p95_difference_s"])) < 1e-5


def test_what_a_log_does_not_say_is_missing(run: Run):
    """Without latencies there is no percentile of them, and nothing is made up."""
    found = run.against(logged(run)[["timestamp", "status"]])

    assert found["latency_p95_observed_s"].isna().all()
    assert found["requests_difference"].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("log", "options", "message"),
    [
        ({"when": [1.0]}, {}, 'No column is arrival. Name it by columns={"field": "column"}'),
        ({"time": ["soon"]}, {}, "time is 'soon', not a time"),
        ({"time": [900.0, 990.0]}, {}, "from 14:20:00 UTC+01:00 to 14:21:30 UTC+01:00"),
        ({"time": [0.0, 30.0], "requests": [1, 2]}, {}, "several rows of the log are about"),
        ({"time": [0.0]}, {"columns": {"arival": "time"}}, "There is no field 'arival'"),
        ({"time": [0.0]}, {"columns": {"arrival": "t"}}, "There is no column 't' for arrival"),
        ({"time": [0.0]}, {"every_s": 0.0}, "every_s is the seconds of a row"),
        ([1.0], {}, "is a table or the file of one"),
    ],
)
def test_errors(run: Run, log: Any, options: dict[str, Any], message: str):
    """Each says what is wrong with the log, and what to write."""
    observed = pd.DataFrame(log) if isinstance(log, dict) else log

    with pytest.raises(FedsimError) as caught:
        run.against(observed, **options)
    assert message in str(caught.value)
    assert isinstance(caught.value, ArgumentError | ResultsError | ValueError)


def test_a_clock_needs_a_start(run: Run):
    """A scenario without one is told which would fit the log."""
    without = FakeWorld(duration_s=210.0).run()

    with pytest.raises(ResultsError, match="add start: 2026-11-03T13:05Z"):
        without.against(logged(run))


def test_the_timeline_shows_both(run: Run):
    """Dotted lines are the rates and percentiles of the table; the simulated one is the p95."""
    load, _, latency = run.plot.timeline(observed=logged(run)).axes[-3:]
    table = run.against(logged(run))
    lines = {str(line.get_label()): line for axes in (load, latency) for line in axes.lines}

    rates = table["requests_observed"].to_numpy() / np.array([60.0, 60.0, 60.0, 30.0])
    assert np.asarray(lines["observed requests"].get_ydata()) == pytest.approx(rates)
    measured = np.asarray(lines["observed p95"].get_ydata())
    assert measured == pytest.approx(table["latency_p95_observed_s"].to_numpy(), nan_ok=True)
    steps = [each for each in latency.patches if isinstance(each, StepPatch)]
    (p95,) = (each for each in steps if each.get_label() == "p95 of successful")
    simulated = np.asarray(p95.get_data()[0])
    assert simulated == pytest.approx(measured, nan_ok=True, rel=1e-6)
