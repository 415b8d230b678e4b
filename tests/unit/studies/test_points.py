"""Points of grids, lists and Latin hypercubes, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

import fedsim
from fedsim.errors import ScenarioError
from fedsim.scenario.spec import SweepSpec
from fedsim.studies.points import headings, in_words, keys_of, points_of, require_valid
from tests.unit.scenario.writing import write

SCENARIO = """\
duration: 1min
regions: {us: {}}
pools: {chat: {region: us, count: 2, slots: 1, service: {distribution: constant, value: 1s}}}
workload: {talk: {arrivals: {process: poisson, rate: 1/s}}}
"""
RATE = "workload.talk.arrivals.rate"


def problems(tmp_path, text):
    """Return what is wrong with the sweep of a scenario, as texts without the folder."""
    scenario = fedsim.load(write(tmp_path, SCENARIO + text))
    assert scenario.sweep is not None
    chosen = points_of(scenario.sweep, 1)

    def check():
        keys_of(scenario, chosen, scenario.places)
        require_valid(lambda n: scenario.changed(chosen[n].changes), chosen, scenario.places)

    with pytest.raises(ScenarioError) as caught:
        check()
    return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]


class TestExpansion:
    def test_grid_has_every_combination_the_last_path_fastest(self):
        """As nested loops in the order of the file."""
        chosen = points_of(SweepSpec(grid={"a": [1, 2], "b": ["x", "y", "z"]}), 1)
        assert [(*point.changes.values(),) for point in chosen] == [
            (1, "x"), (1, "y"), (1, "z"), (2, "x"), (2, "y"), (2, "z"),
        ]  # fmt: skip
        assert chosen[4].places == {"a": "sweep.grid.a.1", "b": "sweep.grid.b.1"}

    def test_list_may_leave_paths_out(self, tmp_path):
        """The key then has the scenario's own value."""
        scenario = fedsim.load(write(tmp_path, SCENARIO))
        chosen = points_of(SweepSpec(points=[{"pools.chat.count": 3}, {RATE: "2/s"}]), 1)
        assert keys_of(scenario, chosen, {}) == [
            {"pools.chat.count": 3, RATE: "1/s"},
            {"pools.chat.count": 2, RATE: "2/s"},
        ]

    def test_latin_hypercube_has_one_point_in_each_part_of_each_range(self):
        """Of 8 parts of 20/s to 60/s, and of a share; whole numbers are evenly taken."""
        ranges: dict[str, Any] = {RATE: ["20/s", "60/s"], "share": [0.0, 1.0], "count": [1, 4]}
        chosen = points_of(SweepSpec(latin_hypercube=ranges, count=8), 1)
        rates = [float(point.changes[RATE].removesuffix("/s")) for point in chosen]
        assert sorted(int((rate - 20.0) / 5.0) for rate in rates) == list(range(8))
        assert sorted(int(8 * point.changes["share"]) for point in chosen) == list(range(8))
        counts = [point.changes["count"] for point in chosen]
        assert sorted(counts) == [1, 1, 2, 2, 3, 3, 4, 4]
        assert rates != sorted(rates)

    def test_latin_hypercube_depends_on_seed_and_path_alone(self):
        """Another path leaves the values of the first as they were; another seed does not."""
        one = points_of(SweepSpec(latin_hypercube={"a": [0.0, 1.0]}, count=5), 1)
        two = points_of(SweepSpec(latin_hypercube={"b": [0, 9], "a": [0.0, 1.0]}, count=5), 1)
        other = points_of(SweepSpec(latin_hypercube={"a": [0.0, 1.0]}, count=5), 2)
        values = [[point.changes["a"] for point in points] for points in (one, two, other)]
        assert values[0] == values[1] != values[2]

    def test_points_that_coincide_are_one(self):
        """Three whole numbers give no more than three points."""
        chosen = points_of(SweepSpec(latin_hypercube={"count": [1, 3]}, count=20), 1)
        assert sorted(point.changes["count"] for point in chosen) == [1, 2, 3]


class TestNames:
    def test_are_as_short_as_they_can_be(self):
        """The last words of a path, as many as tell it from the others."""
        paths = ["pools.a.count", "pools.b.count", "federation.strategy"]
        assert list(headings(paths).values()) == ["a.count", "b.count", "strategy"]
        assert in_words({"federation.strategy": "random", RATE: "2/s"}) == (
            "strategy random, rate 2/s"
        )

    def test_of_classes_are_their_names(self, tmp_path):
        """A mapping is written as in the file."""
        scenario = fedsim.load(write(tmp_path, SCENARIO))
        chosen = points_of(SweepSpec(grid={"federation.router": [TestNames, {"a": 1}, None]}), 1)
        keys = keys_of(scenario, chosen, {})
        assert [key["federation.router"] for key in keys] == ["TestNames", "{a: 1}", "null"]


class TestProblems:
    def test_come_all_at_once_with_their_positions(self, tmp_path):
        """A value's at the value, a path's at the path, each once."""
        text = """\
sweep:
  grid:
    workload.talk.arrivals.rate: [1/s, 2, -3/s]
    pools.caht.count: [1, 2]
    federation.strategy: [random, rond_robin]
"""
        assert problems(tmp_path, text) == [
            "scenario.yaml:7:40: sweep.grid.workload.talk.arrivals.rate.1: 2 has no unit. "
            "Write 2/s or 2/min.",
            "scenario.yaml:7:43: sweep.grid.workload.talk.arrivals.rate.2: '-3/s' is negative. "
            "Write more than 0.",
            "scenario.yaml:8:23: sweep.grid.pools.caht.count: pools has no 'caht'. "
            "Did you mean chat?",
            "scenario.yaml:9:35: sweep.grid.federation.strategy.1: There is no strategy "
            "'rond_robin'. Did you mean round_robin? Or write module:Class.",
        ]

    def test_of_several_changes_at_once_name_the_point(self, tmp_path):
        """What is wrong stands elsewhere in the file, which is right by itself."""
        text = "sweep: {grid: {regions: [{us: {}}, {eu: {}}]}}\n"
        (problem,) = problems(tmp_path, text)
        assert problem.startswith("scenario.yaml:3:24: pools.chat.region: With regions {eu: {}}: ")

    def test_include_equal_points(self, tmp_path):
        """A point that leaves a path out may be another in disguise."""
        text = "sweep: {list: [{pools.chat.count: 2}, {workload.talk.arrivals.rate: 1/s}]}\n"
        (problem,) = problems(tmp_path, text)
        assert "The points 0 and 1, counted from 0, are equal: count 2, rate 1/s." in problem
