"""The strategies by name, with their settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import LoadBalanceStrategy
from fedsim.federation.strategies.base import Strategy
from fedsim.federation.strategies.caches import (
    AibrixPrefixCache,
    AibrixPrefixCacheSettings,
    LeastKvCache,
    SglangCacheAware,
    SglangCacheAwareSettings,
)
from fedsim.federation.strategies.choices import PowerOfTwo, PowerOfTwoSettings, RandomChoice
from fedsim.federation.strategies.costs import CostCapped, CostCappedSettings
from fedsim.federation.strategies.dynamo import DynamoKv, DynamoKvSettings
from fedsim.federation.strategies.ewma import FinaglePeakEwma, FinaglePeakEwmaSettings
from fedsim.federation.strategies.hash_tables import (
    BoundedLoadHash,
    BoundedLoadHashSettings,
    Maglev,
    MaglevSettings,
    RendezvousHash,
)
from fedsim.federation.strategies.hashing import ConsistentHash
from fedsim.federation.strategies.latency import LeastLatency
from fedsim.federation.strategies.llm_d import LlmD, LlmDSettings
from fedsim.federation.strategies.load import LeastConnections
from fedsim.federation.strategies.localities import (
    EnvoyLoadAwareLocality,
    EnvoyLoadAwareLocalitySettings,
    EnvoyLocalityWeighted,
)
from fedsim.federation.strategies.prequal import Prequal, PrequalSettings
from fedsim.federation.strategies.priorities import EnvoyPriority, EnvoyPrioritySettings
from fedsim.federation.strategies.queues import (
    JoinIdleQueue,
    JoinShortestQueue,
    JoinShortestQueueSettings,
)
from fedsim.federation.strategies.schedules import (
    EnvoyLeastRequest,
    EnvoyLeastRequestSettings,
    EnvoyWeightedRoundRobin,
    SmoothWeightedRoundRobin,
)
from fedsim.federation.strategies.scores import BestScore, WeightedRandom
from fedsim.federation.strategies.turns import RoundRobin
from fedsim.federation.strategies.zones import EnvoyZoneAware, EnvoyZoneAwareSettings


@dataclass(frozen=True, slots=True)
class Entry:
    """A strategy of the registry.

    Attributes:
        strategy: Its class: called with the context and the settings where it has settings, with
            the context where *context* says so, else with nothing.
        settings: A frozen dataclass with a default for every field, whose ``__post_init__`` raises
            ``ValueError`` in a sentence for what cannot be; None for no settings. A field that is
            a duration in seconds ends in ``_s``.
        context: Whether a class without settings takes the context.
        weight: Whether it goes by the weights of nodes, ``pools.<name>.weight``.
        priority: Whether it goes by their levels, ``pools.<name>.priority``.
        slow_start: Whether slow start holds it back; not one that goes by the tenant or by the
            prompt, whose requests would lose their place, and not one without weight or load.
        latency: Whether it goes by the latencies that the health checker knows.
        telemetry: Whether it goes by what probes say of the load of nodes.
        scores: Whether it goes by the policies' scores.
    """

    strategy: Callable[..., Strategy]
    settings: type[Any] | None = None
    context: bool = True
    weight: bool = False
    priority: bool = False
    slow_start: bool = True
    latency: bool = False
    telemetry: bool = False
    scores: bool = False


STRATEGIES: Mapping[str, Entry] = {
    "round_robin": Entry(RoundRobin, context=False),
    "least_connections": Entry(LeastConnections, weight=True),
    "least_latency": Entry(LeastLatency, weight=True, latency=True),
    "weighted_random": Entry(WeightedRandom, scores=True),
    "consistent_hash": Entry(ConsistentHash, context=False, slow_start=False),
    "random": Entry(RandomChoice),
    "power_of_two": Entry(PowerOfTwo, PowerOfTwoSettings),
    "smooth_weighted_round_robin": Entry(SmoothWeightedRoundRobin, weight=True),
    "envoy_weighted_round_robin": Entry(EnvoyWeightedRoundRobin, weight=True),
    "envoy_least_request": Entry(EnvoyLeastRequest, EnvoyLeastRequestSettings, weight=True),
    "finagle_peak_ewma": Entry(FinaglePeakEwma, FinaglePeakEwmaSettings),
    "prequal": Entry(Prequal, PrequalSettings),
    "join_shortest_queue": Entry(JoinShortestQueue, JoinShortestQueueSettings, telemetry=True),
    "join_idle_queue": Entry(JoinIdleQueue),
    "bounded_load_hash": Entry(BoundedLoadHash, BoundedLoadHashSettings, slow_start=False),
    "maglev": Entry(Maglev, MaglevSettings, weight=True, slow_start=False),
    "rendezvous_hash": Entry(RendezvousHash, context=False, weight=True, slow_start=False),
    "least_kv_cache": Entry(LeastKvCache, context=False, telemetry=True),
    "sglang_cache_aware": Entry(SglangCacheAware, SglangCacheAwareSettings, slow_start=False),
    "llm_d": Entry(LlmD, LlmDSettings, slow_start=False, telemetry=True),
    "dynamo_kv": Entry(DynamoKv, DynamoKvSettings, slow_start=False),
    "aibrix_prefix_cache": Entry(AibrixPrefixCache, AibrixPrefixCacheSettings, slow_start=False),
    "envoy_zone_aware": Entry(EnvoyZoneAware, EnvoyZoneAwareSettings, weight=True),
    "envoy_locality_weighted": Entry(EnvoyLocalityWeighted, weight=True, priority=True),
    "envoy_load_aware_locality": Entry(
        EnvoyLoadAwareLocality, EnvoyLoadAwareLocalitySettings, weight=True, telemetry=True
    ),
    "envoy_priority": Entry(EnvoyPriority, EnvoyPrioritySettings, weight=True, priority=True),
    "cost_capped": Entry(CostCapped, CostCappedSettings, telemetry=True),
    "best_score": Entry(BestScore, context=False, slow_start=False, scores=True),
}
"""Every strategy that has a name; the five of the contract come first."""


CONTRACT_STRATEGIES: tuple[str, ...] = tuple(strategy.value for strategy in LoadBalanceStrategy)
"""The strategies of the contract, in the order in which they are compared where none is named."""


def build_strategy(
    name: str, context: GatewayContext, settings: Mapping[str, object] | None = None
) -> Strategy:
    """Return a fresh strategy of the named kind for the router of one gateway.

    Raises:
        KeyError: There is no strategy of that name.
        TypeError: It has no such setting.
        ValueError: A setting cannot have that value.
    """
    entry = STRATEGIES[name]
    given = dict(settings or {})
    if entry.settings is not None:
        return entry.strategy(context, entry.settings(**given))
    if given:
        msg = f"the strategy {name} has no settings"
        raise TypeError(msg)
    return entry.strategy(context) if entry.context else entry.strategy()
