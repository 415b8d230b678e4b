"""Strategies that draw, schedule, probe, join queues and hash, on worked numbers."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from fedsim.federation.contracts import NodeId
from fedsim.federation.strategies.choices import PowerOfTwoSettings, draw
from fedsim.federation.strategies.ewma import PENALTY_S, FinaglePeakEwmaSettings, PeakEwma
from fedsim.federation.strategies.hash_tables import (
    BoundedLoadHashSettings,
    MaglevSettings,
    maglev_table,
)
from fedsim.federation.strategies.prequal import Answer, PrequalSettings, hot_cold, quantile
from fedsim.federation.strategies.queues import JoinIdleQueue, JoinShortestQueueSettings
from fedsim.federation.strategies.registry import STRATEGIES
from fedsim.federation.strategies.schedules import EnvoyLeastRequestSettings, Schedule
from tests.unit.federation.stand_ins import Dice, deployment, request, target
from tests.unit.federation.strategy_scene import StrategyScene, prompt


def counted(scene: StrategyScene, count: int, **tenant: str) -> Counter[str]:
    """Return how often each node is chosen for requests that take no time."""
    return Counter(scene.choose(prompt(number=number)) for number in range(count))


def z_of(found: int, count: int, share: float) -> float:
    """Return by how many standard deviations a binomial count is off."""
    return float((found - count * share) / (count * share * (1.0 - share)) ** 0.5)


class TestDraw:
    """Drawing indices."""

    def test_two_different_ones(self):
        """All ordered pairs of different indices are equally likely."""
        rng = random.Random(1)
        pairs = Counter(tuple(draw(rng, 3, 2)) for _ in range(12_000))

        assert set(pairs) == {(a, b) for a in range(3) for b in range(3) if a != b}
        assert max(abs(z_of(count, 12_000, 1 / 6)) for count in pairs.values()) < 3.5

    def test_many_different_ones(self):
        """More than two are different as well, and all sets are equally likely."""
        rng = random.Random(2)
        sets = Counter(frozenset(draw(rng, 5, 3)) for _ in range(10_000))

        assert len(sets) == 10
        assert max(abs(z_of(count, 10_000, 0.1)) for count in sets.values()) < 3.5

    def test_fewer_than_asked_for(self):
        """Of two, at most two are drawn; of one, one."""
        assert sorted(draw(random.Random(3), 2, 4)) == [0, 1]
        assert draw(random.Random(3), 1, 2) == [0]


class TestPowerOfTwo:
    """The better of two draws."""

    def test_of_two_nodes_always_the_less_busy(self):
        """Without replacement both are drawn."""
        scene = StrategyScene("a", "b", strategy="power_of_two", rng=random.Random(4))
        scene.load(a=1)

        assert counted(scene, 200) == {"b": 200}

    def test_with_replacement_the_busier_in_a_quarter(self):
        """Both draws may fall on the busier one."""
        scene = StrategyScene(
            "a", "b", strategy="power_of_two", settings={"replacement": True}, rng=random.Random(5)
        )
        scene.load(a=1)

        assert abs(z_of(counted(scene, 10_000)["a"], 10_000, 0.25)) < 3.5

    def test_fair_among_equals(self):
        """Equally busy nodes get equal shares."""
        scene = StrategyScene("a", "b", "c", strategy="power_of_two", rng=random.Random(6))

        found = counted(scene, 9_000)
        assert max(abs(z_of(found[node], 9_000, 1 / 3)) for node in "abc") < 3.5

    def test_the_busiest_of_three_is_never_taken(self):
        """Whatever it is drawn with is less busy."""
        scene = StrategyScene("a", "b", "c", strategy="power_of_two", rng=random.Random(7))
        scene.load(a=3, b=2, c=1)

        found = counted(scene, 3_000)
        assert found["a"] == 0
        assert abs(z_of(found["c"], 3_000, 2 / 3)) < 3.5

    def test_one_node(self):
        """With a single node it is that one."""
        assert StrategyScene("a", strategy="power_of_two").choose() == "a"

    def test_settings(self):
        """No choice is none."""
        with pytest.raises(ValueError, match="use 1 or more"):
            PowerOfTwoSettings(choices=0)


def test_random_is_even() -> None:
    """Every node has the same share, however busy."""
    scene = StrategyScene("a", "b", "c", "d", strategy="random", rng=random.Random(8))
    scene.load(a=9)

    found = counted(scene, 8_000)
    assert max(abs(z_of(found[node], 8_000, 0.25)) for node in "abcd") < 3.5


WEIGHTED = ("envoy_weighted_round_robin", "smooth_weighted_round_robin")


class TestSchedules:
    """Turns by weight."""

    def weighted(self, strategy: str, **weights: float) -> StrategyScene:
        """Return nodes with weights."""
        nodes = [deployment(node, weight=weight) for node, weight in weights.items()]
        return StrategyScene(*nodes, strategy=strategy, rng=Dice(0.0))

    @pytest.mark.parametrize(
        ("strategy", "order"),
        [("envoy_weighted_round_robin", "aaaabca"), ("smooth_weighted_round_robin", "aabacaa")],
    )
    def test_orders(self, strategy, order):
        """Weights 5, 1 and 1 in the order of each system, again and again."""
        scene = self.weighted(strategy, a=5.0, b=1.0, c=1.0)

        assert "".join(scene.choose() for _ in range(28)) == order * 4

    @pytest.mark.parametrize("strategy", WEIGHTED)
    def test_the_worked_example(self, strategy):
        """Weights 2 and 1 take turns so."""
        scene = self.weighted(strategy, a=2.0, b=1.0)

        assert "".join(scene.choose() for _ in range(9)) == "abaabaaba"

    @pytest.mark.parametrize("strategy", WEIGHTED)
    @pytest.mark.parametrize("luck", [0.0, 0.123, 0.987])
    def test_shares_are_exact(self, strategy, luck):
        """After whole rounds each node has had its weight, to one, wherever it began."""
        nodes = [
            deployment(node, weight=weight) for node, weight in zip("abc", (5, 1, 1), strict=True)
        ]
        scene = StrategyScene(*nodes, strategy=strategy, rng=Dice(luck))

        found = Counter(scene.choose() for _ in range(700))
        assert abs(found["a"] - 500) <= 1
        assert abs(found["b"] - 100) <= 1

    @pytest.mark.parametrize("strategy", WEIGHTED)
    def test_equal_weights_go_round(self, strategy):
        """Without weights it is round robin."""
        scene = StrategyScene("a", "b", "c", strategy=strategy, rng=Dice(0.0))

        assert "".join(scene.choose() for _ in range(7)) == "abcabca"

    @pytest.mark.parametrize("strategy", WEIGHTED)
    @pytest.mark.parametrize(
        "weights", [(9, 1), (1, 20, 79), (50, 30, 10, 5, 5, 1, 1), (0.5, 1.75)]
    )
    def test_first_picks_go_by_weight(self, strategy, weights):
        """Of many gateways' first requests each node gets its share, the lightest as well."""
        nodes = [deployment(f"n{number}", weight=weight) for number, weight in enumerate(weights)]
        rng, count = random.Random(11), 600
        found = Counter(
            StrategyScene(*nodes, strategy=strategy, rng=rng).choose() for _ in range(count)
        )
        for number, weight in enumerate(weights):
            assert abs(z_of(found[f"n{number}"], count, weight / sum(weights))) < 3.5

    def test_least_request_weighs_by_load(self):
        """A node's weight is divided by its requests in flight plus one, when it is added again."""
        loads = {0: 0, 1: 0}
        schedule = Schedule((0, 1), lambda node: 2.0 / (loads[node] + 1), Dice(0.0))
        loads[0] = 3  # a is due after 1/2; then again 1/(2/4) = 2 later, at 2.5

        assert [schedule.pick() for _ in range(6)] == [0, 1, 1, 1, 1, 0]

    def test_a_bias_schedules_equal_weights(self):
        """One request in flight on the first of two: with a bias of 1 it gets a third."""
        scene = StrategyScene(
            "a",
            "b",
            strategy="envoy_least_request",
            settings={"active_request_bias": 1.0},
            rng=Dice(0.0),
        )
        scene.load(a=1)

        assert Counter(scene.choose() for _ in range(300)) == {"a": 100, "b": 200}

    def test_envoy_draws_with_replacement(self):
        """With two nodes of equal weight the busier one is taken in 25 % of the draws."""
        scene = StrategyScene("a", "b", strategy="envoy_least_request", rng=random.Random(9))
        scene.load(a=1)

        assert abs(z_of(counted(scene, 10_000)["a"], 10_000, 0.25)) < 3.5

    def test_envoy_takes_the_first_drawn_of_equals(self):
        """Draws of c, then a: c."""
        scene = StrategyScene("a", "b", "c", strategy="envoy_least_request", rng=Dice(0.9, 0.0))

        assert scene.choose() == "c"

    def test_envoy_full_scan(self):
        """All of the least busy have the same share, and the others none."""
        scene = StrategyScene(
            "a",
            "b",
            "c",
            strategy="envoy_least_request",
            settings={"full_scan": True},
            rng=random.Random(10),
        )
        scene.load(b=1)

        found = counted(scene, 4_000)
        assert found["b"] == 0
        assert abs(z_of(found["a"], 4_000, 0.5)) < 3.5

    def test_envoy_with_weights_and_no_bias_is_round_robin(self):
        """A bias of 0 leaves the weights alone, whatever the load."""
        nodes = [deployment("a", weight=2.0), deployment("b", weight=1.0)]
        scene = StrategyScene(
            *nodes,
            strategy="envoy_least_request",
            settings={"active_request_bias": 0.0},
            rng=Dice(0.0),
        )
        scene.load(a=7)

        assert "".join(scene.choose() for _ in range(6)) == "abaaba"

    @pytest.mark.parametrize(
        ("settings", "message"),
        [({"choices": 1}, "use 2 or more"), ({"active_request_bias": -1.0}, "use 0 or more")],
    )
    def test_settings(self, settings, message):
        """What Envoy refuses is refused."""
        with pytest.raises(ValueError, match=message):
            EnvoyLeastRequestSettings(**settings)


