"""Plans against an exhaustive search of every fleet that is no dearer, in every case."""

from __future__ import annotations

import numpy as np
import pytest

import fedsim
from fedsim.studies.plan.result import options
from fedsim.studies.plan.verdict import judged
from fedsim.studies.records import Question
from fedsim.studies.runset import RunSet
from fedsim.studies.store import Store

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
    """No cheaper fleet is held on all replications of all of its cases, none decided early.

    A fleet that does not hold one case is none that holds, so its other cases are not run.
    """
    (tmp_path / "three.yaml").write_text(three_pools(objective), encoding="utf-8")
    scenario = fedsim.load(tmp_path / "three.yaml", {"seed": seed})
    store = tmp_path / "out"
    plan = fedsim.plan(scenario, replications=REPLICATIONS, directory=store)
    findings = plan.findings
    box, worlds, best = findings.fleets.box, findings.worlds, findings.outcome.best
    assert best is not None
    assert plan.runs["search"] <= 15 * REPLICATIONS
    print(objective, seed, plan.best, plan.runs, [step.pool for step in findings.steps])
    cases = sorted(findings.fleets.cases, key=lambda case: case.region, reverse=True)
    served = np.all([box.unserved(case) < 0 for case in cases], axis=0).tolist()
    known = {}

    with _runs(scenario, store) as runs:

        def holds(rule):
            if rule not in known:
                records = _records(runs, worlds, rule.world)
                series = worlds.series(rule, records)
                known[rule] = judged(series, REPLICATIONS, REPLICATIONS, worlds.alpha)
            return known[rule].state == "held"

        def held(place):
            """Whether it is held in every case, those first that many fleets share."""
            point = box.point(place)
            return served[place] and all(holds(findings.rule(case, point)) for case in cases)

        places = [place for place in range(best + 1) if held(place)]
    print(len(known), "of", sum(served[: best + 1]) * len(cases), "cases were run")
    assert places == [best]
    if objective == "slow pool":
        assert any(box.pools[step.pool] == "us-slow" for step in findings.steps)


def _runs(scenario, store):
    """Return what runs the cells of a plan, and knows those that the plan has run."""
    scenario = scenario.changed({"plan.replications": REPLICATIONS})
    return RunSet(
        scenario,
        question=Question(by=("stream",), diagnosed=False),
        store=Store.begin(store, "plan", scenario, options(scenario.plan)),
    )


def _records(runs, worlds, world):
    """Return the records of a world, on all replications."""
    cells = [worlds.cell(world, number) for number in range(REPLICATIONS)]
    found = {each.replication: each for each in runs.run(runs.planned(cells))}
    return [found[number] for number in range(REPLICATIONS)]
