"""Panic mode and slow start: the formulas, and what the router makes of them."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from fedsim.federation.breaker import BreakerConfig, CircuitBreaker
from fedsim.federation.builder import FederationBuilder
from fedsim.federation.contracts import (
    AllNodesUnhealthy,
    Capability,
    CircuitOpen,
    NodeId,
)
from fedsim.federation.health import HealthChecker
from fedsim.federation.outliers import OutlierConfig
from fedsim.federation.panic import PanicMode
from fedsim.federation.policies import HealthPolicy
from fedsim.federation.router import Router
from fedsim.federation.runtime import Surroundings
from fedsim.federation.slow_start import SlowStart, SlowStartConfig, slow_start_share
from fedsim.federation.strategies.registry import STRATEGIES
from tests.unit.federation.stand_ins import (
    EAST,
    GENERATE,
    HandClock,
    Network,
    Onlooker,
    RouterScene,
    Stage,
    catalog_of,
    deployment,
    request,
    target,
    unreachable,
)

EMBED = Capability.EMBED


def _stays(name):
    """Return whether slow start does nothing under a strategy."""
    return not STRATEGIES[name].slow_start


def never(coroutine, name):
    """Drop a task that is to be spawned."""
    coroutine.close()


class Scene(RouterScene):
    """A router with outlier ejection, panic mode or slow start, in turns."""

    def __init__(
        self,
        *nodes,
        outliers=None,
        panic=None,
        slow_start=None,
        policies=(),
        strategy="round_robin",
        seed=5,
    ) -> None:
        self.clock = HandClock()
        self.catalog = catalog_of(*nodes)
        self.network = Network(self.clock)
        self.seen = Onlooker()
        builder = FederationBuilder(catalog=self.catalog, policies=list(policies))
        builder.with_circuit_breaker(BreakerConfig()).with_load_balance(strategy)
        builder.with_outliers(outliers).with_panic(panic).with_slow_start(slow_start)
        tasks = Stage().tasks
        tasks.spawn = never  # type: ignore[method-assign]
        self.gateway = builder.build(
            Surroundings(
                self.network, self.clock, tasks, lambda _: random.Random(seed), EAST, self.seen
            )
        )
        assert isinstance(self.gateway.router, Router)
        assert isinstance(self.gateway.health, HealthChecker)
        assert isinstance(self.gateway.breaker, CircuitBreaker)
        self.router = self.gateway.router
        self.health = self.gateway.health
        self.breaker = self.gateway.breaker

    def tick(self) -> None:
        """End an interval of outlier ejection."""
        assert self.router._outliers is not None
        self.router._outliers.tick()

    @property
    def slow_start(self) -> SlowStart:
        """The router's slow start."""
        assert self.router._slow_start is not None
        return self.router._slow_start

    def sicken(self, *names: str) -> None:
        """Make nodes unhealthy."""
        for name in names:
            self.probe(name, unreachable(name), 3)

    def cure(self, *names: str) -> None:
        """Make nodes healthy again."""
        for name in names:
            self.probe(name, 0, 2)

    def fail(self, name: str, count: int = 5) -> None:
        """Let attempts on a node fail, as the router hears of it."""
        for _ in range(count):
            self.router.on_start(target(name), request())
            self.router.on_complete(target(name), request(), "internal", 0.1)