class TestPeakEwma:
    """Quick to rise, slow to fall."""

    def test_the_worked_example(self):
        """2 s decay to 0.736 s in 10 s; a lower latency at once changes nothing."""
        average = PeakEwma(10.0, 0.0)
        average.observe(0.0, 2.0)
        assert average.load(10.0, 0) == pytest.approx(0.7358, abs=1e-4)
        average.observe(10.0, 0.1)
        assert average.cost_s == pytest.approx(0.7358, abs=1e-4)

    def test_a_peak_counts_in_full(self):
        """A latency above the average replaces it."""
        average = PeakEwma(10.0, 0.0)
        average.observe(0.0, 1.0)
        average.observe(1.0, 5.0)

        assert average.cost_s == 5.0

    def test_load_counts_requests(self):
        """Two requests in flight make it three times as much; an unknown node is dear."""
        average = PeakEwma(10.0, 0.0)
        assert average.load(0.0, 0) == 0.0
        assert average.load(0.0, 2) == PENALTY_S + 2
        average.observe(0.0, 0.5)
        assert average.load(0.0, 2) == pytest.approx(1.5)

    def served(self, latencies: dict[str, float]) -> StrategyScene:
        """Return nodes that have answered once."""
        scene = StrategyScene(*latencies, strategy="finagle_peak_ewma", rng=random.Random(11))
        for node, latency_s in latencies.items():
            target = scene.start(node, prompt())
            scene.router.on_complete(target, prompt(), "ok", latency_s)
        return scene

    def test_the_faster_of_two(self):
        """With one request in flight, 0.4 s counts 0.8 s, and is beaten by 0.5 s."""
        scene = self.served({"a": 0.4, "b": 0.5})
        assert counted(scene, 50) == {"a": 50}
        scene.load(a=1)
        assert counted(scene, 50) == {"b": 50}

    def test_the_healthier_first(self):
        """A degraded node loses to a slower one that is well."""
        scene = self.served({"a": 0.4, "b": 5.0})
        scene.degrade("a")

        assert counted(scene, 50) == {"b": 50}

    def test_a_failure_is_a_latency(self):
        """A node that fails fast looks good; a cancelled attempt says nothing."""
        scene = StrategyScene("a", "b", strategy="finagle_peak_ewma", rng=random.Random(12))
        for node, outcome, latency_s in (("a", "internal", 0.01), ("b", "ok", 1.0)):
            scene.router.on_complete(scene.start(node, prompt()), prompt(), outcome, latency_s)
        assert counted(scene, 50) == {"a": 50}
        scene.router.on_complete(scene.start("a", prompt()), prompt(), "cancelled", 9.0)
        assert counted(scene, 50) == {"a": 50}

    def test_settings(self):
        """Decay takes time."""
        with pytest.raises(ValueError, match="above 0"):
            FinaglePeakEwmaSettings(decay_s=0.0)


