"""Plans against an exhaustive search of every fleet that is no dearer, in every case."""

from __future__ import annotations

import numpy as np
import pytest

import fedsim
from fedsim.studies.plan.verdict import judged

REPLICATIONS = 12

SCENARIO = """\
name: three-pools
duration: 150s
warmup: 15s
regions: {us: {}, eu: {}}
network: {between: {us/eu: 80ms}}
pools:
  us-slow: {region: us, slots: 2, queue_limit: 200, cost: 2 USD/h,
            service: {distribution: lognormal, median: SLOW, p99: SLOWEST}}
  us-fast: {region: us, slots: 4, queue_limit: 200, cost: 3 USD/h,
            service: {distribution: lognormal, median: 450ms, p99: 1500ms}}
  eu-fast: {region: eu, slots: 4, queue_limit: 200, cost: 3 USD/h,
            service: {distribution: lognormal, median: 450ms, p99: 1500ms}}
workload: {chat: {arrivals: {process: poisson, rate: 18/s}}}
federation: {strategy: least_connections}
slo: {latency_p95: LIMIT, success_rate: 99%}
plan:
  vary: {pools.us-slow.count: [0, 4], pools.us-fast.count: [0, 4], pools.eu-fast.count: [1, 6]}
  survive: [any_region]
"""
OBJECTIVES = {
    "latency": {"SLOWEST": "2s", "SLOW": "600ms", "LIMIT": "1500ms"},
    "slow pool": {"SLOWEST": "3s", "SLOW": "1200ms", "LIMIT": "1350ms"},
}


def three_pools(objective):
    """Return the scenario with one of the objectives; 2,430 requests count in a run."""
    text = SCENARIO
    for word, value in OBJECTIVES[objective].items():
        text = text.replace(word, value)
    return text


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_finds_the_optimum(objective, seed, tmp_path):
    """No cheaper fleet is held on all replications of all of its cases, none decided early."""
    (tmp_path / "three.yaml").write_text(three_pools(objective), encoding="utf-8")
    scenario = fedsim.load(tmp_path / "three.yaml", {"seed": seed})
    store = tmp_path / "out"
    plan = fedsim.plan(scenario, replications=REPLICATIONS, directory=store)
    findings = plan.findings
    box, worlds, best = findings.fleets.box, findings.worlds, findings.outcome.best
    assert best is not None
    assert plan.runs["search"] <= 15 * REPLICATIONS
    print(objective, seed, plan.best, plan.runs, [step.pool for step in findings.steps])
    known = {}

    def held(place):
        point = box.point(place)
        for case in findings.fleets.cases:
            if box.unserved(case)[place] >= 0:
                return False
            rule = findings.rule(case, point)
            if rule not in known:
                series = worlds.series(rule, records[rule.world])
                found = judged(series, REPLICATIONS, REPLICATIONS, worlds.alpha)
                known[rule] = found.state == "held"
            if not known[rule]:
                return False
        return True

    records = _all_records(scenario, store, findings, range(best + 1))
    assert [place for place in range(best + 1) if held(place)] == [best]
    if objective == "slow pool":
        assert any(box.pools[step.pool] == "us-slow" for step in findings.steps)


def _all_records(scenario, store, findings, places):
    """Return the records of every world of some fleets, on all replications."""
    from fedsim.studies.plan.result import options
    from fedsim.studies.records import Question
    from fedsim.studies.runset import RunSet
    from fedsim.studies.store import Store

    box = findings.fleets.box
    unserved = np.array([box.unserved(case) for case in findings.fleets.cases])
    worlds = {
        findings.rule(case, box.point(place)).world: None
        for place in places
        if (unserved[:, place] < 0).all()
        for case in findings.fleets.cases
    }
    scenario = scenario.changed({"plan.replications": REPLICATIONS})
    cells = [
        findings.worlds.cell(world, number) for world in worlds for number in range(REPLICATIONS)
    ]
    with RunSet(
        scenario,
        question=Question(by=("stream",), diagnosed=False),
        store=Store.begin(store, "plan", scenario, options(scenario.plan)),
    ) as runs:
        found = list(runs.run(runs.planned(cells)))
    by_key = {(repr(each.key), each.replication): each for each in found}
    return {
        world: [by_key[repr(findings.worlds.key(world)), n] for n in range(REPLICATIONS)]
        for world in worlds
    }
