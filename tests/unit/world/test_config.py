from __future__ import annotations

import pytest

from fedsim.federation.contracts import Capability
from fedsim.workload.distributions import Constant
from fedsim.world.engine.config import EngineConfig
from fedsim.world.engine.steps import Coefficients
from fedsim.world.nodes.config import BatchConfig, PoolConfig, SwitchConfig
from fedsim.world.service import DistributedService, TokenBatches, TokenService

SERVICE = DistributedService(Constant(1.0))
ENGINE = EngineConfig(Coefficients(1.0, 0.0, 0.0, 1.0, 0.0, 0.0), 1024, max_batch=8)
BATCHES = BatchConfig(4, 0.0, TokenBatches(1.0))
SWITCH = SwitchConfig(Constant(1.0))


def pool(slots, **kind):
    """Return a pool of so many slots."""
    return PoolConfig("chat", "here", 1, "model", (Capability.GENERATE,), slots, None, **kind)


@pytest.mark.parametrize("kinds", [{}, {"service": SERVICE, "engine": ENGINE}])
def test_a_pool_has_one_kind_of_nodes(kinds):
    """A pool of no kind, or of two, is refused."""
    with pytest.raises(ValueError, match="chat needs exactly one of service, engine and batching"):
        pool(8, **kinds)


@pytest.mark.parametrize("kind", [{"engine": ENGINE}, {"batching": BATCHES}])
def test_slots_are_the_largest_batch(kind):
    """The slots of an engine or of batches are as many as they serve at once."""
    with pytest.raises(ValueError, match="slots of pool chat must be its max_batch"):
        pool(3, **kind)


@pytest.mark.parametrize(
    "kind", [{"engine": ENGINE}, {"batching": BATCHES}, {"service": TokenService(1.0)}]
)
def test_only_slots_without_tokens_load_models(kind):
    """Loading comes before service, so that nobody could say when a first token comes."""
    slots = {"engine": 8, "batching": 4, "service": 1}[next(iter(kind))]
    with pytest.raises(ValueError, match="can only switch models where"):
        pool(slots, switch=SWITCH, **kind)
    assert pool(1, switch=SWITCH, service=SERVICE).switch is SWITCH