class TestPrequal:
    """Hot and cold."""

    def answers(self, **known: tuple[int, float]) -> list[Answer]:
        """Return answers of nodes: load and latency."""
        return [Answer(NodeId(node), *each, 0.0, 1.0) for node, each in known.items()]

    def test_the_worked_example(self):
        """The fastest is hot, and of the cold the faster is taken."""
        pool = self.answers(a=(1, 0.080), b=(2, 0.060), c=(9, 0.010))

        assert hot_cold(pool, 4.0).node_id == "b"

    def test_quantile(self):
        """Linear interpolation between the values in order."""
        assert quantile([9, 1, 2], 0.84) == pytest.approx(6.76)

    @pytest.mark.parametrize("hot_above", [-1.0, 0.9])
    def test_where_all_are_hot_the_least_load_is_taken(self, hot_above):
        """All of the pool may be above the mark."""
        pool = self.answers(a=(1, 0.080), b=(2, 0.060))

        assert hot_cold(pool, hot_above).node_id == "a"

    def test_where_none_is_hot_the_lowest_latency_is_taken(self):
        """Load does not count up to the mark, but between equals."""
        pool = self.answers(a=(1, 0.080), b=(2, 0.060), c=(9, 0.010), d=(8, 0.010))

        assert hot_cold(pool, 9.0).node_id == "d"

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"hot_quantile": 1.5}, "use 0 to 1"),
            ({"pool": 1}, "use 2 or more"),
            ({"probes": -1.0}, "use 0 or more"),
            ({"age_s": 0.0}, "above 0"),
            ({"timeout_s": 0.0}, "above 0"),
        ],
    )
    def test_settings(self, settings, message):
        """What cannot be is refused."""
        with pytest.raises(ValueError, match=message):
            PrequalSettings(**settings)


