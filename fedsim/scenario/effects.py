"""What of a scenario has no effect: faults that strike nothing, settings that nothing reads."""

from __future__ import annotations

from collections.abc import Iterator

from fedsim.federation.gateway import TimeoutConfig
from fedsim.federation.health import HealthConfig
from fedsim.federation.strategies.registry import STRATEGIES
from fedsim.results.slo import LIMITED, TOKEN_TIMES, Bounded
from fedsim.scenario.spec import Scenario
from fedsim.scenario.units import DURATION
from fedsim.world.faults.config import FaultConfig
from fedsim.world.nodes.config import PoolConfig

RARE = 0.1
"""Expected number of strikes of a random fault below which it is said that none may come."""


def without_effect(scenario: Scenario) -> list[str]:
    """Return what in a scenario has no effect, as sentences."""
    found = []
    for number, fault in enumerate(scenario.world.faults):
        name = f"faults[{number}], {fault.kind.name} of {fault.subject},"
        found += [f"{name} {reason}" for reason in _nothing(scenario, fault)]
    found += [*_idle_gateways(scenario), *_unread_delay(scenario), *_unasked(scenario)]
    found += [*_no_streams(scenario), *_no_choice(scenario), *_unread_models(scenario)]
    return [*found, *_unjudged(scenario)]


def _nothing(scenario: Scenario, fault: FaultConfig) -> Iterator[str]:
    """Yield why a fault strikes nothing, or changes nothing."""
    duration = DURATION.format(scenario.duration_s)
    nodes = _nodes(scenario, fault)
    if fault.node is not None and not nodes:
        pool = fault.node.rpartition("-")[0]
        count = sum(each.count for each in scenario.world.pools if each.name == pool)
        yield f"strikes nothing: the count of {pool} is {count}, and its first node is {pool}-0."
        return
    if not nodes:
        yield "strikes nothing: there are no nodes. Name a region, pool or node that has some."
        return
    if fault.at_s is not None and fault.at_s >= scenario.duration_s:
        at = DURATION.format(fault.at_s)
        yield f"strikes nothing: it begins at {at}, and arrivals end at {duration}."
        return
    if fault.mtbf_s is not None:
        expected = (nodes if fault.kind.alone else 1) * scenario.duration_s / fault.mtbf_s
        if expected < RARE:
            yield (
                f"is expected {expected:.2g} times in {duration}: mostly it strikes nothing. Make "
                "mtbf shorter, or give at and lasts."
            )
    if fault.ends is not None:
        yield from _silent_link(scenario, fault.ends)
    change = fault.kind.no_effect()
    if change is not None:
        yield f"changes nothing: give it {change}."
    if fault.kind.needs_probes and scenario.federation.health is None:
        yield "changes nothing: health checks are off, so no gateway asks the health endpoint."


def _nodes(scenario: Scenario, fault: FaultConfig) -> int:
    """Return how many nodes a fault may strike, or the messages of how many."""
    pools = scenario.world.pools
    if fault.ends is not None:
        return sum(
            _at_end(pool, end)
            for gateways, end in (fault.ends, fault.ends[::-1])
            if gateways.partition("/")[0] in scenario.federation.gateways
            for pool in pools
        )
    if fault.node is not None:
        return sum(_is_node(pool, fault.node) for pool in pools)
    return sum(
        pool.count
        for pool in pools
        if pool.name == fault.pool or pool.name in fault.pools or pool.region == fault.region
    )


def _at_end(pool: PoolConfig, end: str) -> int:
    """Return how many nodes of a pool are at the end of a link."""
    return pool.count if end in (pool.name, pool.region) else _is_node(pool, end)


def _is_node(pool: PoolConfig, name: str) -> bool:
    """Return whether a node of that name is in a pool."""
    number = name.removeprefix(f"{pool.name}-")
    return number != name and number.isdecimal() and int(number) < pool.size


def _silent_link(scenario: Scenario, ends: tuple[str, str]) -> Iterator[str]:
    """Yield why no request passes a link, though gateways and nodes are at its ends."""
    gateways = [end.partition("/")[0] for end in ends]
    served = _origins(scenario)
    asking = [region for region in gateways if region in scenario.federation.gateways]
    if asking and not any(region in served for region in asking):
        yield (
            f"strikes probes alone: no stream sends requests to the gateways of {asking[0]}. Add "
            "it to the origins of one."
        )


def _idle_gateways(scenario: Scenario) -> Iterator[str]:
    """Yield the gateways that no request comes to."""
    served = _origins(scenario)
    for region in scenario.federation.gateways:
        if region not in served:
            yield f"The gateways in {region} have no requests: it is among no stream's origins."


