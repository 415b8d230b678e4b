"""Random federations, to see whether a request is ever served where it must not be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import NamedTuple

from hypothesis import event, given, settings
from hypothesis import strategies as st

import fedsim
from fedsim.federation.breaker import BreakerConfig
from fedsim.federation.contracts import (
    Capability,
    PrivacyLevel,
    QoSRequirements,
    RouteTarget,
)
from fedsim.federation.gateway import GatewayConfig, TimeoutConfig
from fedsim.federation.health import HealthConfig
from fedsim.federation.policies import DEFAULT_POLICIES
from fedsim.federation.retries import RetryConfig
from fedsim.federation.strategies.registry import STRATEGIES
from fedsim.results.run import Run
from fedsim.scenario.spec import FederationSpec
from fedsim.workload.arrivals import Poisson
from fedsim.workload.distributions import Exponential
from fedsim.workload.tenants import Tenants
from fedsim.workload.traffic import Traffic
from fedsim.world.config import RegionConfig, StreamConfig, WorldConfig
from fedsim.world.faults.config import FaultConfig
from fedsim.world.faults.gray import Errors
from fedsim.world.faults.stopping import Crash, Outage
from fedsim.world.network import NetworkConfig
from fedsim.world.nodes.config import PoolConfig
from fedsim.world.service import DistributedService

DURATION_S = 20.0
REGIONS = ("north", "south", "east")
ROUND_TRIPS_S = {(one, other): 0.03 for one in REGIONS for other in REGIONS if one != other}
CAPABILITIES = (Capability.GENERATE, Capability.CODE, Capability.custom("ocr"))

levels = st.sampled_from(PrivacyLevel)
capabilities = st.lists(st.sampled_from(CAPABILITIES), min_size=1, unique=True)


class Random:
    """A router that looks at neither privacy nor capability."""

    def __init__(self, context):
        self.nodes = context.catalog.deployments()
        self.rng = context.rng

    def route(self, request):
        """Return any node."""
        node = self.nodes[int(self.rng.random() * len(self.nodes))]
        return RouteTarget(node.node_id, node.region_id)


@cache
def base_scenario(folder):
    """Return a scenario whose world and federation are to be replaced."""
    path = folder / "scenario.yaml"
    path.write_text(
        "duration: 20s\nregions: {north: {}}\n"
        "pools: {chat: {region: north, service: {distribution: exponential, mean: 1s}}}\n"
        "workload: {chat: {arrivals: {process: poisson, rate: 1/s}}}\n",
        encoding="utf-8",
    )
    return fedsim.load(path)


@st.composite
def pools(draw):
    """Draw one to four pools, wherever and for whatever."""
    return tuple(
        PoolConfig(
            name=f"pool{number}",
            region=draw(st.sampled_from(REGIONS)),
            count=draw(st.integers(1, 2)),
            model="model",
            capabilities=tuple(draw(capabilities)),
            slots=2,
            queue_limit=draw(st.sampled_from([None, 2])),
            service=DistributedService(Exponential(0.2)),
            gpu=draw(st.sampled_from([None, "h100"])),
            cost_usd_per_hour=draw(st.sampled_from([None, 1.0, 9.0])),
        )
        for number in range(draw(st.integers(1, 4)))
    )


@st.composite
def streams(draw):
    """Draw one to three streams of a hundred requests or so, of any privacy and capability."""
    return tuple(
        StreamConfig(
            Traffic(
                f"stream{number}",
                tuple((region, 1.0) for region in REGIONS),
                Poisson(4.0),
                tenants=Tenants(9, 1.0),
            ),
            draw(st.sampled_from(CAPABILITIES)),
            QoSRequirements(privacy=draw(levels), prefer_gpu=draw(st.booleans())),
        )
        for number in range(draw(st.integers(1, 3)))
    )


faults = st.one_of(
    st.builds(
        FaultConfig,
        st.just(Outage()),
        region=st.sampled_from(REGIONS),
        at_s=st.sampled_from([0.0, 6.0]),
        lasts_s=st.sampled_from([3.0, 9.0]),
    ),
    st.builds(
        FaultConfig,
        st.just(Crash()),
        pool=st.just("pool0"),
        mtbf_s=st.just(4.0),
        mttr_s=st.just(2.0),
    ),
    st.builds(
        FaultConfig,
        st.just(Errors(0.5)),
        region=st.sampled_from(REGIONS),
        at_s=st.just(0.0),
        lasts_s=st.just(15.0),
    ),
)

worlds = st.builds(
    WorldConfig,
    seed=st.integers(0, 2**32),
    duration_s=st.just(DURATION_S),
    drain_s=st.just(60.0),
    regions=st.tuples(*(st.builds(RegionConfig, st.just(name), levels) for name in REGIONS)),
    network=st.just(NetworkConfig(0.002, ROUND_TRIPS_S, 0.1)),
    pools=pools(),
    streams=streams(),
    faults=st.lists(faults, max_size=3).map(tuple),
    nodes_every_s=st.none(),
    abort=st.booleans(),
)

federations = st.builds(
    FederationSpec,
    gateways=st.sampled_from([dict.fromkeys(REGIONS, 1), dict.fromkeys(REGIONS, 2)]),
    strategy=st.sampled_from(list(STRATEGIES)),
    policies=st.sampled_from([DEFAULT_POLICIES, {"privacy": {}}, {"cost": {}, "privacy": {}}]),
    health=st.sampled_from([None, HealthConfig(interval_s=2.0, timeout_s=1.0)]),
    circuit_breaker=st.sampled_from([None, BreakerConfig(2, 2.0, 1)]),
    config=st.builds(
        GatewayConfig,
        timeout=st.sampled_from([None, TimeoutConfig(0.3, 2.0)]),
        retries=st.sampled_from([None, RetryConfig(budget=None)]),
    ),
)


class Attempt(NamedTuple):
    """One attempt.

    Attributes:
        too_public: Whether it went where its data may not be.
        incapable: Whether it went to a node that cannot do what it asks for.
        held: Whether it held a slot there, to the end or not.
        served: Whether it was answered.
    """

    too_public: bool
    incapable: bool
    held: bool
    served: bool


@dataclass
class Played:
    """A run, and what its world allows."""

    run: Run
    world: WorldConfig

    @cached_property
    def attempts(self) -> list[Attempt]:
        """All attempts, held against the world."""
        pools = {pool.name: pool for pool in self.world.pools}
        levels = {region.name: region.privacy for region in self.world.regions}
        streams = {stream.traffic.name: stream for stream in self.world.streams}
        found = []
        for row in self.run.attempts.to_dict("records"):
            stream = streams[row["request_id"].rpartition("-")[0]]
            pool = pools[row["node"].rpartition("-")[0]]
            found.append(
                Attempt(
                    levels[pool.region] < stream.qos.privacy,
                    stream.capability not in pool.capabilities,
                    row["service_s"] > 0.0,
                    row["outcome"] == "ok",
                )
            )
        return found

    @property
    def expected_violations(self) -> int:
        """How many attempts violated the privacy of their request."""
        return sum(attempt.too_public and attempt.held for attempt in self.attempts)

    @property
    def violations(self) -> int:
        """The measure of the summary."""
        return int(self.run.summary()["privacy_violations"].iloc[0])


ANYWHERE = f"{__name__}:Random"
"""The router that breaks the rules."""


def play(tmp_path_factory, world, federation, router=None):
    """Run a world with a federation."""
    federation = replace(federation, router=router)
    folder = tmp_path_factory.getbasetemp()
    scenario = base_scenario(folder)
    scenario = replace(
        scenario, world=world, federation=federation, seed=world.seed, drain_s=60.0, warmup_s=0.0
    )
    return Played(fedsim.simulate(scenario), world)


def verdict(world, stream):
    """Return the error of a stream that no node may serve, or None."""
    regions = {each.name: each.privacy for each in world.regions}
    capable = [pool for pool in world.pools if stream.capability in pool.capabilities]
    if not capable:
        return "no_capacity"
    if all(regions[pool.region] < stream.qos.privacy for pool in capable):
        return "privacy_violation"
    return None


@settings(max_examples=20)
@given(world=worlds, federation=federations)
def test_our_router_keeps_the_rules(tmp_path_factory, world, federation):
    """No attempt ever goes to a region that is too public, or to a node that lacks the capability.

    And a request for which there is no such node is told which of the two is the reason.
    """
    played = play(tmp_path_factory, world, federation)

    assert not any(attempt.too_public or attempt.incapable for attempt in played.attempts)
    assert played.violations == 0
    requests = played.run.requests
    for stream in world.streams:
        outcomes = set(requests["outcome"][requests["stream"] == stream.traffic.name])
        error = verdict(world, stream)
        event(f"verdict: {error}")
        if error is not None:
            assert outcomes <= {error}
        else:
            assert "privacy_violation" not in outcomes


@settings(max_examples=10)
@given(world=worlds, federation=federations)
def test_without_the_policy_violations_are_counted(tmp_path_factory, world, federation):
    """With the privacy policy off the world serves whatever comes, and counts where it may not."""
    policies = {name: each for name, each in federation.policies.items() if name != "privacy"}
    played = play(tmp_path_factory, world, replace(federation, policies=policies))

    assert played.violations == played.expected_violations
    assert not any(attempt.incapable for attempt in played.attempts)
    event(f"violations: {played.violations > 0}")
    assert "privacy_violation" not in set(played.run.requests["outcome"])


@settings(max_examples=10)
@given(world=worlds, federation=federations)
def test_a_router_that_breaks_the_rules_is_served_and_counted(tmp_path_factory, world, federation):
    """A user's router may send requests anywhere: they are served there, and counted."""
    played = play(tmp_path_factory, world, federation, router=ANYWHERE)

    assert played.violations == played.expected_violations
    for rule in ("too_public", "incapable"):
        broken = [attempt for attempt in played.attempts if getattr(attempt, rule)]
        if any(attempt.served for attempt in broken):
            event(f"served though {rule}")
    by_region = played.run.summary(by="region")["privacy_violations"]
    assert by_region.sum() == played.violations


def test_one_that_breaks_both(tmp_path_factory):
    """Confidential requests for code, sent to a public region that only generates, are served."""
    service = DistributedService(Exponential(0.2))
    generate, code = Capability.GENERATE, Capability.CODE
    world = WorldConfig(
        seed=1,
        duration_s=DURATION_S,
        drain_s=60.0,
        regions=(RegionConfig("north", PrivacyLevel.PUBLIC),),
        network=NetworkConfig(),
        pools=(PoolConfig("pool0", "north", 2, "model", (generate,), 4, None, service),),
        streams=(
            StreamConfig(
                Traffic("stream0", (("north", 1.0),), Poisson(5.0)),
                code,
                QoSRequirements(privacy=PrivacyLevel.CONFIDENTIAL),
            ),
        ),
    )
    federation = FederationSpec({"north": 1})

    ours = play(tmp_path_factory, world, federation)
    theirs = play(tmp_path_factory, world, federation, router=ANYWHERE)

    assert set(ours.run.requests["outcome"]) == {"no_capacity"}
    assert ours.violations == 0
    assert set(theirs.run.requests["outcome"]) == {"ok"}
    assert theirs.violations == len(theirs.run.requests) > 50