class TestPanic:
    """Where too few nodes are usable, all are used."""

    @pytest.mark.parametrize(
        ("usable", "nodes", "due"), [(2, 4, False), (1, 4, True), (0, 1, True)]
    )
    def test_threshold(self, usable, nodes, due):
        """There is panic below half of the nodes, not at half."""
        panic = PanicMode(HandClock(), 0.5)
        opened = panic.due(range(nodes), [True] * usable + [False] * (nodes - usable))
        assert opened == frozenset(range(nodes) if due else ())

    def test_no_nodes_and_no_threshold(self):
        """Without nodes there is nothing to panic about; a threshold of 0 never panics."""
        assert not PanicMode(HandClock(), 0.5).due([], [])
        assert not PanicMode(HandClock(), 0.0).due([0], [False])

    @pytest.mark.parametrize("policies", [(), (HealthPolicy(),)])
    def test_unhealthy_nodes_serve_in_panic(self, policies):
        """Two of three unhealthy: all three are used, until one of them is back."""
        scene = Scene("a", "b", "c", panic=0.5, policies=policies)
        scene.sicken("a")
        assert set(scene.routes(4)) == {"b", "c"}
        scene.sicken("b")
        assert set(scene.routes(6)) == {"a", "b", "c"}
        assert scene.explain() == {"a": None, "b": None, "c": None}
        scene.cure("b")
        assert set(scene.routes(4)) == {"b", "c"}
        assert scene.explain()["a"] == "the node is unhealthy"
        assert [(key, on) for _, key, on in scene.seen.panics] == [
            ("generate", True),
            ("generate", False),
        ]
        assert "1 of 3 nodes are usable" in scene.seen.reasons

    def test_without_panic_none_is_left(self):
        """The same without panic mode is an error."""
        scene = Scene("a", "b", "c")
        scene.sicken("a", "b", "c")
        with pytest.raises(AllNodesUnhealthy):
            scene.route()

    def test_open_circuits_are_not_overruled(self):
        """In panic an open circuit still keeps requests away."""
        scene = Scene("a", "b", panic=0.6)
        scene.sicken("a", "b")
        scene.break_circuit("a")
        assert scene.routes(3) == "bbb"
        assert scene.explain()["a"] == "its circuit is open"
        scene.break_circuit("b")
        with pytest.raises(CircuitOpen):
            scene.route()

    def test_each_capability_for_itself(self):
        """Unhealthy nodes for embeddings make nobody panic about text."""
        embed = [deployment(name, capabilities=(EMBED,)) for name in "xyz"]
        scene = Scene("a", "b", *embed, panic=0.5)
        scene.sicken("x", "y")
        assert [(key, on) for _, key, on in scene.seen.panics] == [("embed", True)]
        assert set(scene.routes(6, request(capability=EMBED))) == {"x", "y", "z"}
        scene.sicken("a")
        assert scene.routes(3, request(capability=GENERATE)) == "bbb"

    def test_nodes_that_are_not_ready_do_not_count(self):
        """Draining nodes are neither usable nor missing."""
        scene = Scene("a", "b", "c", "d", panic=0.5)
        scene.sicken("a", "b")
        assert scene.seen.panics == []
        scene.set_status("c", "draining")
        assert [(key, on) for _, key, on in scene.seen.panics] == [("generate", True)]
        assert set(scene.routes(6)) == {"a", "b", "d"}


class TestEjections:
    """The router heeds ejections."""

    def test_ejected_nodes_are_left_out_until_they_are_back(self):
        """Five failures eject a node, with a reason, and the detector's tick brings it back."""
        scene = Scene("a", "b", "c", outliers=OutlierConfig())
        scene.fail("a")
        assert set(scene.routes(4)) == {"b", "c"}
        reason = "it is ejected as an outlier: 5 failures in a row"
        assert scene.explain() == {"a": reason, "b": None, "c": None}
        scene.clock.now_s = 30.0
        scene.tick()
        assert set(scene.routes(6)) == {"a", "b", "c"}

    def test_watched_in_the_background(self):
        """The builder starts the intervals, the first of which ends anywhere, here at 6.23 s.

        Ejected at 0 s for 30 s, the node is back at the end of the next one.
        """
        stage, seen = Stage(), Onlooker()
        builder = FederationBuilder(catalog=catalog_of("a", "b")).with_outliers(OutlierConfig())
        network = Network(stage.clock)
        rng = random.Random(5)
        gateway = builder.build(
            Surroundings(network, stage.clock, stage.tasks, lambda _: rng, EAST, seen)
        )
        for _ in range(5):
            gateway.on_start(target("a"), request())
            gateway.on_complete(target("a"), request(), "timeout", 0.1)
        stage.env.run(until=45.0)
        (_, *ejected), (back_s, *back) = seen.outliers
        assert (ejected, back) == (["a", True], ["a", False])
        assert back_s == pytest.approx(30.0 + 10.0 * random.Random(5).random())

    def test_panic_overrules_ejections(self):
        """With most nodes ejected all are used."""
        scene = Scene("a", "b", "c", outliers=OutlierConfig(max_ejected=1.0), panic=0.5)
        scene.fail("a")
        scene.fail("b")
        assert set(scene.routes(6)) == {"a", "b", "c"}

    def test_all_ejected_is_all_unhealthy(self):
        """The error is the one of health."""
        scene = Scene("a", outliers=OutlierConfig())
        scene.fail("a")
        with pytest.raises(AllNodesUnhealthy):
            scene.route()


