"""The objective in the scenario file: its keys, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsim.errors import ScenarioError
from fedsim.results.slo import Slo
from fedsim.scenario.load import load
from tests.unit.scenario.writing import SMALLEST, loaded, write


def of(folder: Path, slo: dict[str, object]) -> Slo | None:
    """Return the objective of a small scenario."""
    return loaded(folder, SMALLEST, {"slo": slo}).slo


def test_every_key(tmp_path: Path) -> None:
    """Times in seconds at any percentile, shares, windows, and bounds by stream."""
    slo: dict[str, object] = {
        "ttft_p99": "1s",
        "tpot_p42": "50ms",
        "queue_wait_p999": "2min",
        "success_rate": "99.9%",
        "goodput": "99%",
        "every": "1min",
        "streams": {"chat": {"latency_p99": "10min"}},
    }
    times = {"ttft_p99": 1.0, "tpot_p42": 0.05, "queue_wait_p999": 120.0}
    expected = Slo(
        times | {"success_rate": 0.999, "goodput": 0.99}, 60.0, {"chat": {"latency_p99": 600.0}}
    )

    assert of(tmp_path, slo) == expected
    resolved = loaded(tmp_path, SMALLEST, {"slo": slo}).to_yaml()
    assert load(write(tmp_path, resolved, "again.yaml")).slo == expected


def test_null_bounds_nothing(tmp_path: Path) -> None:
    """A bound of a file can be taken back on the command line: --set slo.latency_p99=null."""
    small = loaded(tmp_path, SMALLEST, {"slo": {"latency_p99": "1s", "success_rate": "99%"}})
    changed = small.changed({"slo.latency_p99": None})

    assert changed.slo == Slo({"success_rate": 0.99})
    assert load(write(tmp_path, changed.to_yaml(), "again.yaml")).slo == changed.slo


@pytest.mark.parametrize(
    ("slo", "message"),
    [
        ({}, "The objective is empty. Add latency_p99 or success_rate"),
        ({"every": "1min"}, "There are windows, by every, and no bound that could be held in"),
        (
            {"latency_p99": "1s", "streams": {"chat": {}}},
            "slo.streams.chat: The objective is empty",
        ),
        ({"latencyp99": "1s"}, "There is no key 'latencyp99' here. Did you mean latency_p99?"),
        ({"sucess_rate": "1%"}, "Did you mean success_rate?"),
        ({"latency_p100": "1s"}, "Write latency_p10, or p999 for 99.9 %."),
        ({"latency_p0": "1s"}, "Write latency_p99 or the like."),
        ({"x": "1s"}, "Write ttft_p99, tpot_p99, latency_p99, queue_wait_p99, success_rate"),
        ({"latency_p99": 1}, "1 has no unit."),
        ({"latency_p99": "0s"}, "'0s' is too small."),
        ({"goodput": "101%"}, "'101%' is too large."),
        (
            {"streams": {"chta": {"latency_p99": "1s"}}},
            "There is no stream 'chta'. Did you mean chat?",
        ),
        ({"streams": {"chat": {"every": "1s"}}}, "There is no key 'every' here."),
        (
            {"latency_p99": "1s", "every": "2h"},
            "No window of 2h fits into what comes after the warm-up. Write at most 9min",
        ),
    ],
)
def test_wrong_ones(tmp_path: Path, slo: dict[str, object], message: str) -> None:
    """What is wrong is said, with what to write instead."""
    with pytest.raises(ScenarioError) as caught:
        of(tmp_path, slo)
    assert message in str(caught.value)
