"""The strategies that go by caches: least_kv_cache, sglang_cache_aware, aibrix_prefix_cache."""

from __future__ import annotations

import pytest

from fedsim.federation.contracts import ModelId, NodeId
from fedsim.federation.strategies.caches import (
    AibrixPrefixCacheSettings,
    SglangCacheAwareSettings,
)
from tests.unit.federation.stand_ins import drive
from tests.unit.federation.strategy_scene import StrategyScene, prompt

TEN = prompt(*range(10))


class TestLeastKvCache:
    """The emptiest cache, as reported."""

    def scene(self, *usage: float | None) -> StrategyScene:
        """Return nodes a, b, c … whose caches are used so far."""
        nodes = "abcd"[: len(usage)]
        scene = StrategyScene(*nodes, strategy="least_kv_cache")
        for node, kv in zip(nodes, usage, strict=True):
            scene.tell(node, kv=kv)
        return scene

    def test_the_emptiest(self):
        """Of 80 %, 35 % and an unknown share it is the second, each time."""
        scene = self.scene(0.8, 0.35, None)

        assert [scene.choose() for _ in range(3)] == ["b", "b", "b"]

    def test_equal_ones_take_turns(self):
        """Two empty caches are taken in turn."""
        scene = self.scene(0.2, 0.5, 0.2)

        assert [scene.choose() for _ in range(4)] == ["a", "c", "a", "c"]

    def test_where_none_reports_all_take_turns(self):
        """Nodes without caches are served by turns."""
        scene = self.scene(None, None)

        assert [scene.choose() for _ in range(4)] == ["a", "b", "a", "b"]


class TestSglangCacheAware:
    """Caches, unless loads are uneven."""

    def scene(self, **settings: object) -> StrategyScene:
        """Return three nodes."""
        return StrategyScene("a", "b", "c", strategy="sglang_cache_aware", settings=settings)

    @pytest.mark.parametrize(
        ("most", "least", "uneven"),
        [(100, 30, True), (100, 40, False), (95, 30, True), (94, 30, False), (200, 134, False)],
    )
    def test_uneven_loads(self, most, least, uneven):
        """They differ by more than 64, and by a factor of more than 1.5: 200 and 134 do not."""
        scene = self.scene()
        scene.cache("a", *range(10))
        scene.load(a=most, b=least, c=least + 1)

        assert scene.choose(TEN) == ("b" if uneven else "a")

    def test_load_of_unhealthy_nodes_counts(self):
        """A node that is not eligible makes loads uneven too."""
        scene = self.scene()
        scene.cache("b", *range(10))
        scene.load(a=100, b=20, c=10)
        scene.lose("a")

        assert scene.choose(TEN) == "c"

    @pytest.mark.parametrize(("known", "chosen"), [(4, "c"), (3, "a"), (0, "a")])
    def test_match(self, known, chosen):
        """Of ten blocks four are a match; three, which are not more than 30 %, are none."""
        scene = self.scene()
        scene.cache("c", *range(known))
        scene.load(a=1, b=2, c=3)

        assert scene.choose(TEN) == chosen

    def test_of_equal_matches_the_least_loaded(self):
        """Two nodes have the same prompt; with equal loads they take turns."""
        scene = self.scene()
        for node in "ab":
            scene.cache(node, *range(10))
        scene.load(a=5, b=3)
        assert scene.choose(TEN) == "b"

        scene.load(a=3, b=3)
        assert [scene.choose(TEN) for _ in range(3)] == ["a", "b", "a"]

    def test_the_first_node_stands_in(self):
        """Where the node with the match is not eligible it is the first that is."""
        scene = self.scene()
        scene.cache("b", *range(10))
        scene.load(a=9, c=1)

        assert scene.choose(TEN, "b") == "a"

    def test_what_a_departed_node_had_is_no_match(self):
        """A node that the catalog does not have any more attracts nothing."""
        scene = self.scene()
        scene.cache("c", *range(10))
        scene.load(a=1)
        drive(scene.catalog.deregister(ModelId("llama"), NodeId("c")))

        assert [scene.choose(TEN) for _ in range(2)] == ["b", "b"]

    def test_least_blocks(self):
        """The older rule sends a new prompt where the fewest blocks are remembered."""
        scene = self.scene(otherwise="least_blocks")
        scene.cache("a", 71, 72)
        scene.cache("b", 81)
        scene.load(c=5)
        scene.cache("c", 91, 92, 93)

        assert scene.choose(TEN) == "b"

    def test_without_blocks_it_is_the_least_loaded(self):
        """Requests whose content is not known go by load, in turn."""
        scene = self.scene()
        scene.load(b=1)

        assert [scene.choose() for _ in range(3)] == ["a", "c", "a"]

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"imbalance_requests": -1}, "cannot be negative"),
            ({"imbalance_ratio": 0.9}, "use 1 or more"),
            ({"match": 1.1}, "use 0 to 1"),
        ],
    )
    def test_settings(self, settings, message):
        """What cannot be is refused."""
        with pytest.raises(ValueError, match=message):
            SglangCacheAwareSettings(**settings)


class TestAibrixPrefixCache:
    """Caches, but of nodes that are not busier than others."""

    def scene(self, **settings: object) -> StrategyScene:
        """Return four nodes, the first of which has the prompt."""
        scene = StrategyScene(*"abcd", strategy="aibrix_prefix_cache", settings=settings)
        scene.cache("a", *range(10))
        return scene

    @pytest.mark.parametrize(("most", "chosen"), [(8, "a"), (9, "b")])
    def test_uneven_loads(self, most, chosen):
        """A difference of 9 is uneven, of 8 it is not."""
        scene = self.scene(deviations=2.0)
        scene.load(a=most, b=0, c=1, d=1)

        assert scene.choose(TEN) == chosen

    @pytest.mark.parametrize(("load", "chosen"), [(9, "b"), (5, "a")])
    def test_busy_nodes_are_passed_over(self, load, chosen):
        """Loads 9, 4, 5, 4 have the mark 5.5 + 2.06 = 7.56, which the first exceeds."""
        scene = self.scene()
        scene.load(a=load, b=4, c=5, d=4)

        assert scene.choose(TEN) == chosen

    def test_the_longest_match(self):
        """The longest match wins, of equal ones the least loaded."""
        scene = self.scene()
        scene.cache("c", *range(3))
        assert scene.choose(TEN) == "a"

        scene.cache("d", *range(10))
        scene.load(a=1)
        assert scene.choose(TEN) == "d"

        scene.load(a=0)
        assert [scene.choose(TEN) for _ in range(3)] == ["a", "d", "a"]

    def test_without_a_match_it_is_the_least_loaded(self):
        """A prompt that is new goes by load, in turn."""
        scene = self.scene()
        scene.load(a=1)

        assert [scene.choose(prompt(77)) for _ in range(4)] == ["b", "c", "d", "b"]

    @pytest.mark.parametrize("name", ["imbalance_requests", "deviations"])
    def test_settings(self, name):
        """What cannot be is refused."""
        with pytest.raises(ValueError, match="cannot be negative"):
            AibrixPrefixCacheSettings(**{name: -1})
