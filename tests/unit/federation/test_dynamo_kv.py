"""dynamo_kv: what a node costs, and how it is drawn."""

from __future__ import annotations

import random
from collections import Counter
from math import exp

import pytest

from fedsim.federation.strategies.dynamo import DynamoKvSettings, cost, draw
from tests.unit.federation.stand_ins import Dice
from tests.unit.federation.strategy_scene import StrategyScene, prompt

TEN = prompt(*range(10))


class TestCost:
    """Prompt work and cache blocks."""

    def test_the_project_s_example(self):
        """Ten blocks, 2, 5, 8 cached and 10, 5, 9 in use: 18, 10 and 11, as in its guide."""
        workers = [(2, 10), (5, 5), (8, 9)]

        assert [cost(DynamoKvSettings(), 10, hits, used, 0) for hits, used in workers] == [
            18,
            10,
            11,
        ]

    def test_weights(self):
        """2 x (12 - 0.5 x 4) + 7 + 1.5 x 2 = 30; prompt work is never negative."""
        settings = DynamoKvSettings(prefill_load_scale=2.0, overlap_credit=0.5, active_request=1.5)
        assert cost(settings, 12, 4, 7, 2) == 30.0
        assert cost(settings, 1, 4, 7, 2) == 10.0

    def test_settings(self):
        """What cannot be is refused."""
        with pytest.raises(ValueError, match="temperature cannot be negative"):
            DynamoKvSettings(temperature=-0.1)
        with pytest.raises(ValueError, match="prefill_rate_tps cannot be 0"):
            DynamoKvSettings(prefill_rate_tps=0.0)


class TestDraw:
    """The choice by cost."""

    def test_the_lowest(self):
        """At temperature 0 it is the lowest cost; no die is rolled."""
        dice = Dice()
        assert draw([18, 10, 11], 0.0, dice) == 1
        assert dice.rolls == 0

    def test_ties_are_drawn(self):
        """Equal costs are drawn evenly, with the die that is given."""
        dice = Dice(0.1, 0.6)

        assert [draw([3, 7, 3], 0.0, dice) for _ in range(2)] == [0, 2]

    def test_equal_costs_at_any_temperature(self):
        """Without a range there is nothing to weigh."""
        assert draw([4, 4], 0.7, Dice(0.9)) == 1

    def test_softmax(self):
        """Costs 18, 10, 11 at 0.5 have the weights e^-2, 1 and e^-0.25, within 3.5 errors."""
        rng, count = random.Random(4), 20_000
        chosen = Counter(draw([18, 10, 11], 0.5, rng) for _ in range(count))
        weights = [exp(-2.0), 1.0, exp(-0.25)]
        for index, weight in enumerate(weights):
            share = weight / sum(weights)
            error = (share * (1.0 - share) / count) ** 0.5
            assert abs(chosen[index] / count - share) < 3.5 * error


class TestDynamoKv:
    """The strategy."""

    def test_the_worked_example(self):
        """The card's: 28, 20 and 21, so the second node."""
        scene = StrategyScene("a", "b", "c", strategy="dynamo_kv")
        for node, hits, used in (("a", 2, 10), ("b", 5, 5), ("c", 8, 9)):
            others = prompt(*range(1000, 1000 + used))
            scene.start(node, others)
            scene.cache(node, *range(hits))
        scene.clock.now_s = 10.0  # the prompts that are in flight have been computed

        strategy, fleet = scene.router._strategy, scene.router.fleet
        found = strategy._costs(fleet, (0, 1, 2), TEN, scene.prefixes.matches(TEN))  # type: ignore[attr-defined]
        assert found == [28, 20, 21]
        assert scene.choose(TEN) == "b"

    def test_shared_blocks_in_flight_count_once(self):
        """A node that serves the same system prompt already needs no second copy of it."""
        scene = StrategyScene("a", "b", strategy="dynamo_kv")
        scene.start("a", prompt(*range(8), 77))
        scene.start("b", prompt(*range(900, 909)))
        scene.clock.now_s = 10.0

        assert scene.choose(TEN) == "a"

    def test_prompt_work_under_way_drains(self):
        """1,600 tokens at 10,000 a second count for 160 ms, unless they were cached."""
        scene = StrategyScene("a", "b", strategy="dynamo_kv")
        hundred = prompt(*range(100))
        assert scene.serve(hundred) in "ab"
        worker = next(iter(scene.router._strategy._workers.values()))  # type: ignore[attr-defined]
        assert worker.backlog_tokens == 1600
        assert worker.drain(0.1, 10_000.0) == pytest.approx(600.0)
        assert worker.drain(0.16, 10_000.0) == pytest.approx(0.0)

        scene.clock.now_s = 0.16
        scene.serve(hundred)
        assert worker.backlog_tokens == pytest.approx(0.0)  # all of it is in the cache now

    def test_what_has_ended_costs_nothing(self):
        """After the end of all requests a node is as good as new but for its cache."""
        scene = StrategyScene("a", "b", strategy="dynamo_kv")
        target = scene.start("a", TEN)
        scene.router.on_complete(target, TEN, "ok", 1.0)
        worker = scene.router._strategy._workers["a"]  # type: ignore[attr-defined]

        assert (worker.blocks, worker.requests, worker.drain(9.0, 1.0)) == ({}, 0, 0.0)