class TestQueues:
    """Reported depths, and reports of idle nodes."""

    def test_reported_depths(self):
        """Running and waiting at the last probe count, whatever this gateway sent."""
        scene = StrategyScene("a", "b", "c", strategy="join_shortest_queue")
        scene.tell("a", running=3)
        scene.tell("b", running=1)
        scene.tell("c", running=0, queue=1)
        scene.load(b=7)

        assert "".join(scene.choose() for _ in range(4)) == "bcbc"

    def test_without_a_report(self):
        """What this gateway sent stands for what it was not told."""
        scene = StrategyScene("a", "b", strategy="join_shortest_queue")
        scene.tell("a", running=3)
        scene.load(b=2)

        assert scene.choose() == "b"

    @pytest.mark.parametrize(
        ("strategy", "settings"),
        [("join_idle_queue", {}), ("join_shortest_queue", {"depth": "actual"})],
    )
    def test_the_truth_needs_a_simulator(self, strategy, settings):
        """Outside of one these strategies cannot be built, and say why."""
        with pytest.raises(ValueError, match="only a simulator offers"):
            StrategyScene("a", strategy=strategy, settings=settings)

    def test_settings(self):
        """Reported depths are the default."""
        assert JoinShortestQueueSettings().depth == "reported"

    def test_idle_nodes_in_the_order_of_their_reports(self):
        """A and b have reported: a, b, then any."""
        scene = StrategyScene("a", "b", "c", strategy="random", rng=Dice(0.9))
        insight = Insight()
        strategy = JoinIdleQueue(Context(insight, scene.rng))  # type: ignore[arg-type]
        scene.router._strategy = strategy
        for node in ("b", "a", "b"):
            insight.report(NodeId(node))

        chosen = ""
        for _ in range(4):
            chosen += scene.choose()
            strategy.on_start(target(chosen[-1]), request())
        assert chosen == "abcc"

    def test_an_idle_node_that_may_not_serve_stays_on_the_list(self):
        """It is passed over, and taken when it is eligible again."""
        scene = StrategyScene("a", "b", strategy="random", rng=Dice(0.9))
        insight = Insight()
        scene.router._strategy = JoinIdleQueue(Context(insight, scene.rng))  # type: ignore[arg-type]
        insight.report(NodeId("a"))
        insight.report(NodeId("b"))
        assert scene.choose(prompt(), "a") == "b"

        assert scene.choose() == "a"


class Insight:
    """A simulator that reports by hand."""

    def on_idle(self, report):
        """Remember whom to tell."""
        self.report = report


class Context:
    """As much of a context as the idle queue needs."""

    def __init__(self, insight, rng):
        self.insight, self.rng = insight, rng


