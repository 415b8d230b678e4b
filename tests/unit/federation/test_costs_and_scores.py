"""cost_capped and best_score."""

from __future__ import annotations

import pytest

from fedsim.federation.strategies.costs import CostCappedSettings
from tests.unit.federation.stand_ins import Dice, deployment
from tests.unit.federation.strategy_scene import StrategyScene


class TestCostCapped:
    """Cheap nodes first."""

    def scene(self, *prices, **settings):
        """Return nodes a, b, … at these prices per hour."""
        return StrategyScene(
            *(
                deployment(node, cost_usd_per_hour=price)
                for node, price in zip("abcd", prices, strict=False)
            ),
            strategy="cost_capped",
            settings=settings,
            rng=Dice(0.0),  # turns begin at the first node
        )

    def test_the_worked_example(self):
        """At 2.0, 2.1 and 6.9 USD/h: the first two, and the third once both have eight."""
        scene = self.scene(2.0, 2.1, 6.9)
        assert [scene.choose() for _ in range(3)] == [
            "a",
            "b",
            "a",
        ]
        scene.load(a=8, b=7)
        assert scene.choose() == "b"
        scene.load(a=8, b=8)
        assert scene.choose() == "c"

    def test_all_overloaded(self):
        """Where all are overloaded, the fewest in flight count, whatever the price."""
        scene = self.scene(2.0, 6.9)
        scene.load(a=12, b=9)

        assert scene.choose() == "b"

    def test_queues_count(self):
        """A node with four requests waiting at its last probe is overloaded."""
        scene = self.scene(2.0, 6.9)
        scene.tell("a", queue=3)
        assert scene.choose() == "a"

        scene.tell("a", queue=4)
        assert scene.choose() == "b"

    def test_the_next_class_of_prices_is_shared(self):
        """When the cheapest is full, all within ten percent of the next cheapest share."""
        scene = self.scene(2.0, 6.9, 7.5, 9.0)
        scene.load(a=8)

        assert [scene.choose() for _ in range(3)] == ["b", "c", "b"]

    def test_cap(self):
        """All nodes up to the cap share; a price that is not known is above any."""
        scene = self.scene(2.0, 6.9, 9.0, None, cap_usd_per_hour=7.0)

        assert [scene.choose() for _ in range(3)] == ["a", "b", "a"]

    def test_no_prices(self):
        """Without prices all share."""
        scene = self.scene(None, None)

        assert [scene.choose() for _ in range(3)] == ["a", "b", "a"]

    @pytest.mark.parametrize(
        ("settings", "message"),
        [({"within": -0.1}, "within cannot be negative"), ({"max_queue": 0}, "use 1 or more")],
    )
    def test_settings(self, settings, message):
        """What cannot be is refused."""
        with pytest.raises(ValueError, match=message):
            CostCappedSettings(**settings)


class Fixed:
    """A policy that gives nodes fixed scores."""

    def __init__(self, **scores):
        self._points = scores

    def score(self, candidate, request):
        """Return the node's score."""
        return self._points[candidate.target.node_id]

    def is_eligible(self, candidate, request):
        """Exclude nobody."""
        return True

    def name(self):
        """Return a name."""
        return "fixed"


def test_best_score_takes_the_first_of_the_best():
    """Scores 0.83, 0.91 and 0.91 give the second node, each time."""
    policy = Fixed(a=0.83, b=0.91, c=0.91)
    scene = StrategyScene("a", "b", "c", strategy="best_score", policies=[policy])

    assert [scene.choose() for _ in range(3)] == ["b", "b", "b"]
