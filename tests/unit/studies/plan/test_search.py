"""The search for the cheapest fleet, with made-up worlds in place of simulated ones."""

from __future__ import annotations

import numpy as np
import pytest

from fedsim.kernel.streams import generator
from fedsim.scenario.spec import SurviveSpec
from fedsim.studies.plan.box import Box, Choice, Point
from fedsim.studies.plan.cases import NORMAL, cases_of
from fedsim.studies.plan.search import BudgetSpent, Search
from fedsim.studies.plan.verdict import Series, judged, looks

LIMIT, ALPHA = 2.0, 0.05 / 3


class MadeUp:
    """Worlds whose latency is that of a formula, with noise that is a world's own."""

    def __init__(self, latency, replications, seed=1, spread=0.05, budget=None):
        self.latency, self.replications, self.spread = latency, replications, spread
        self.seed, self.budget = seed, budget
        self.runs = {}
        self.known = {}

    def values(self, world):
        """Return the latency in each replication; what replications share is the same for all."""
        if world not in self.known:
            shared = generator(self.seed, "shared").normal(size=self.replications)
            own = generator(self.seed, repr(world)).normal(size=self.replications)
            factor = 1.0 + self.spread * (shared + 0.5 * own)
            self.known[world] = self.latency(world) * factor
        return self.known[world]

    def judge(self, rule, replications):
        """Return the judgment after so many replications, and count them."""
        before = self.runs.get(rule.world, 0)
        total = sum(self.runs.values()) + max(replications - before, 0)
        if self.budget is not None and total > self.budget:
            raise BudgetSpent
        self.runs[rule.world] = max(before, replications)
        values = self.values(rule.world)[: self.runs[rule.world]]
        series = Series("p95", "latency_p95_s", values, LIMIT, False, np.full(len(values), 1e4))
        return judged([series], len(values), self.replications, ALPHA)

    def worse(self, one, other):
        """Return whether the mean of the other is no lower."""
        return self.values(other).mean() >= 0.98 * self.values(one).mean()


def choice(cost, kinds=None, may_serve=None, tied=False):
    """Return a choice of pools with these prices."""
    count = len(cost)
    return Choice(
        {},
        np.array(cost, dtype=float),
        np.full(count, 8),
        {"fast": np.arange(count)},
        tuple(kinds or [f"kind-{n}" for n in range(count)]),
        np.ones((1, count), dtype=bool) if may_serve is None else np.array(may_serve),
        not tied,
        tied,
    )


def box(levels, cost=(5.0, 2.0, 3.0), regions=("a", "a", "b"), limits=None, **more):
    """Return a box of three pools in two regions."""
    pools = [f"p{n}" for n in range(len(levels))]
    return Box(pools, regions, ["chat"], levels, [choice(cost, **more)], "cost", limits)


def queue(world, speeds=(1.0, 0.4, 0.7), rate=2.0):
    """Return a latency that falls with capacity, and that slow nodes raise."""
    speed = np.array(speeds[: len(world.counts)])
    counts = np.array(world.counts)
    room = max(float(counts @ speed) - rate * world.traffic, 0.05)
    slow = float((counts / speed) @ np.ones(len(counts))) / max(counts.sum(), 1)
    return 0.9 * slow + 2.0 / room


def exhaustive(space, cases, oracle):
    """Return the first fleet in the order that is held in every case."""
    for place in range(len(space)):
        point = space.point(place)
        rules = [case.rule(point.choice, point.counts, space.regions) for case in cases]
        if all(oracle.judge(rule, oracle.replications).state == "held" for rule in rules):
            return place
    return None


@pytest.mark.parametrize("seed", range(4))
def test_finds_what_an_exhaustive_search_finds(seed):
    """With either region absent, slow nodes that hurt, and worlds that are not decided."""
    space = box([range(2, 8), range(4), range(1, 9)])
    cases = cases_of([SurviveSpec("region"), SurviveSpec(traffic=1.1)], space.pools, space.regions)
    oracle = MadeUp(queue, 12, seed)
    found = Search(space, cases, oracle, 12).run()
    assert found.best == exhaustive(space, cases, MadeUp(queue, 12, seed))
    assert found.status == "found"
    assert found.best is not None
    known = {"violated", "not decided", "same world", "more violated"}
    assert {found.found[place].verdict for place in range(found.best)} <= known


