"""Cases as worlds, and the bound of mean capacity."""

from __future__ import annotations

import numpy as np
import pytest

from fedsim.scenario.spec import SurviveSpec
from fedsim.studies.plan.bound import Demand, load_of, lower_bound
from fedsim.studies.plan.box import Box, Choice, Point
from fedsim.studies.plan.cases import NORMAL, Rule, World, cases_of

POOLS, REGIONS = ("a1", "a2", "b"), ("a", "a", "b")


def rules(survive, counts):
    """Return the rules of a fleet in each case."""
    cases = cases_of([survive], POOLS, REGIONS)
    return {case.name: case.rule(0, counts, REGIONS) for case in cases}


def box(levels, limits=None):
    """Return a box of three pools, of which the last serves twice as fast."""
    choice = Choice(
        {}, np.array([1.0, 1.0, 3.0]), np.ones(3, int), {}, ("x", "y", "z"), np.ones((1, 3), bool)
    )
    return Box(POOLS, REGIONS, ["chat"], levels, [choice], "cost", limits)


DEMAND = Demand(np.array([10.0]), np.array([[0.5, 0.5, 0.25]]))
"""Ten requests per second, of which a node of a serves two and one of b four."""


class TestWorlds:
    def test_absent_regions_have_no_nodes(self):
        """So that all fleets with the same rest are one world."""
        found = rules(SurviveSpec("region"), (1, 2, 3))
        assert found["a absent"] == Rule(World(0, (0, 0, 3)))
        assert found["b absent"] == Rule(World(0, (1, 2, 0)))
        assert rules(SurviveSpec("region"), (4, 0, 3))["a absent"] == found["a absent"]

    def test_an_absent_node_is_the_fleet_with_one_less(self):
        """With all nodes up; a pool without nodes loses none."""
        found = rules(SurviveSpec("node"), (1, 2, 0))
        assert found["a node of a2 absent"] == NORMAL.rule(0, (1, 1, 0), REGIONS)
        assert found["a node of b absent"] == NORMAL.rule(0, (1, 2, 0), REGIONS)

    def test_a_loss_keeps_the_counts(self):
        """Failures may grow with what is lost; without nodes there nothing is lost."""
        survive = SurviveSpec(lost="any_region", settle_s=30.0, interruption=5)
        found = rules(survive, (1, 2, 0))
        assert found["a lost"] == Rule(World(0, (1, 2, 0), lost="a", settle_s=30.0), 5)
        assert found["b lost"] == found["all nodes up"]

    def test_traffic_is_a_world_of_its_own(self):
        """All rates are multiplied."""
        assert rules(SurviveSpec(traffic=1.2), (1, 2, 3))["traffic × 1.2"].world.traffic == 1.2


class TestBound:
    def test_is_the_cheapest_mean_capacity(self):
        """Five nodes of a for 5 USD/h, or three of b for 9."""
        space = box([range(9), range(9), range(9)])
        point = lower_bound(space, [NORMAL], [DEMAND])
        assert point is not None
        place = space.place(point)
        assert place is not None
        assert space.cost[place] == pytest.approx(5.0)

    def test_counts_every_case(self):
        """Either region has to do alone: five nodes of a, and three of b."""
        space = box([range(9), range(9), range(9)])
        cases = cases_of([SurviveSpec("region")], POOLS, REGIONS)
        point = lower_bound(space, cases, [DEMAND])
        assert point is not None
        assert (sum(point.counts[:2]), point.counts[2]) == (5, 3)

    def test_keeps_to_quotas(self):
        """With four nodes at most, one of b and three of a."""
        space = box([range(9), range(9), range(9)], {"nodes": 4})
        point = lower_bound(space, [NORMAL], [DEMAND])
        assert point is not None
        assert (sum(point.counts[:2]), point.counts[2]) == (3, 1)

    def test_none_suffices(self):
        """One node of each serves eight of ten."""
        assert lower_bound(box([range(2)] * 3), [NORMAL], [DEMAND]) is None

    def test_loads_are_those_of_the_best_split(self):
        """Four requests per second on one node of b, and all of 8 where all live."""
        alive = np.array([True, True, True])
        assert load_of(DEMAND, World(0, (1, 1, 1)), alive) == pytest.approx(10.0 / 8.0)
        dead = np.array([False, False, True])
        assert load_of(DEMAND, World(0, (1, 1, 1), 1.2, "a"), dead) == pytest.approx(12.0 / 4.0)
        assert load_of(DEMAND, World(0, (1, 1, 0)), dead) == np.inf


def test_order_is_by_cost_then_nodes_then_the_file():
    """What is looked at first of equal costs."""
    space = box([range(4), range(4), range(2)])
    first = [space.point(place) for place in range(5)]
    assert first == [
        Point(0, (0, 0, 0)),
        Point(0, (0, 1, 0)),
        Point(0, (1, 0, 0)),
        Point(0, (0, 2, 0)),
        Point(0, (1, 1, 0)),
    ]
    assert space.point(6).counts == (0, 0, 1)
