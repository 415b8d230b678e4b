"""Outlier ejection, with Envoy's worked numbers."""

from __future__ import annotations

import pytest

from fedsim.federation.contracts import NodeId
from fedsim.federation.outliers import (
    FailureShareConfig,
    OutlierConfig,
    OutlierDetector,
    SuccessRateConfig,
    success_rate_threshold,
)
from tests.unit.federation.stand_ins import HandClock, Onlooker

ENVOY = OutlierConfig(
    max_ejected=0.1,
    always_eject_one=False,
    success_rate=SuccessRateConfig(1.9, min_nodes=5, volume=100),
)
"""Envoy's own defaults."""


class Scene:
    """A detector over nodes ``0``, ``1``, … on a hand clock."""

    def __init__(self, nodes: int, config: OutlierConfig | None = None) -> None:
        self.clock = HandClock()
        self.seen = Onlooker()
        self.detector = OutlierDetector(self.clock, config, self.seen)
        self.nodes = [NodeId(str(number)) for number in range(nodes)]
        self.detector.follow(dict.fromkeys(self.nodes, ""))

    def record(self, node: int, oks: str) -> None:
        """Record outcomes: ``+`` for a success, ``-`` for a failure."""
        for each in oks:
            self.detector.record(self.nodes[node], "ok" if each == "+" else "internal")

    def in_turn(self, requests: int, bad: set[int]) -> int:
        """Send requests to the admitted nodes in turn; return how many failed."""
        failed = 0
        turn = 0
        for _ in range(requests):
            while self.is_ejected(turn % len(self.nodes)):
                turn += 1
            node = turn % len(self.nodes)
            turn += 1
            failed += node in bad
            self.record(node, "-" if node in bad else "+")
        return failed

    def is_ejected(self, node: int) -> bool:
        """Return whether a node is ejected."""
        return self.detector.ejection(self.nodes[node]) is not None

    @property
    def ejected(self) -> list[int]:
        """The nodes that are ejected."""
        return [node for node in range(len(self.nodes)) if self.is_ejected(node)]

    def tick(self, count: int = 1) -> None:
        """Let intervals of 10 s pass."""
        for _ in range(count):
            self.clock.now_s += 10.0
            self.detector.tick()


def changed(**settings) -> OutlierConfig:
    """Return Envoy's defaults with some settings changed."""
    fields = {name: getattr(ENVOY, name) for name in OutlierConfig.__slots__}
    return OutlierConfig(**(fields | settings))


class TestWorkedNumbers:
    """What Envoy's documentation and its code give."""

    def test_success_rate_threshold(self):
        """Rates of 50 and four times 100 have mean 90, deviation 20, and so threshold 52."""
        assert success_rate_threshold([50, 100, 100, 100, 100], 1.9) == pytest.approx(52)

    def test_defaults_of_envoy_eject_nobody_among_five(self):
        """One of five always fails: 40 of 200 requests do, and nobody is ejected."""
        scene = Scene(5, ENVOY)
        assert scene.in_turn(200, {0}) == 40
        assert scene.seen.outliers == []

    def test_always_eject_one(self):
        """With always_eject_one five requests fail, and the node is ejected."""
        scene = Scene(5, changed(always_eject_one=True))
        assert scene.in_turn(200, {0}) == 5
        assert scene.ejected == [0]

    def test_ten_nodes_two_bad(self):
        """A tenth of ten nodes is one."""
        scene = Scene(10, ENVOY)
        scene.in_turn(400, {3, 4})
        assert scene.ejected == [3]

    def test_five_nodes_three_bad_half_at_most(self):
        """Half of five nodes is two."""
        scene = Scene(5, changed(max_ejected=0.5))
        scene.in_turn(200, {0, 1, 2})
        assert len(scene.ejected) == 2

    def test_our_defaults_eject_one_of_five(self):
        """Ours eject it after five failures."""
        scene = Scene(5)
        assert scene.in_turn(200, {0}) == 5
        assert scene.ejected == [0]

    @pytest.mark.parametrize(("nodes", "ejected"), [(4, []), (5, [0])])
    def test_success_rate_needs_five_nodes(self, nodes, ejected):
        """One of four nodes is never 1.9 deviations from the mean, even where it may be judged."""
        config = OutlierConfig(
            consecutive_failures=None, success_rate=SuccessRateConfig(1.9, min_nodes=2, volume=10)
        )
        scene = Scene(nodes, config)
        for node in range(1, nodes):
            scene.record(node, "+" * 10)
        scene.record(0, "-" * 10)
        scene.tick()
        assert scene.ejected == ejected


