"""Builds the gateways of a scenario with ``preset: apr``."""

from __future__ import annotations

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import LoadBalanceStrategy
from fedsim.federation.reference.breaker import ReferenceBreaker
from fedsim.federation.reference.builder import ReferenceBuilder
from fedsim.federation.reference.config import ReferenceConfig
from fedsim.federation.reference.gateway import ReferenceGateway
from fedsim.federation.reference.health import ReferenceHealth
from fedsim.scenario.assembly import build_middleware, for_plugins
from fedsim.scenario.plugins import Find, single
from fedsim.scenario.presets import Preset
from fedsim.scenario.reference.configure import reference_spec
from fedsim.scenario.spec import FederationSpec
from fedsim.scenario.units import DURATION
from fedsim.world.world import Site


class ReferenceFactory:
    """Builds the gateway of each site.

    Args:
        spec: The federation of the scenario.
        find: Finds the middleware that it names.

    Raises:
        PlugInError: Middleware does not exist, or one object is given for several gateways.
    """

    def __init__(self, spec: FederationSpec, find: Find) -> None:
        assert isinstance(spec.preset_config, ReferenceConfig)
        self._config = spec.preset_config
        self._strategy = LoadBalanceStrategy(spec.strategy)
        self._middleware = [single(find(name, None), spec) for name in spec.middleware]
        self.label = f"{spec.preset}/{self._strategy.value}"

    def lacking(self, retried: bool = True) -> list[str]:
        """Return nothing: users' middleware has no optional methods."""
        return []

    def __call__(self, site: Site) -> ReferenceGateway:
        """Return the gateway of *site*."""
        health = ReferenceHealth(site.clock, self._config.health, site.observer)
        breaker = ReferenceBreaker(site.clock, self._config.breaker, site.observer)
        context = GatewayContext(
            for_plugins(site), site.catalog, health, site.random_for("plugins"), breaker
        )
        builder = ReferenceBuilder(
            site.catalog,
            self._strategy,
            self._config,
            build_middleware(self._middleware, context, site),
            health,
            breaker,
        )
        return builder.build(site)


def described(federation: FederationSpec) -> list[str]:
    """Return what there is to say of a federation of the reference, as clauses."""
    config = federation.preset_config
    assert isinstance(config, ReferenceConfig)
    return [
        "preset apr, the contracts' first implementation with its faults (docs/pitfalls.md)",
        f"strategy {federation.strategy}; policies (weight): {_weights(config)}",
        f"health from traffic alone: {_judged(config)}",
        f"at most {config.retries.limit + 1} attempts; no probes, no deadlines",
    ]


def _weights(config: ReferenceConfig) -> str:
    return ", ".join(f"{name} ({weight:g})" for name, weight in config.policies.items()) or "none"


def _judged(config: ReferenceConfig) -> str:
    health = config.health
    if health is None:
        return "no node is registered with it"
    return (
        f"unhealthy after {health.failure_threshold} failures, healthy after "
        f"{health.recovery_threshold} successes, degraded above "
        f"{DURATION.format(health.degraded_latency_s)}"
    )


PRESET = Preset(reference_spec, ReferenceFactory, described)