def _origins(scenario: Scenario) -> set[str]:
    return {
        region
        for stream in scenario.world.streams
        for region, weight in stream.traffic.origins
        if weight > 0.0
    }


def _unread_delay(scenario: Scenario) -> Iterator[str]:
    """Yield that telemetry is late which nothing of ours looks at."""
    federation = scenario.federation
    health = federation.health
    if not isinstance(health, HealthConfig) or not health.delay_s or federation.router is not None:
        return
    entry = STRATEGIES.get(federation.strategy)
    if entry is None:
        return
    reads = entry.telemetry or (entry.scores and "throughput" in federation.policies)
    needs = any(stream.qos.min_throughput is not None for stream in scenario.world.streams)
    if not reads and not needs:
        yield (
            f"federation.health.delay has no effect: {federation.strategy} reads nothing of what "
            "probes say of load; that a node answers is known at once."
        )


def _unasked(scenario: Scenario) -> Iterator[str]:
    """Yield that a strategy goes by the load that probes report where there are no probes."""
    federation = scenario.federation
    entry = STRATEGIES.get(federation.strategy)
    off = federation.health is None and federation.preset == "default"
    if off and federation.router is None and entry is not None and entry.telemetry:
        yield (
            f"{federation.strategy} goes by the load that probes report, and health checks are "
            "off: it knows of its gateway's own requests alone. Leave health on."
        )


def _no_streams(scenario: Scenario) -> Iterator[str]:
    """Yield the deadlines of streams that are given where no request is streamed."""
    timeout, usual = scenario.federation.config.timeout, TimeoutConfig()
    if timeout is None or any(stream.streamed for stream in scenario.world.streams):
        return
    given = {
        "first_token": timeout.first_token_s not in (usual.first_token_s, timeout.attempt_s),
        "idle": timeout.idle_s != usual.idle_s,
    }
    for key, is_given in given.items():
        if is_given:
            yield (
                f"federation.timeout.{key} has no effect: no stream is streamed. Write streamed: "
                "on for one, or bound the whole answer by attempt."
            )


def _no_choice(scenario: Scenario) -> Iterator[str]:
    """Yield that there is nothing for ``gateway_choice`` to go by."""
    choice, world = scenario.world.gateway_choice, scenario.world
    if choice == "random":
        return
    if max(scenario.federation.gateways.values()) == 1:
        yield f"federation.gateway_choice: {choice} has no effect: no region has two gateways."
    elif choice == "tenant" and all(stream.traffic.tenants is None for stream in world.streams):
        yield (
            "federation.gateway_choice: tenant has no effect: no stream has tenants, and requests "
            "without one go to any gateway. Give a stream tenants."
        )


def _unread_models(scenario: Scenario) -> Iterator[str]:
    """Yield the models of streams that the federation's preset does not go by."""
    preset = scenario.federation.preset
    if preset == "default":
        return
    for stream in scenario.world.streams:
        if stream.model is not None:
            yield (
                f"workload.{stream.traffic.name}.model has no effect: the preset {preset} routes "
                "to any model with the capability; what others serve is counted in "
                "model_violations."
            )


def _unjudged(scenario: Scenario) -> Iterator[str]:
    """Yield what of the objective covers nothing, or cannot be judged."""
    slo = scenario.slo
    if slo is None:
        return
    timed = {
        stream.traffic.name
        for stream in scenario.world.streams
        if any(
            pool.gives_tokens and stream.capability in pool.capabilities
            for pool in scenario.world.pools
        )
    }
    parts = list(slo.parts(stream.traffic.name for stream in scenario.world.streams))
    for key in slo.bounds:
        if not any(part.key == key and part.stream is None for part in parts):
            yield f"slo.{key} has no effect: every stream has one of its own. Remove it."
    for part in parts:
        path = f"slo.{part.key}" if part.stream is None else f"slo.streams.{part.stream}.{part.key}"
        if Bounded.of(part.key).time in TOKEN_TIMES and not timed.intersection(part.covers):
            yield (
                f"{path} cannot be judged, and counts as not held: requests of "
                f"{' and '.join(part.covers)} have no tokens. Remove it, or serve them by engines."
            )
        elif part.key == "goodput" and not any(
            slo.limit_s(time, name) is not None for time in LIMITED for name in part.covers
        ):
            yield (
                f"{path} says no more than success_rate, but for max_latency: no bound limits a "
                "request. Add one, such as latency_p99."
            )