class TestRules:
    """When a node is an outlier."""

    def test_a_success_sets_the_count_back(self):
        """Four failures, a success and four failures are not five in a row."""
        scene = Scene(5)
        scene.record(0, "----+----")
        assert scene.ejected == []
        scene.record(0, "-")
        assert scene.ejected == [0]

    def test_count_begins_anew_even_without_ejection(self):
        """A detection that may eject nobody uses up its failures."""
        scene = Scene(5, ENVOY)
        scene.record(0, "-----")
        scene.detector._config = OutlierConfig()
        scene.record(0, "----")
        assert scene.ejected == []
        scene.record(0, "-")
        assert scene.ejected == [0]

    @pytest.mark.parametrize("outcome", ["cancelled", "no_capacity", "circuit_open"])
    def test_what_does_not_lie_with_the_node(self, outcome):
        """A full queue or a cancellation neither counts nor sets the count back."""
        scene = Scene(5)
        scene.record(0, "----")
        for _ in range(10):
            scene.detector.record(scene.nodes[0], outcome)
        assert scene.ejected == []
        scene.record(0, "-")
        assert scene.ejected == [0]

    def test_failure_share(self):
        """85 % of failures are too many, a little less is not."""
        config = OutlierConfig(
            consecutive_failures=None,
            success_rate=None,
            failure_share=FailureShareConfig(0.85, min_nodes=2, volume=20),
        )
        scene = Scene(2, config)
        scene.record(1, "+" * 20)
        scene.record(0, "-" * 16 + "+" * 4)
        scene.tick()
        assert scene.ejected == []
        scene.record(1, "+" * 20)
        scene.record(0, "-" * 17 + "+" * 3)
        scene.tick()
        assert scene.ejected == [0]

    def test_rates_are_those_of_one_interval(self):
        """What was before the last tick does not count, and 19 requests are too few."""
        config = OutlierConfig(consecutive_failures=None)
        scene = Scene(5, config)
        for _ in range(2):
            for node in range(1, 5):
                scene.record(node, "+" * 20)
            scene.record(0, "-" * 19)
            scene.tick()
        assert scene.ejected == []


class TestEjection:
    """How long an ejection takes."""

    def test_readmitted_at_a_tick_only(self):
        """An ejection of 30 s that begins at 4 s ends with the interval at 40 s."""
        scene = Scene(5)
        scene.clock.now_s = 4.0
        scene.record(0, "-----")
        scene.clock.now_s = 0.0
        scene.tick(3)
        assert scene.ejected == [0]
        scene.tick()
        assert scene.ejected == []
        assert scene.seen.outliers == [(4.0, "0", True), (40.0, "0", False)]

    def test_grows_with_each_ejection_up_to_the_longest(self):
        """30 s, 60 s and so on until 300 s, as long as the node fails at once again."""
        scene = Scene(5)
        lengths = []
        for _ in range(12):
            scene.record(0, "-----")
            began_s = scene.clock.now_s
            while scene.ejected:
                scene.tick()
            lengths.append(scene.clock.now_s - began_s)
        assert lengths == [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]

    def test_shrinks_with_each_quiet_interval(self):
        """After three ejections, two quiet intervals make the next one the second again."""
        scene = Scene(5)
        for _ in range(3):
            scene.record(0, "-----")
            while scene.ejected:
                scene.tick()
        scene.tick(2)
        scene.record(0, "-----")
        began_s = scene.clock.now_s
        while scene.ejected:
            scene.tick()
        assert scene.clock.now_s - began_s == 60.0

    def test_readmission_clears_the_count(self):
        """Failures that came in while it was ejected do not count afterwards."""
        scene = Scene(5)
        scene.record(0, "-----")
        scene.record(0, "----")
        scene.tick(3)
        assert scene.ejected == []
        scene.record(0, "-")
        assert scene.ejected == []

    def test_nodes_that_go_make_room(self):
        """A node that leaves the catalog is not counted as ejected any more."""
        scene = Scene(10, ENVOY)
        scene.record(0, "-----")
        scene.record(1, "-----")
        assert scene.ejected == [0]
        scene.detector.follow(dict.fromkeys([*scene.nodes[1:], NodeId("10")], ""))
        scene.record(1, "-----")
        assert scene.detector.ejection(scene.nodes[1]) == "5 failures in a row"
        assert scene.detector.ejection(NodeId("nobody")) is None
