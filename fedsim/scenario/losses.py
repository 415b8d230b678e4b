"""What a federation loses because users' plug-ins lack something, for `check` and for runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fedsim.federation.capabilities import LOSSES
from fedsim.federation.contracts import GatewayTrait
from fedsim.federation.strategies.registry import STRATEGIES
from fedsim.scenario.spec import FederationSpec
from fedsim.world.guards import HealthGuard
from fedsim.world.plugins import plugin_name


def without_methods(plugin: object, key: str) -> Iterator[str]:
    """Yield a sentence for each optional method that a plug-in lacks.

    Args:
        plugin: A class, or an object.
        key: The key of the federation that names it: ``router``, ``health``, ``circuit_breaker``.
    """
    for method, loss in LOSSES[key].items():
        if getattr(plugin, method, None) is None:
            yield f"federation.{key}: {plugin_name(plugin)} has no {method}, so {loss}"


def without_reports(gateways: Iterable[GatewayTrait], spec: FederationSpec) -> list[str]:
    """Return what a built-in strategy lost because health checkers never reported it.

    Args:
        gateways: The gateways of a run that is over.
        spec: Their federation.
    """
    strategy = spec.strategy
    entry = STRATEGIES.get(strategy) if spec.router is None else None
    checkers = [getattr(gateway, "health", None) for gateway in gateways]
    guards = [checker for checker in checkers if isinstance(checker, HealthGuard)]
    if entry is None or not guards:
        return []
    lost, name = [], guards[0].plugin_name
    if entry.latency and not any(guard.knows_latency for guard in guards):
        lost.append(
            f"Health checker {name} never reported a latency, so {strategy} chose by requests in "
            "flight alone, as least_connections does. Give latency_p50_s in what get_cached_health "
            "returns."
        )
    if entry.telemetry and not any(guard.knows_load for guard in guards):
        lost.append(
            f"Health checker {name} never reported the load of a node, so {strategy} treated all "
            "nodes as equal. Give running, queue_depth and kv_usage in what get_cached_health "
            "returns."
        )
    return lost
