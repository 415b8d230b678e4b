"""What common random numbers are for, and that they are common."""

from __future__ import annotations

from pathlib import Path

import pytest

import fedsim
from fedsim.errors import ResultsError
from fedsim.studies.cells import Cell
from fedsim.studies.pairing import require_paired
from fedsim.studies.records import Question, Record
from fedsim.studies.runset import RunSet
from fedsim.studies.statistics import paired_difference
from tests import small_scenario

PAIRING = Path(fedsim.__file__).parents[1] / "scenarios" / "pairing.yaml"
BRIEF = Question(by=(), diagnosed=False)


def records(scenario, changes, replications=1):
    """Return a record per variant and replication, by the variant's name."""
    cells = [
        Cell({"variant": name}, change, number)
        for name, change in changes.items()
        for number in range(replications)
    ]
    found: dict[str, list[Record]] = {name: [] for name in changes}
    with RunSet(scenario, question=BRIEF, workers=1) as runs:
        for each in runs.run(runs.planned(cells)):
            assert isinstance(each, Record)
            found[each.key["variant"]].append(each)
    return found


def test_pairing_narrows_the_interval_of_a_difference():
    """One node of sixteen makes a difference that pairing finds, and separate seeds hardly."""
    scenario = fedsim.load(PAIRING, {"duration": "90s", "warmup": "10s"})
    changes = {"sixteen": {}, "fifteen": {"pools.chat.count": 15}}
    found = records(scenario, changes, replications=8)
    require_paired(each for group in found.values() for each in group)
    for measure, least in (("latency_mean_s", 3.0), ("latency_p95_s", 1.4)):
        fifteen, sixteen = (
            [each.value(measure) for each in found[name]] for name in ("fifteen", "sixteen")
        )
        difference = paired_difference(fifteen, sixteen)
        assert difference.narrowed >= least
        assert difference.absolute.low > 0.0


def test_variants_of_other_arrivals_are_no_pair(tmp_path):
    """The stream is named; what only one variant has is no matter, such as a node's faults."""
    scenario = fedsim.load(small_scenario.write(tmp_path))
    found = records(
        scenario,
        {
            "base": {},
            "nodes": {"pools.west-chat.count": 1},
            "strategy": {"federation.strategy": "random"},
            "rate": {"workload.chat.arrivals.rate": "13/s"},
        },
    )
    base, nodes, strategy, rate = (found[name][0] for name in found)
    assert set(base.exogenous) == {"workload.chat", "outage of east-chat-0"}
    require_paired([base, nodes, strategy])
    with pytest.raises(ResultsError, match=r"base and rate are not paired: workload\.chat differs"):
        require_paired([base, rate])


def test_faults_that_differ_are_named(tmp_path):
    """A fault that strikes at another time is named with what it strikes."""
    scenario = fedsim.load(small_scenario.write(tmp_path))
    found = records(scenario, {"base": {}, "later": {"faults.0.at": "16s"}})
    with pytest.raises(ResultsError, match="outage of east-chat-0 differs"):
        require_paired([found["base"][0], found["later"][0]])


def test_users_who_wait_for_answers_are_left_out(tmp_path):
    """A closed loop asks when it was answered, which depends on who serves."""
    text = small_scenario.TEXT.replace(
        "arrivals: {process: poisson, rate: 12/s}",
        "arrivals: {process: closed_loop, users: 12, think: {distribution: exponential, mean: 1s}}",
    )
    scenario = fedsim.load(small_scenario.write(tmp_path, text))
    found = records(scenario, {"base": {}, "random": {"federation.strategy": "random"}})
    assert set(found["base"][0].exogenous) == {"outage of east-chat-0"}
    require_paired([found["base"][0], found["random"][0]])