def test_runs_few_of_the_worlds():
    """At most 15 R runs of a box of 150, and 5 % of points, cases and R from 500 on."""
    small, large = [range(1, 6), range(5), range(2, 8)], [range(1, 11)] * 3
    for levels, most in ((small, 15 * 20), (large, None)):
        space = box(levels)
        cases = cases_of([SurviveSpec("region")], space.pools, space.regions)
        oracle = MadeUp(lambda world: queue(world, rate=1.0), 20)
        found = Search(space, cases, oracle, 20).run()
        assert found.best is not None
        assert sum(oracle.runs.values()) <= (most or 0.05 * len(space) * len(cases) * 20)


def test_leaves_out_fewer_of_equal_nodes():
    """One pool: the start and the largest fleet are looked at, and none below what is violated."""
    space = Box(["p"], ["a"], ["chat"], [range(1, 200)], [choice([1.0])], "nodes")
    oracle = MadeUp(lambda world: queue(world, (1.0,), 100.0), 20)
    found = Search(space, [NORMAL], oracle, 20, start=Point(0, (100,))).run()
    assert found.best is not None
    assert space.point(found.best).counts == (102,)
    assert found.found[50].verdict == "more violated"
    assert sorted(world.counts[0] for world in oracle.runs) == [100, 101, 102, 199]


def test_says_that_no_fleet_can_after_one_look_at_the_largest():
    """The service alone takes longer than the limit: one world is run."""
    space = Box(["p"], ["a"], ["chat"], [range(1, 500)], [choice([1.0])], "nodes")
    oracle = MadeUp(lambda world: 3.0 + 1.0 / sum(world.counts), 20)
    found = Search(space, [NORMAL], oracle, 20).run()
    assert (found.status, found.best) == ("none", None)
    assert sum(oracle.runs.values()) == 4


def test_strategy_binds_where_twice_the_nodes_are_no_better():
    """A strategy by tenants: the climb ends after a look at half the nodes and at all."""
    space = Box(["p"], ["a"], ["chat"], [range(1, 41)], [choice([1.0], tied=True)], "nodes")
    oracle = MadeUp(lambda _: 5.0, 20)
    found = Search(space, [NORMAL], oracle, 20).run()
    assert found.status == "none"
    assert "more nodes do not help" in found.binding[0]
    assert sum(oracle.runs.values()) == 8


def test_large_boxes_retest_what_they_inferred():
    """Slow nodes hurt, so that a cheaper fleet without them is held and must not be lost."""
    levels = [range(14), range(13), range(13)]
    space = box(levels, cost=(5.0, 0.5, 5.0))
    assert len(space) > 2_000

    def latency(world):
        return queue(world, (1.0, 0.2, 1.0), 2.0)

    cases = [NORMAL]
    oracle = MadeUp(latency, 8)
    found = Search(space, cases, oracle, 8, start=Point(0, (4, 12, 1))).run()
    assert found.best == exhaustive(space, cases, MadeUp(latency, 8))
    assert found.retested > 0


def test_limits_and_streams_need_no_runs():
    """A fleet over a quota, or without a node for a stream in a case, is left out at once."""
    space = box(
        [range(4), range(4), range(4)],
        limits={"cost": 20.0, "regions.b.nodes": 2, "gpus.fast": 7, "nodes": 8},
        may_serve=[[True, True, False]],
    )
    cases = cases_of([SurviveSpec("node")], space.pools, space.regions)
    oracle = MadeUp(lambda _: 1.0, 4)
    found = Search(space, cases, oracle, 4).run()
    assert found.best is not None
    assert space.point(found.best).counts == (0, 2, 0)
    place = space.place(Point(0, (0, 0, 3)))
    assert place is not None
    assert found.found[place].verdict == "over a limit"
    one = space.place(Point(0, (0, 1, 2)))
    assert one is not None
    assert (found.found[one].verdict, found.found[one].case) == ("unserved", "a node of p1 absent")
    assert "no node may serve chat" in found.found[one].reason


def test_budget_ends_it():
    """What is known stays, and no more runs are made than there may be."""
    space = box([range(1, 8)] * 3)
    cases = cases_of([SurviveSpec("region")], space.pools, space.regions)
    oracle = MadeUp(queue, 20, budget=30)
    found = Search(space, cases, oracle, 20).run()
    assert found.status == "budget"
    assert found.best is None
    assert 0 < sum(oracle.runs.values()) <= 30


def test_looks_end_at_all_replications():
    """Every four, and at the last one."""
    assert looks(20) == [4, 8, 12, 16, 20]
    assert looks(10) == [4, 8, 10]
    assert looks(4) == [4]
