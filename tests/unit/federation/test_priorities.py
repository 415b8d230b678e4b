"""envoy_priority: levels, their health and their loads."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsim.federation.strategies.priorities import EnvoyPrioritySettings, health_of, loads
from tests.unit.federation.stand_ins import deployment
from tests.unit.federation.strategy_scene import StrategyScene


class TestLoads:
    """Percentages of requests by health."""

    def test_envoy_s_example(self):
        """Health 10, 20, 10 and degraded 20, 10, 0 give 16, 28, 14 and 28, 14, 0."""
        assert loads([10, 20, 10], [20, 10, 0]) == ([16, 28, 14], [28, 14, 0])

    @pytest.mark.parametrize(
        ("healthy", "expected"),
        [
            ([100, 100], [100, 0]),
            ([98, 100], [98, 2]),
            ([35, 100], [35, 65]),
            ([0, 100], [0, 100]),
            ([35, 35], [50, 50]),
            ([0, 0], [0, 0]),
        ],
    )
    def test_levels(self, healthy, expected):
        """A level gets what its health is, the next the rest; below 100 together all grow."""
        assert loads(healthy, [0, 0]) == (expected, [0, 0])

    @given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=1, max_size=5))
    def test_all_requests_go_somewhere(self, levels):
        """The shares make 100 together wherever anything is available."""
        healthy, degraded = loads([level[0] for level in levels], [level[1] for level in levels])

        assert sum(healthy) + sum(degraded) == (100 if any(map(any, levels)) else 0)
        assert min(*healthy, *degraded) >= 0

    @pytest.mark.parametrize(
        ("available", "total", "expected"), [(10, 10, 100), (8, 10, 100), (7, 10, 98), (0, 10, 0)]
    )
    def test_health(self, available, total, expected):
        """A level carries 1.4 times what it has: 72 % of its nodes are enough."""
        assert health_of(available, total) == expected

    def test_a_level_without_nodes_has_none(self):
        """Nothing of nothing is nothing."""
        assert health_of(0, 0) == 0


class TestEnvoyPriority:
    """The strategy."""

    def scene(self, *counts, seed=5, panic=None, **settings):
        """Return so many nodes in each level, named a0, a1, and so on, then b0."""
        nodes = [
            deployment(f"{level}{number}", priority=priority)
            for priority, (level, count) in enumerate(zip("abc", counts, strict=False))
            for number in range(count)
        ]
        return StrategyScene(
            *nodes,
            strategy="envoy_priority",
            settings=settings,
            rng=random.Random(seed),
            panic=panic,
        )

    def assert_shares(self, scene, count=10_000, **expected):
        """Check the shares of sets of nodes, by first letter or name, within 3.5 errors."""
        chosen = [scene.choose() for _ in range(count)]
        for start, share in expected.items():
            found = sum(node.startswith(start) for node in chosen) / count
            error = (share * (1.0 - share) / count) ** 0.5
            assert abs(found - share) <= 3.5 * error

    def test_the_first_level_serves_all(self):
        """While it is whole the next level idles, and nodes take turns."""
        scene = self.scene(2, 2)

        chosen = [scene.choose() for _ in range(4)]
        assert chosen in (["a0", "a1"] * 2, ["a1", "a0"] * 2)

    def test_spill_over(self):
        """Half of the first level is lost: it keeps 70 %."""
        scene = self.scene(4, 4)
        scene.lose("a0", "a1")

        self.assert_shares(scene, a=0.7, b=0.3)

    def test_degraded_nodes_come_last(self):
        """3 of 10 healthy, 5 degraded, next level 4 of 10: 42 + 56 healthy, 2 degraded."""
        scene = self.scene(10, 10)
        scene.degrade(*(f"a{number}" for number in range(3, 8)))
        scene.lose("a8", "a9", *(f"b{number}" for number in range(4, 10)))
        healthy = 0.42

        self.assert_shares(scene, b=0.56, a0=healthy / 3, a1=healthy / 3, a2=healthy / 3)

    def test_all_in_panic(self):
        """Both levels lost most of their nodes: they share by their sizes."""
        scene = self.scene(6, 3)
        scene.lose("a0", "a1", "a2", "a3", "b0", "b1")

        self.assert_shares(scene, a=6 / 9, b=3 / 9)

    @pytest.mark.parametrize("panic", [None, 0.5])
    def test_no_level_panics_while_all_carry_the_load(self, panic):
        """Two of five, then four of five: 56 and 44 % go to those that are left alone."""
        scene = self.scene(5, 5, panic=panic)
        scene.lose("a2", "a3", "a4", "b4")

        self.assert_shares(scene, a=0.56, b=0.44, a0=0.28, a1=0.28, b0=0.11)

    def test_one_level_in_panic(self):
        """One of five makes 28, two of four 70: together 98, and the first level is in panic.

        It gets 28 + 1 %, on all five nodes; the other's ill nodes get nothing.
        """
        scene = self.scene(5, 4, panic=0.5)
        scene.lose("a1", "a2", "a3", "a4", "b2", "b3")

        shares = dict.fromkeys((f"a{number}" for number in range(5)), 0.29 / 5)
        self.assert_shares(scene, **shares, b0=0.71 / 2, b1=0.71 / 2)

    def test_panic_mode_brings_its_own_threshold(self):
        """Two of six are left, which is no panic at 20 %: healthy and degraded are kept apart."""
        scene = self.scene(6, panic=0.2)
        scene.lose("a0", "a1", "a2", "a3")
        scene.degrade("a4")
        scene.load(a5=9)

        self.assert_shares(scene, a4=0.5, a5=0.5)

    def test_panic_treats_degraded_alike(self):
        """Of five nodes one is healthy and one degraded: both get the same."""
        scene = self.scene(5)
        scene.lose("a0", "a1", "a2")
        scene.degrade("a3")

        assert sorted(scene.choose() for _ in range(4)) == ["a3", "a3", "a4", "a4"]

    def test_without_panic_healthy_ones_go_first(self):
        """The same without panic: 28 to 28 % of health, so half of the requests each by draw."""
        scene = self.scene(5, panic_threshold=0.0)
        scene.lose("a0", "a1", "a2")
        scene.degrade("a3")

        self.assert_shares(scene, a3=0.5, a4=0.5)

    def test_too_few_to_make_one_percent(self):
        """One node of 200 is taken all the same."""
        scene = self.scene(200, panic_threshold=0.0)
        scene.lose(*(f"a{number}" for number in range(199)))

        assert scene.choose() == "a199"

    def test_settings(self):
        """What cannot be is refused."""
        with pytest.raises(ValueError, match="use 100 or more"):
            EnvoyPrioritySettings(overprovisioning=99)
        with pytest.raises(ValueError, match="use 0 to 100"):
            EnvoyPrioritySettings(panic_threshold=101.0)