class TestSlowStart:
    """A node that has recovered gets its share little by little."""

    @pytest.mark.parametrize(
        ("age_s", "aggression", "share"),
        [
            (0.0, 1.0, 0.1),
            (3.0, 1.0, 0.1),
            (15.0, 1.0, 0.5),
            (30.0, 1.0, 1.0),
            (1e6, 1.0, 1.0),
            (7.5, 2.0, 0.5),
            (15.0, 0.5, 0.25),
        ],
    )
    def test_share(self, age_s, aggression, share):
        """max(10 %, (t / 30 s) ** (1 / aggression))."""
        config = SlowStartConfig(30.0, aggression, 0.1)
        assert slow_start_share(config, age_s) == pytest.approx(share)

    def test_time_is_a_millisecond_at_least(self):
        """Without a least share the first one is that of 1 ms."""
        assert slow_start_share(SlowStartConfig(10.0, 1.0, 0.0), 0.0) == pytest.approx(1e-4)

    @pytest.mark.parametrize("strategy", ["round_robin", "least_connections", "random"])
    def test_a_weight_of_one_half(self, strategy):
        """Of two nodes, one half-way through its slow start gets 0.5 / (1 + 0.5) = a third."""
        scene = Scene("a", "b", slow_start=SlowStartConfig(), strategy=strategy)
        scene.sicken("a")
        scene.cure("a")
        scene.clock.now_s = 15.0
        # A node that has no load attracts all that it may have, and never more than its share.
        got = scene.routes(300).count("a")
        assert got == pytest.approx(100, abs=12 if strategy == "random" else 2)
        assert scene.explain() == {"a": None, "b": None}
        scene.clock.now_s = 30.0
        if strategy == "round_robin":
            assert scene.routes(100).count("a") == 50

    def test_the_first_decision_is_drawn(self):
        """How soon a node is owed a decision differs by gateway, and is right on average."""
        soon = []
        for seed in range(400):
            scene = Scene("a", "b", slow_start=SlowStartConfig(), seed=seed)
            scene.sicken("a")
            scene.cure("a")
            scene.clock.now_s = 3.0
            soon.append(scene.routes(4).count("a"))
        assert 0.6 < sum(soon) / (400 * 4 * 0.1 / 1.1) < 1.2

    def test_the_share_is_that_of_the_pool(self):
        """Among nodes of a pool that the strategy seldom takes, it is the share of what it takes.

        The two cheap nodes of pool x take turns, and the one that starts gets a tenth of what the
        other does; the twenty nodes of pool y, which are dearer, are no matter.
        """
        cheap = [deployment(name, pool="x", cost_usd_per_hour=1.0) for name in ("a", "b")]
        dear = [deployment(f"y{number}", pool="y", cost_usd_per_hour=9.0) for number in range(20)]
        scene = Scene(*cheap, *dear, slow_start=SlowStartConfig(), strategy="cost_capped")
        scene.sicken("a")
        scene.cure("a")
        scene.clock.now_s = 15.0
        chosen = [scene.route() for _ in range(300)]
        assert set(chosen) == {"a", "b"}
        assert chosen.count("a") == pytest.approx(100, abs=2)

    def test_after_all_have_returned(self):
        """Nodes that return one second after the other get the shares of their factors."""
        names = "abcde"
        scene = Scene(*names, slow_start=SlowStartConfig(window_s=10.0, min=0.0))
        scene.sicken(*names)
        for name in names:
            scene.cure(name)
            scene.clock.now_s += 1.0
        chosen = Counter(scene.routes(1500))
        assert chosen == {
            name: pytest.approx(100 * (5 - place), abs=3) for place, name in enumerate(names)
        }

    @pytest.mark.parametrize("strategy", [name for name in STRATEGIES if _stays(name)])
    def test_without_effect(self, strategy):
        """A strategy that goes by the tenant or the prompt, or by no load, is not held back."""
        scene = Scene("a", "b", slow_start=SlowStartConfig(), strategy=strategy)
        assert scene.router._slow_start is None

    def test_never_the_only_one_left_out(self):
        """Where all that are eligible are in slow start, one of them is taken."""
        scene = Scene("a", "b", slow_start=SlowStartConfig(min=0.0))
        scene.sicken("a", "b")
        scene.cure("a")
        assert scene.routes(50) == "a" * 50

    @pytest.mark.parametrize("way", ["health", "ejection", "circuit", "catalog"])
    def test_every_recovery_begins_one(self, way):
        """Healthy again, readmitted, its circuit closed, ready again: each starts slowly."""
        scene = Scene("a", "b", outliers=OutlierConfig(), slow_start=SlowStartConfig())
        slow_start = scene.slow_start
        assert slow_start.since_s == {}
        if way == "health":
            scene.sicken("a")
            scene.clock.now_s = 40.0
            scene.cure("a")
        elif way == "ejection":
            scene.fail("a")
            scene.clock.now_s = 40.0
            scene.tick()
        elif way == "circuit":
            scene.break_circuit("a")
            scene.clock.now_s = 40.0
            for _ in range(3):
                scene.breaker.record_success(NodeId("a"))
        else:
            scene.set_status("a", "loading")
            scene.clock.now_s = 40.0
            scene.set_status("a", "ready")
        assert slow_start.since_s == {NodeId("a"): 40.0}

    def test_new_nodes_start_slowly(self):
        """A node that is added later starts slowly, and one that goes is forgotten."""
        scene = Scene("a", slow_start=SlowStartConfig())
        slow_start = scene.slow_start
        scene.clock.now_s = 5.0
        scene.catalog.add(deployment("b"))
        assert slow_start.since_s == {NodeId("b"): 5.0}
        scene.set_status("b", "draining")
        assert slow_start.since_s == {}