class TestHashTables:
    """Maglev, rendezvous and bounded loads."""

    def test_maglev_shares(self):
        """Weights 1 and 2 on 65,537 places: 21,846 and 43,691, as Envoy has it."""
        table = maglev_table((NodeId("a"), NodeId("b")), (1.0, 2.0), 65_537)

        assert Counter(table) == {0: 21_846, 1: 43_691}

    def test_maglev_moves_little(self):
        """Without one of ten nodes, its places move and few others do."""
        nodes = tuple(NodeId(f"n-{number}") for number in range(10))
        before = maglev_table(nodes, (1.0,) * 10, 65_537)
        after = maglev_table(nodes[:-1], (1.0,) * 9, 65_537)

        moved = sum(one != other for one, other in zip(before, after, strict=True) if one != 9)
        assert moved / 65_537 < 0.1
        assert max(Counter(after).values()) - min(Counter(after).values()) <= 1

    @pytest.mark.parametrize("size", [1, 65_536, 5_000_012])
    def test_maglev_needs_a_prime(self, size):
        """Otherwise permutations would leave places out."""
        with pytest.raises(ValueError, match="is not a prime"):
            MaglevSettings(size)

    @pytest.mark.parametrize("strategy", ["maglev", "rendezvous_hash", "bounded_load_hash"])
    def test_a_tenant_stays(self, strategy):
        """A tenant has one node, and another one only while that may not serve."""
        scene = StrategyScene("a", "b", "c", strategy=strategy)
        homes = {name: scene.choose(prompt(tenant=name)) for name in map(str, range(60))}
        assert {scene.choose(prompt(tenant="7")) for _ in range(5)} == {homes["7"]}

        for name, home in homes.items():
            away = scene.choose(prompt(tenant=name), home)
            assert away != home
            assert scene.choose(prompt(tenant=name)) == home

    @pytest.mark.parametrize("strategy", ["maglev", "rendezvous_hash"])
    def test_weights(self, strategy):
        """A node with twice the weight has two thirds of the tenants."""
        scene = StrategyScene(
            deployment("a", weight=1.0), deployment("b", weight=2.0), strategy=strategy
        )

        found = Counter(scene.choose(prompt(tenant=f"t-{number}")) for number in range(3_000))
        assert abs(z_of(found["b"], 3_000, 2 / 3)) < 3.5

    def test_rendezvous_spreads_a_lost_nodes_tenants(self):
        """They go to all others, and no other tenant moves."""
        scene = StrategyScene("a", "b", "c", "d", strategy="rendezvous_hash")
        names = [f"t-{number}" for number in range(2_000)]
        before = {name: scene.choose(prompt(tenant=name)) for name in names}
        scene.lose("d")
        after = {name: scene.choose(prompt(tenant=name)) for name in names}

        moved = Counter(after[name] for name in names if before[name] == "d")
        assert all(after[name] == home for name, home in before.items() if home != "d")
        total = sum(moved.values())
        assert max(abs(z_of(moved[node], total, 1 / 3)) for node in "abc") < 3.5

    def test_bounded_loads_of_the_worked_example(self):
        """With 7 in flight on 4 nodes, a node takes 3 at most: a fourth goes elsewhere."""
        scene = StrategyScene("a", "b", "c", "d", strategy="bounded_load_hash")
        home = scene.choose(prompt(tenant="t"))
        others = [node for node in "abcd" if node != home]
        scene.load(**{home: 2, others[0]: 2, others[1]: 2, others[2]: 1})
        assert scene.choose(prompt(tenant="t")) == home

        scene.load(**{home: 3, others[0]: 2, others[1]: 1, others[2]: 1})
        assert scene.choose(prompt(tenant="t")) != home

    def test_bounded_loads_count_the_new_request(self):
        """With 3 in flight on 2 nodes, ceil(1.25 x 4 / 2) = 3: home takes a third."""
        scene = StrategyScene("a", "b", strategy="bounded_load_hash")
        home = scene.choose(prompt(tenant="t"))
        other = "b" if home == "a" else "a"
        scene.load(**{home: 2, other: 1})

        assert scene.choose(prompt(tenant="t")) == home

    def test_bounded_loads_stay_within_the_bound(self):
        """One tenant alone fills all nodes evenly, up to the bound."""
        scene = StrategyScene("a", "b", "c", "d", strategy="bounded_load_hash")
        for number in range(40):
            scene.serve(prompt(tenant="t", number=number))

        assert max(scene.router.fleet.in_flight) <= 13  # 1.25 * 40 / 4, rounded up
        assert min(scene.router.fleet.in_flight) >= 1

    def test_bounded_loads_settings(self):
        """A bound at the mean leaves no room."""
        with pytest.raises(ValueError, match="not above 1"):
            BoundedLoadHashSettings(balance=1.0)


def test_every_card_is_complete() -> None:
    """Each strategy says its rule, cost, a worked example, how it fails, and mostly its source."""
    for name, entry in STRATEGIES.items():
        card = entry.strategy.__doc__ or ""
        missing = [part for part in ("Rule:", "Cost:", "Example:", "Failure:") if part not in card]
        assert missing == [], name
