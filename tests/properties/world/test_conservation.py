"""Random worlds, to see whether one of them loses a request, a slot or a cent.

The checks are those of ``tests/laws.py``, which every run passes; here are runs to make them fail.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from fedsim.federation.breaker import BreakerConfig
from fedsim.federation.contracts import (
    Capability,
    InferenceResponse,
    Internal,
    NodeId,
    QoSRequirements,
)
from fedsim.federation.gateway import TimeoutConfig
from fedsim.federation.health import HealthConfig
from fedsim.federation.hedging import HedgeConfig
from fedsim.federation.limits import ConcurrencyConfig
from fedsim.federation.policies import HealthPolicy, LatencyPolicy, LocalityPolicy
from fedsim.federation.retries import RetryConfig
from fedsim.federation.shedding import SheddingConfig
from fedsim.federation.strategies.registry import STRATEGIES
from fedsim.federation.throttling import ThrottleConfig
from fedsim.results.conservation import littles_law
from fedsim.workload.arrivals import Poisson
from fedsim.workload.distributions import Constant, Exponential, Lognormal
from fedsim.workload.prefixes import Prefixes
from fedsim.workload.sizes import Sizes
from fedsim.workload.tokens import Tokens
from fedsim.workload.traffic import Traffic
from fedsim.world.config import RegionConfig, StreamConfig, WorldConfig
from fedsim.world.engine.config import EngineConfig
from fedsim.world.engine.steps import Coefficients
from fedsim.world.faults.config import FaultConfig
from fedsim.world.faults.gray import Errors, Slowdown
from fedsim.world.faults.stopping import Crash, Outage
from fedsim.world.network import NetworkConfig
from fedsim.world.nodes.config import BatchConfig, PoolConfig, SwitchConfig
from fedsim.world.service import DistributedService, TokenBatches
from tests.simulated import Federation, run_world

REGIONS = ("near", "far")
DURATION_S = 30.0

times_s = st.sampled_from([0.0, 0.01, 0.05, 0.25])
services = st.sampled_from([Constant(0.5), Exponential(0.5), Lognormal.from_mean_cv(0.5, 2.0)])


engines = st.builds(
    EngineConfig,
    steps=st.sampled_from(
        [
            Coefficients(0.01, 1e-4, 1e-8, 0.02, 1e-3, 1e-6),
            Coefficients(0.25, 0.0, 0.0, 0.25, 0.0, 0.0),
        ]
    ),
    kv_capacity_tokens=st.sampled_from([200, 256, 4096]),  # some requests never fit the first
    max_batch=st.integers(1, 4),
    token_budget=st.sampled_from([8, 64, 512]),
    chunked_prefill=st.booleans(),
    request_overhead_s=st.sampled_from([0.0, 0.1]),
    prefix_cache=st.booleans(),
    order=st.sampled_from(["fcfs", "priority"]),
)
batches = st.builds(
    BatchConfig,
    max_batch=st.integers(1, 4),
    max_wait_s=st.sampled_from([0.0, 0.05, 1.0]),
    service=st.just(TokenBatches(tokens_per_s=500.0, base_s=0.1, noise_cv=0.5)),
)
switches = st.none() | st.builds(
    SwitchConfig, st.just(Exponential(2.0)), st.none(), models=st.integers(1, 2)
)


@st.composite
def kinds(draw):
    """Draw what kind of nodes a pool has: slots, an engine or batches."""
    kind = draw(st.sampled_from(["slots", "engine", "batching"]))
    if kind == "slots":
        service = DistributedService(draw(services))
        return {"service": service, "slots": draw(st.integers(1, 3)), "switch": draw(switches)}
    config = draw(engines if kind == "engine" else batches)
    return {kind: config, "slots": config.max_batch}


@st.composite
def pools(draw):
    """Draw one to three pools, the first in the first region."""
    return tuple(
        PoolConfig(
            name=f"pool{number}",
            region=REGIONS[0] if number == 0 else draw(st.sampled_from(REGIONS)),
            count=draw(st.integers(1, 3)),
            model="model",
            capabilities=(Capability.GENERATE,),
            queue_limit=draw(st.sampled_from([None, 0, 2])),
            cost_usd_per_hour=draw(st.sampled_from([3.0, 0.0])),
            cold_start=draw(st.sampled_from([None, Exponential(2.0)])),
            **draw(kinds()),
        )
        for number in range(draw(st.integers(1, 3)))
    )


TOKENS = Sizes(
    Tokens(Lognormal.from_mean_cv(40.0, 0.5), Lognormal.from_mean_cv(20.0, 0.5)),
    prefixes=Prefixes(5, 1.0, Lognormal.from_mean_cv(40.0, 0.5), block_tokens=16),
)


@st.composite
def faults(draw, pools):
    """Draw a fault that strikes somebody."""
    target = draw(
        st.sampled_from([{"region": "near"}, {"pool": pools[0].name}, {"node": "pool0-0"}])
    )
    slow = st.builds(Slowdown, st.sampled_from([0.5, 3.0]))
    failing = st.builds(Errors, st.floats(0.0, 1.0))
    kind = draw(st.sampled_from([Outage(), Crash()]) | slow | failing)
    when = {"at_s": draw(st.sampled_from([0.0, 5.0, 10.0])), "lasts_s": draw(st.floats(0.5, 20.0))}
    if isinstance(kind, Crash):
        when = {"mtbf_s": draw(st.floats(2.0, 20.0)), "mttr_s": draw(st.floats(0.5, 5.0))}
    return FaultConfig(kind, **target, **when)


@st.composite
def worlds(draw):
    """Draw a world of two regions for half a minute, with a few hundred requests."""
    drawn = draw(pools())
    rate_rps = draw(st.sampled_from([2.0, 8.0, 16.0]))
    far_s = draw(times_s)
    origins = tuple((region, 1.0) for region in REGIONS)
    return WorldConfig(
        seed=draw(st.integers(0, 2**32)),
        duration_s=DURATION_S,
        drain_s=draw(st.sampled_from([0.0, 1.0, 1e6])),
        regions=tuple(RegionConfig(region) for region in REGIONS),
        network=NetworkConfig(
            draw(times_s), {REGIONS: far_s, REGIONS[::-1]: far_s}, draw(st.sampled_from([0.0, 0.3]))
        ),
        pools=drawn,
        streams=tuple(
            StreamConfig(
                Traffic(name, origins, Poisson(rate_rps), TOKENS),
                Capability.GENERATE,
                QoSRequirements(),
                priority,
                draw(st.booleans()),
            )
            for priority, name in enumerate(("chat", "code"))
        ),
        faults=tuple(draw(st.lists(faults(drawn), max_size=3))),
        nodes_every_s=draw(st.sampled_from([None, 1.0])),
        abort=draw(st.booleans()),
        warmup_s=draw(st.sampled_from([0.0, 10.0])),
    )


class Reader:
    """A gateway that reads every answer token by token, and stops after thirty."""

    def __init__(self, gateway):
        self.gateway = gateway

    async def infer(self, request):
        """Read the stream of a request to its end, if that comes soon enough."""
        stream = await self.gateway.infer_stream(request)
        count = 0
        while await stream.next_token() is not None:
            count += 1
            if count > 30:
                await stream.cancel()
                reason = "was read enough of"
                raise Internal(reason)
        return InferenceResponse(b"", NodeId(""), 0.0, count)

    async def infer_stream(self, request):
        """Leave the stream of a request to whoever wants one."""
        return await self.gateway.infer_stream(request)


@dataclass(frozen=True)
class ReadingFederation(Federation):
    """A federation whose clients read streams."""

    def build(self, site):
        """Return the gateway of *site*, behind a reader."""
        return Reader(super().build(site))


federations = st.builds(
    lambda kind, **parts: kind(**parts),
    st.sampled_from([Federation, Federation, ReadingFederation]),
    strategy=st.sampled_from(list(STRATEGIES)),
    policies=st.sampled_from([tuple, lambda: (HealthPolicy(), LatencyPolicy(), LocalityPolicy())]),
    timeout=st.sampled_from(
        [
            None,
            TimeoutConfig(1.0, 3.0, 1.0, 0.5),
            TimeoutConfig(0.5, 0.5),
            TimeoutConfig(idle_s=0.05),
        ]
    ),
    retries=st.sampled_from(
        [None, RetryConfig(), RetryConfig(5, 0.01, jitter="none", budget=None)]
    ),
    breaker=st.sampled_from([None, BreakerConfig(2, 3.0, 2, 2)]),
    health=st.sampled_from([None, HealthConfig(interval_s=2.0, timeout_s=0.2)]),
    parts=st.fixed_dictionaries(
        {},
        optional={
            "hedge": st.sampled_from(
                [HedgeConfig(0.2, budget=None), HedgeConfig("p50"), HedgeConfig(1e-9)]
            ),
            "throttle": st.just(ThrottleConfig(1.5, 5.0)),
            "concurrency": st.builds(
                ConcurrencyConfig,
                st.sampled_from(["aimd", "vegas", "gradient2", "fixed"]),
                st.just(4),
            ),
            "shedding": st.just(SheddingConfig(0.5, 6)),
        },
    ),
)
gateways = st.sampled_from([{"near": 1, "far": 1}, {"near": 2, "far": 3}])


@settings(max_examples=60)
@given(worlds(), federations, gateways)
def test_nothing_is_lost(world, federation, gateways):
    """Whatever the world and the federation, requests, slots and money add up."""
    outcome = run_world(world, federation, gateways)

    event(f"gateways: {type(outcome.world.gateways[0][1]).__name__}")
    for kind in sorted({type(node).__name__ for node in outcome.world.nodes}):
        event(f"nodes: {kind}")
    event(f"hedges: {bool(outcome.attempts['hedge'].any())}")
    event(f"cached: {bool((outcome.requests['cached_tokens'] > 0).any())}")
    for kind in sorted(set(outcome.attempts["outcome"])):
        event(f"attempts: {kind}")
    for kind in sorted(set(outcome.requests["outcome"])):
        event(f"requests: {kind}")


@settings(max_examples=25)
@given(worlds(), federations, gateways)
def test_littles_law(world, federation, gateways):
    """The mean number in the system is the arrival rate times the mean stay, to the last bit."""
    outcome = run_world(world, federation, gateways)

    law = littles_law(outcome.requests, outcome.end_s)

    length_s, count = Fraction(outcome.end_s), len(outcome.requests)
    number_mean = law.area_s / length_s
    stay_mean_s = law.sojourns_s / count if count else Fraction(0)
    assert number_mean == Fraction(count) / length_s * stay_mean_s


@pytest.mark.parametrize("seed", range(3))
def test_a_world_without_requests(seed):
    """A world in which nobody ever arrives is empty from its start to its end."""
    pool = PoolConfig(
        "pool",
        "near",
        1,
        "model",
        (Capability.GENERATE,),
        1,
        None,
        DistributedService(Constant(1.0)),
    )
    traffic = Traffic("chat", (("near", 1.0),), Poisson(1e-9))
    world = WorldConfig(
        seed=seed,
        duration_s=1.0,
        drain_s=1.0,
        regions=(RegionConfig("near"),),
        network=NetworkConfig(),
        pools=(pool,),
        streams=(StreamConfig(traffic, Capability.GENERATE, QoSRequirements()),),
    )

    outcome = run_world(world)

    assert len(outcome.requests) == len(outcome.attempts) == 0
    assert outcome.end_s == 1.0
