"""Random worlds around gateways of the reference, which obey the laws of ``tests/laws.py`` too."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import event, given, settings
from hypothesis import strategies as st

from fedsim.federation.contracts import LoadBalanceStrategy
from fedsim.federation.reference.builder import ReferenceBuilder
from fedsim.federation.reference.config import (
    ReferenceBreakerConfig,
    ReferenceConfig,
    ReferenceHealthConfig,
    ReferenceRetries,
)
from tests.properties.world.test_conservation import gateways, worlds
from tests.simulated import Federation, run_world


@dataclass(frozen=True)
class ReferenceFederation(Federation):
    """A federation of the reference."""

    strategy: LoadBalanceStrategy = LoadBalanceStrategy.LEAST_LATENCY
    config: ReferenceConfig = field(default_factory=ReferenceConfig)

    def build(self, site):
        """Return the gateway of *site*."""
        return ReferenceBuilder(site.catalog, self.strategy, self.config).build(site)


configs = st.builds(
    ReferenceConfig,
    health=st.sampled_from(
        [None, ReferenceHealthConfig(), ReferenceHealthConfig(50, 1, 0.2)],
    ),
    breaker=st.sampled_from([ReferenceBreakerConfig(), ReferenceBreakerConfig(2, 3.0, 1)]),
    retries=st.sampled_from([ReferenceRetries(), ReferenceRetries(0), ReferenceRetries(5, 0.0)]),
    max_latency_s=st.sampled_from([0.2, 5.0]),
)
federations = st.builds(
    ReferenceFederation, strategy=st.sampled_from(LoadBalanceStrategy), config=configs
)


@settings(max_examples=20)
@given(worlds(), federations, gateways)
def test_nothing_is_lost(world, federation, gateways):
    """Whatever the world and the settings, requests, slots and money add up."""
    outcome = run_world(world, federation, gateways)

    for kind in sorted(set(outcome.requests["outcome"])):
        event(f"requests: {kind}")
    assert outcome.attempts["attempt"].max() <= federation.config.retries.limit + 1 or (
        outcome.attempts.empty
    )


@settings(max_examples=8)
@given(worlds(), federations, gateways)
def test_runs_repeat(world, federation, gateways):
    """The same world twice gives the same attempts, at the same nodes and times."""
    first, second = (run_world(world, federation, gateways).attempts for _ in range(2))

    assert first.equals(second)


@settings(max_examples=5)
@given(worlds(), federations)
def test_four_strategies_are_one(world, federation):
    """Round robin, least connections and consistent hashing do what least latency does."""
    drawn = LoadBalanceStrategy.WEIGHTED_RANDOM
    runs = [
        run_world(world, ReferenceFederation(strategy=strategy, config=federation.config)).attempts
        for strategy in LoadBalanceStrategy
        if strategy is not drawn
    ]

    assert all(run.equals(runs[0]) for run in runs[1:])
