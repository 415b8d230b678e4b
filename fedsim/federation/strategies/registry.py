"""The strategies by name, with their settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import LoadBalanceStrategy
from fedsim.federation.strategies.base import Strategy


@dataclass(frozen=True, slots=True)
class Entry:
    """A strategy of the registry.

    Attributes:
        place: Its class, as ``module:Class`` in this package. The module is imported when the class
            is first asked for, so that a start takes no longer with every strategy.
        has_settings: Whether it has settings, by the name of the class with ``Settings`` after it.
        context: Whether a class without settings takes the context.
        weight: Whether it goes by the weights of nodes, ``pools.<name>.weight``.
        priority: Whether it goes by their levels, ``pools.<name>.priority``.
        slow_start: Whether slow start holds it back; not one that goes by the tenant or by the
            prompt, whose requests would lose their place, and not one without weight or load.
        latency: Whether it goes by the latencies that the health checker knows.
        telemetry: Whether it goes by what probes say of the load of nodes.
        scores: Whether it goes by the policies' scores.
    """

    place: str
    has_settings: bool = False
    context: bool = True
    weight: bool = False
    priority: bool = False
    slow_start: bool = True
    latency: bool = False
    telemetry: bool = False
    scores: bool = False

    @property
    def strategy(self) -> Callable[..., Strategy]:
        """Its class.

        It is called with the context and the settings where it has settings, with the context
        where `context` says so, else with nothing.
        """
        strategy: Callable[..., Strategy] = self._named("")
        return strategy

    @property
    def settings(self) -> type[Any] | None:
        """The class of its settings, or None.

        It is a frozen dataclass with a default for every field, whose ``__post_init__`` raises
        ``ValueError`` in a sentence for what cannot be. A field that is a duration in seconds ends
        in ``_s``.
        """
        settings: type[Any] | None = self._named("Settings") if self.has_settings else None
        return settings

    def _named(self, ending: str) -> Any:
        module, _, name = self.place.partition(":")
        return getattr(import_module(f"{__package__}.{module}"), f"{name}{ending}")


STRATEGIES: Mapping[str, Entry] = {
    "round_robin": Entry("turns:RoundRobin", context=False),
    "least_connections": Entry("load:LeastConnections", weight=True),
    "least_latency": Entry("latency:LeastLatency", weight=True, latency=True),
    "weighted_random": Entry("scores:WeightedRandom", scores=True),
    "consistent_hash": Entry("hashing:ConsistentHash", context=False, slow_start=False),
    "random": Entry("choices:RandomChoice"),
    "power_of_two": Entry("choices:PowerOfTwo", has_settings=True),
    "smooth_weighted_round_robin": Entry("schedules:SmoothWeightedRoundRobin", weight=True),
    "envoy_weighted_round_robin": Entry("schedules:EnvoyWeightedRoundRobin", weight=True),
    "envoy_least_request": Entry("schedules:EnvoyLeastRequest", has_settings=True, weight=True),
    "finagle_peak_ewma": Entry("ewma:FinaglePeakEwma", has_settings=True),
    "prequal": Entry("prequal:Prequal", has_settings=True),
    "join_shortest_queue": Entry("queues:JoinShortestQueue", has_settings=True, telemetry=True),
    "join_idle_queue": Entry("queues:JoinIdleQueue"),
    "bounded_load_hash": Entry("hash_tables:BoundedLoadHash", has_settings=True, slow_start=False),
    "maglev": Entry("hash_tables:Maglev", has_settings=True, weight=True, slow_start=False),
    "rendezvous_hash": Entry(
        "hash_tables:RendezvousHash", context=False, weight=True, slow_start=False
    ),
    "least_kv_cache": Entry("caches:LeastKvCache", context=False, telemetry=True),
    "sglang_cache_aware": Entry("caches:SglangCacheAware", has_settings=True, slow_start=False),
    "llm_d": Entry("llm_d:LlmD", has_settings=True, slow_start=False, telemetry=True),
    "dynamo_kv": Entry("dynamo:DynamoKv", has_settings=True, slow_start=False),
    "aibrix_prefix_cache": Entry("caches:AibrixPrefixCache", has_settings=True, slow_start=False),
    "envoy_zone_aware": Entry("zones:EnvoyZoneAware", has_settings=True, weight=True),
    "envoy_locality_weighted": Entry(
        "localities:EnvoyLocalityWeighted", weight=True, priority=True
    ),
    "envoy_load_aware_locality": Entry(
        "localities:EnvoyLoadAwareLocality", has_settings=True, weight=True, telemetry=True
    ),
    "envoy_priority": Entry(
        "priorities:EnvoyPriority", has_settings=True, weight=True, priority=True
    ),
    "cost_capped": Entry("costs:CostCapped", has_settings=True, telemetry=True),
    "best_score": Entry("scores:BestScore", context=False, slow_start=False, scores=True),
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
