"""Router and explanation agree, whatever has happened to the nodes before.

The router keeps eligibility up to date node by node; the explanation works it out anew. A third
opinion, written after the table of errors, says what must come out of both.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fedsim.federation.catalog import Deployment, DeploymentStatus
from fedsim.federation.contracts import (
    AllNodesUnhealthy,
    Capability,
    CircuitOpen,
    FederationError,
    HealthState,
    ModelId,
    NoCapacity,
    NodeId,
    PrivacyLevel,
    PrivacyViolation,
    QoSViolation,
    RegionId,
    RoutingPolicyTrait,
)
from fedsim.federation.outliers import OutlierConfig, OutlierDetector
from fedsim.federation.panic import PanicMode
from fedsim.federation.policies import (
    CostPolicy,
    HealthPolicy,
    LatencyPolicy,
    LocalityPolicy,
    PrivacyPolicy,
    ThroughputPolicy,
)
from fedsim.federation.router import Router
from fedsim.federation.slow_start import SlowStart
from fedsim.federation.strategies.base import Strategy
from fedsim.federation.strategies.load import LeastConnections
from fedsim.federation.strategies.turns import RoundRobin
from tests.unit.federation.stand_ins import (
    EAST,
    GENERATE,
    RouterScene,
    deployment,
    drive,
    request,
    target,
    unreachable,
)

EMBED = Capability.EMBED
PRIVACY = {EAST: PrivacyLevel.PUBLIC, RegionId("west"): PrivacyLevel.CONFIDENTIAL}
NAMES = "abc"

nodes = st.sampled_from(NAMES)
models = st.sampled_from(["llama", "bge"])
latencies = st.sampled_from([0.1, 1.0, 1.1, 4.0])
requests = st.builds(
    lambda capability, **qos: request(capability=capability, **qos),
    st.sampled_from([GENERATE, GENERATE, EMBED]),
    max_latency_s=st.sampled_from([None, None, 1.0, 5.0]),
    min_throughput=st.sampled_from([None, None, 50]),
    privacy=st.sampled_from([PrivacyLevel.PUBLIC, PrivacyLevel.INTERNAL, PrivacyLevel.RESTRICTED]),
    prefer_gpu=st.booleans(),
)
deployments = st.builds(
    lambda name, region, model, capabilities, gpu, status, pool: deployment(
        name,
        region,
        model,
        capabilities=capabilities,
        gpu=gpu,
        status=DeploymentStatus(status),
        pool=pool,
    ),
    nodes,
    st.sampled_from(["east", "west"]),
    models,
    st.sampled_from([(GENERATE,), (EMBED,), (GENERATE, EMBED)]),
    st.sampled_from([None, "h100"]),
    st.sampled_from(["ready", "ready", "ready", "loading"]),
    st.sampled_from(["x", "y"]),
)


USUAL = [
    request(privacy=PrivacyLevel.PUBLIC),
    request(privacy=PrivacyLevel.PUBLIC, max_latency_s=1.0, prefer_gpu=False),
    request(privacy=PrivacyLevel.PUBLIC, min_throughput=50, prefer_gpu=False),
    request(capability=EMBED),
]


class Spy:
    """Keeps which nodes a strategy was given, and passes on what it chooses."""

    def __init__(self, strategy):
        self.strategy = strategy
        self.given: set[str] = set()

    def select(self, fleet, candidates, request):
        """Look and pass on."""
        self.given = {fleet.node_ids[position] for position in candidates.positions}
        return self.strategy.select(fleet, candidates, request)


class RouterMachine(RuleBasedStateMachine):
    """A router between a catalog, a health checker and a breaker to which things happen."""

    strategy: Callable[[], Strategy] = RoundRobin
    watchful = False

    @initialize(first=st.lists(deployments, min_size=3, max_size=4), own=st.booleans())
    def begin(self, first, own):
        """Take some nodes, and all policies of ours, or none but those that exclude."""
        self.scene = RouterScene(*first)
        exclude: list[RoutingPolicyTrait] = [
            PrivacyPolicy(PRIVACY),
            LatencyPolicy(),
            ThroughputPolicy(self.scene.health),
        ]
        score: list[RoutingPolicyTrait] = [HealthPolicy(), LocalityPolicy(), CostPolicy()]
        self.spy = Spy(self.strategy())
        clock = self.scene.clock
        self.outliers = OutlierDetector(clock, OutlierConfig(max_ejected=1.0))
        self.slow_start = SlowStart(clock, random.Random(7))
        watchers = (self.outliers, PanicMode(clock, 0.5), self.slow_start)
        self.router = Router(
            self.scene.catalog,
            self.spy,
            self.scene.clock,
            EAST,
            random.Random(3),
            self.scene.health,
            self.scene.breaker,
            exclude + score if own else exclude,
            *(watchers if self.watchful else ()),
        )
        self.turns: dict[frozenset[str], Counter[str]] = {}

    @rule(new=deployments)
    def register(self, new):
        """A deployment is added, or replaced."""
        self.scene.catalog.add(new)

    @rule(name=nodes, model=models)
    def deregister(self, name, model):
        """A deployment goes."""
        drive(self.scene.catalog.deregister(ModelId(model), NodeId(name)))
        self.turns.clear()

    @rule(name=nodes, status=st.sampled_from(["ready", "draining", "removed"]))
    def set_status(self, name, status):
        """A node drains, or returns."""
        self.scene.set_status(name, status)

    @rule(name=nodes, latency_s=latencies, count=st.integers(1, 6))
    def serve(self, name, latency_s, count):
        """A node serves."""
        self.scene.serve(name, latency_s, count)

    @rule(name=nodes, count=st.integers(1, 5))
    def fail(self, name, count):
        """Attempts on a node fail, perhaps so many that its circuit opens."""
        for _ in range(count):
            self.scene.health.report_failure(NodeId(name))
            self.scene.breaker.record_failure(NodeId(name))

    @rule(name=nodes, ok=st.sampled_from([True, False, None]))
    def probe_circuit(self, name, ok):
        """A request takes the right to be sent, and keeps it or ends."""
        node = NodeId(name)
        if self.scene.breaker.try_acquire(node) and ok is not None:
            self.scene.breaker.release(node)
            (self.scene.breaker.record_success if ok else self.scene.breaker.record_failure)(node)

    @rule(name=nodes)
    def release(self, name):
        """A request that had the right gives it back."""
        self.scene.breaker.release(NodeId(name))

    @rule(name=nodes, outcome=st.sampled_from([0, 49, 50, None]), count=st.integers(1, 3))
    def probe(self, name, outcome, count):
        """The health checker probes a node."""
        if self.scene.health.record(NodeId(name)) is not None:
            self.scene.probe(name, unreachable() if outcome is None else outcome, count)

    @rule(name=nodes)
    def watch_anew(self, name):
        """The health checker forgets a node, and watches it as a new one."""
        if self.scene.health.record(NodeId(name)) is not None:
            self.scene.health.deregister_node(NodeId(name))
            self.scene.health.register_node(NodeId(name), "z")

    @rule(wait_s=st.sampled_from([0.1, 29.9, 30.0, 60.0]))
    def wait(self, wait_s):
        """Time passes."""
        self.scene.clock.now_s += wait_s

    @rule(name=nodes)
    def start(self, name):
        """A request is sent to a node, by whatever way."""
        self.router.on_start(target(name), request())

    @precondition(lambda self: any(self.router.fleet.in_flight))
    @rule(data=st.data())
    def complete(self, data):
        """A request in flight ends."""
        fleet = self.router.fleet
        busy = [name for name, at in fleet.positions.items() if fleet.in_flight[at]]
        name = data.draw(st.sampled_from(busy))
        self.router.on_complete(target(name), request(), "ok", 0.1)

    @precondition(lambda self: self.watchful)
    @rule(name=nodes, count=st.integers(4, 6))
    def fail_as_the_router_hears_it(self, name, count):
        """Attempts on a node fail, perhaps so many that it is ejected."""
        for _ in range(count):
            self.router.on_start(target(name), request())
            self.router.on_complete(target(name), request(), "internal", 0.1)

    @precondition(lambda self: self.watchful)
    @rule()
    def tick(self):
        """An interval of outlier ejection ends."""
        self.outliers.tick()

    @rule(asked=requests, excluded=st.sets(nodes, max_size=3))
    def retry(self, asked, excluded):
        """A retry goes to an eligible node, and to none that was tried while there is another."""
        eligible = self.explained(asked)
        if not eligible:
            return
        chosen = drive(self.router.route_excluding(asked, sorted(excluded))).node_id
        gpus_aside = {name for name, error in self.third_opinion(asked).items() if error is None}
        assert chosen in gpus_aside
        if gpus_aside - excluded:
            assert chosen not in excluded
        self.check_choice(chosen, self.spy.given)

    @rule(asked=requests)
    def route(self, asked):
        """Something else is asked for than is always asked for."""
        self.check(asked)

    @invariant()
    def usual_requests(self):
        """After whatever has happened, all usual requests are routed as they should be."""
        if hasattr(self, "router"):
            for asked in USUAL:
                self.check(asked)

    def check(self, asked):
        """Route, explanation and the table agree, and the strategy keeps its promise."""
        eligible = self.explained(asked)
        opinions = self.third_opinion(asked)
        assert eligible == self.without_gpu_taste(asked, opinions)
        if not eligible:
            with pytest.raises(FederationError) as caught:
                drive(self.router.route(asked))
            self.check_error(caught.value, opinions)
            return
        chosen = drive(self.router.route(asked))
        if self.watchful:
            starting = set(self.slow_start.since_s)
            assert self.spy.given  # where slow start had it choose again, what was left then
            assert self.spy.given <= eligible <= self.spy.given | starting
            return
        assert self.spy.given == eligible
        assert self.explained(asked) == eligible
        self.check_choice(chosen.node_id, eligible)

    def explained(self, asked):
        """Return the names of the nodes that the explanation calls eligible."""
        candidates = drive(self.router.get_candidates(asked))
        known = [each.node_id for each in self.scene.catalog.deployments()]
        assert [each.target.node_id for each in candidates] == list(dict.fromkeys(known))
        for each in candidates:
            assert each.eligible == (each.rejection_reason is None)
            assert each.target.score == each.scores.total
        return {each.target.node_id for each in candidates if each.eligible}

    def third_opinion(self, asked):
        """Return for each node what stands against it, as the table has it."""
        scene = self.scene
        opinions: dict[str, type[FederationError] | None] = {}
        models: dict[str, list] = {}
        for each in scene.catalog.deployments():
            models.setdefault(each.node_id, []).append(each)
        for name, deployed in models.items():
            health = scene.health.get_cached_health(NodeId(name))
            assert health is not None
            level = PRIVACY[deployed[0].region_id]
            limit_s, least = asked.qos.max_latency_s, asked.qos.min_throughput
            ready = any(
                each.status is DeploymentStatus.READY and asked.capability in each.capabilities
                for each in deployed
            )
            if not ready:
                opinions[name] = NoCapacity
            elif level < asked.qos.privacy:
                opinions[name] = PrivacyViolation
            elif (limit_s is not None and health.latency_p50_s > limit_s) or (
                least is not None and 0 < health.throughput < least
            ):
                opinions[name] = QoSViolation
            elif scene.breaker.is_open(NodeId(name)):
                opinions[name] = CircuitOpen
            elif self.is_ill(name) and not self.panics(asked.capability):
                opinions[name] = AllNodesUnhealthy
            else:
                opinions[name] = None
        return opinions

    def is_ill(self, name):
        """Return whether a node is unhealthy or ejected."""
        health = self.scene.health.get_cached_health(NodeId(name))
        assert health is not None
        ejected = self.watchful and self.outliers.ejection(NodeId(name)) is not None
        return ejected or health.status is HealthState.UNHEALTHY

    def panics(self, capability):
        """Return whether more than half of the nodes that are ready are ill."""
        ready = {
            each.node_id
            for each in self.scene.catalog.deployments()
            if each.status is DeploymentStatus.READY and capability in each.capabilities
        }
        ill = sum(self.is_ill(name) for name in ready)
        return self.watchful and ill > 0.5 * len(ready)

    def without_gpu_taste(self, asked, opinions):
        """Return who is left when those without a GPU give way."""
        eligible = {name for name, error in opinions.items() if error is None}
        first: dict[str, Deployment] = {}
        for each in self.scene.catalog.deployments():
            first.setdefault(each.node_id, each)
        with_gpu = {name for name in eligible if first[name].gpu is not None}
        return with_gpu if asked.qos.prefer_gpu and with_gpu else eligible

    def check_error(self, error, opinions):
        """The error is the last one in the table's order that any node has come to."""
        order = [NoCapacity, PrivacyViolation, QoSViolation, CircuitOpen, AllNodesUnhealthy]
        furthest = max((order.index(each) for each in opinions.values()), default=0)
        assert type(error) is order[furthest]
        if isinstance(error, CircuitOpen):
            opens_s = {
                name: self.scene.breaker.half_opens_at_s(NodeId(name))
                for name, each in opinions.items()
                if each is CircuitOpen
            }
            assert opens_s[error.node_id] == min(opens_s.values())

    def check_choice(self, chosen, eligible):
        """For each set of eligible nodes, no two have had numbers of turns two apart."""
        turns = self.turns.setdefault(frozenset(eligible), Counter(dict.fromkeys(eligible, 0)))
        turns[chosen] += 1
        assert max(turns.values()) - min(turns.values()) <= 1


class LeastConnectionsMachine(RouterMachine):
    """The same with least connections."""

    @staticmethod
    def strategy():
        """Return the strategy, with a source of randomness alone."""
        context: Any = SimpleNamespace(rng=random.Random(8))
        return LeastConnections(context)

    def check_choice(self, chosen, eligible):
        """No eligible node has fewer requests in flight than the chosen one; none below zero."""
        fleet = self.router.fleet
        in_flight = dict(zip(fleet.node_ids, fleet.in_flight, strict=True))
        assert in_flight[chosen] == min(in_flight[name] for name in eligible)
        assert min(in_flight.values()) >= 0


class WatchfulMachine(RouterMachine):
    """The same with outlier ejection, panic mode and slow start."""

    watchful = True

    def check_choice(self, chosen, eligible):
        """Any node that was given will do: slow start takes nodes out of their turn."""
        assert chosen in eligible


for machine in (RouterMachine, LeastConnectionsMachine, WatchfulMachine):
    machine.TestCase.settings = settings(stateful_step_count=40)
TestRoundRobin = RouterMachine.TestCase
TestLeastConnections = LeastConnectionsMachine.TestCase
TestWatchful = WatchfulMachine.TestCase
