"""Every kind of fault, alone and in pairs: nothing is lost, and everything ends.

The checks are those of ``tests/laws.py``, which every run passes; deadlines and retries are on, so
that each world must become empty, whatever strikes it.
"""

from __future__ import annotations

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from fedsim.federation.breaker import BreakerConfig
from fedsim.federation.contracts import Capability, LoadBalanceStrategy, QoSRequirements
from fedsim.federation.gateway import TimeoutConfig
from fedsim.federation.health import HealthConfig
from fedsim.federation.retries import RetryConfig
from fedsim.workload.arrivals import Poisson
from fedsim.workload.distributions import Lognormal, Weibull
from fedsim.workload.traffic import Traffic
from fedsim.world.config import RegionConfig, StreamConfig, WorldConfig
from fedsim.world.faults.config import FaultConfig
from fedsim.world.faults.gray import Errors, Health, Slowdown
from fedsim.world.faults.links import BadLink
from fedsim.world.faults.maintenance import RollingDeployment
from fedsim.world.faults.registry import FAULTS
from fedsim.world.faults.stopping import Correlated, Flapping, Spot
from fedsim.world.network import NetworkConfig
from tests.properties.world.test_conservation import (
    DURATION_S,
    REGIONS,
    TOKENS,
    ReadingFederation,
    pools,
    times_s,
)
from tests.simulated import Federation, run_world

KINDS = tuple(FAULTS)
DRAIN_S = 20_000.0
"""Longest that a node may work in vain on what piled up in half a minute, in seconds."""

spans_s = st.sampled_from([0.5, 2.0, 7.5])
shares = st.sampled_from([0.25, 0.5, 1.0])
ends = st.sampled_from(
    [("near", "far"), ("near/0", "pool0"), ("far/0", "pool0-0"), ("near", "pool0")]
)

SETTINGS = {
    "slowdown": st.builds(Slowdown, st.sampled_from([1.5, 20.0])),
    "errors": st.builds(Errors, st.sampled_from([0.3, 1.0]), st.none() | spans_s),
    "rolling_deployment": st.builds(
        RollingDeployment, st.integers(1, 3), spans_s, spans_s, spans_s
    ),
    "link": st.builds(
        BadLink, st.just(0.3), st.sampled_from([0.0, 0.5]), st.sampled_from([0.0, 0.3, 1.0])
    ),
    "flapping": st.builds(Flapping, spans_s, st.sampled_from([0.2, 0.8])),
    "health": st.builds(
        Health, st.sampled_from([None, "well", "ill"]), st.sampled_from([0.5, 4.0])
    ),
    "spot": st.builds(Spot, spans_s),
    "correlated": st.builds(Correlated, st.sampled_from([None, 1, 2]), spans_s),
}


@st.composite
def faults(draw, name):
    """Draw a fault of a kind that strikes somebody while requests arrive."""
    kind = draw(SETTINGS[name] if name in SETTINGS else st.builds(FAULTS[name]))
    if kind.targets == ("ends",):
        given = {"ends": draw(ends), "one_way": draw(st.booleans())}
    else:
        targets = [{"region": "near"}, {"pool": "pool0"}]
        if "node" in kind.targets:
            targets.append({"node": "pool0-0"})
        given = draw(st.sampled_from(targets))
        if "node" not in given:
            given = given | {"share": draw(shares)}
    if draw(st.booleans()):
        given |= {"at_s": draw(st.sampled_from([0.0, 3.0, 10.0])), "lasts_s": draw(spans_s)}
    else:
        given |= {"mtbf_s": 6.0, "mttr_s": 2.0}
        given["up"] = draw(st.sampled_from([None, Weibull.from_mean_cv(6.0, 2.0)]))
        given["down"] = draw(st.sampled_from([None, Lognormal.from_mean_cv(2.0, 1.0)]))
    return FaultConfig(kind, **given)


@st.composite
def worlds(draw, struck_by):
    """Draw a world of two regions for half a minute that faults strike."""
    rate_rps, far_s = draw(st.sampled_from([2.0, 8.0])), draw(times_s)
    traffic = Traffic("chat", tuple((region, 1.0) for region in REGIONS), Poisson(rate_rps), TOKENS)
    return WorldConfig(
        seed=draw(st.integers(0, 2**32)),
        duration_s=DURATION_S,
        drain_s=DRAIN_S,
        regions=tuple(RegionConfig(name) for name in REGIONS),
        network=NetworkConfig(
            draw(times_s), {("near", "far"): far_s, ("far", "near"): far_s}, 0.05
        ),
        pools=draw(pools()),
        streams=(StreamConfig(traffic, Capability.GENERATE, QoSRequirements()),),
        faults=tuple(struck_by),
        nodes_every_s=1.0,
        abort=draw(st.booleans()),
    )


federations = st.builds(
    lambda kind, **parts: kind(timeout=TimeoutConfig(1.0, 3.0), **parts),
    st.sampled_from([Federation, ReadingFederation]),
    strategy=st.sampled_from(LoadBalanceStrategy),
    retries=st.sampled_from([RetryConfig(), RetryConfig(5, 0.01, jitter="none", budget=None)]),
    breaker=st.sampled_from([None, BreakerConfig(2, 3.0, 2, 2)]),
    health=st.sampled_from([None, HealthConfig(interval_s=2.0, timeout_s=0.2)]),
)


def everything_ends(world, federation):
    """Run a world; assert that each request and each attempt has ended, and that it is empty."""
    outcome = run_world(world, federation, {"near": 1, "far": 2})

    assert "unfinished" not in set(outcome.requests["outcome"])
    assert "unfinished" not in set(outcome.attempts["outcome"])
    assert not outcome.world._live
    assert not outcome.world.jobs
    assert outcome.end_s < DURATION_S + DRAIN_S
    for kind in sorted(set(outcome.attempts["outcome"])):
        event(f"attempts: {kind}")


@pytest.mark.parametrize("kind", KINDS)
def test_alone(kind):
    """Under one fault of any kind, every request and every attempt ends, and counts once."""

    @settings(max_examples=8)
    @given(faults(kind).flatmap(lambda fault: worlds([fault])), federations)
    def check(world, federation):
        everything_ends(world, federation)

    check()


@settings(max_examples=60)
@given(st.tuples(*[st.sampled_from(KINDS).flatmap(faults)] * 2).flatmap(worlds), federations)
def test_in_pairs(world, federation):
    """Two faults of any kinds, one of them twice or both on one node, compose."""
    everything_ends(world, federation)
