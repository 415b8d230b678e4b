"""What ``fedsim check`` prints on a terminal."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fedsim.cli.check_faults import fault_sentence
from fedsim.cli.figures import MISSING, duration, plain
from fedsim.cli.output import heading, paragraph, sentences, stdout
from fedsim.cli.tables import Column, print_table
from fedsim.results.sources import told
from fedsim.scenario.adapters import is_adapted
from fedsim.workload.arrivals import ClosedLoop

if TYPE_CHECKING:
    from rich.console import Console

    from fedsim.federation.reference.config import ReferenceConfig
    from fedsim.scenario.capacity import PoolLoad
    from fedsim.scenario.offered_load import OfferedLoad
    from fedsim.scenario.spec import FederationSpec, Scenario
    from fedsim.world.config import StreamConfig


def print_check(offered: OfferedLoad, warnings: list[str], *, served: bool) -> None:
    """Print what a scenario contains, and the load of its pools.

    Args:
        offered: The load of a scenario that is well-formed.
        warnings: What has no effect, cannot be met, or is to be known before it is run.
        served: Whether its load can be served with every node up.
    """
    scenario = offered.scenario
    console = stdout()
    console.print(f"{scenario.name} ({scenario.path})", style="bold")
    if scenario.description:
        paragraph(console, scenario.description)
    times = (
        f"{duration(scenario.duration_s)} of arrivals, {duration(scenario.warmup_s)} of it warm-up;"
        f" then at most {duration(scenario.drain_s)} to drain. Seed {scenario.seed}."
    )
    paragraph(console, times)
    _print_regions(console, scenario)
    _print_streams(console, scenario)
    _print_pools(console, offered)
    heading(console, "Federation")
    sentences(console, _federation(scenario))
    heading(console, "Faults")
    sentences(console, [fault_sentence(fault) for fault in scenario.world.faults] or ["none"])
    if warnings:
        heading(console, "Warnings")
        sentences(console, warnings, "yellow")
    console.print()
    paragraph(console, told(scenario.figures))
    if served and not warnings:
        paragraph(console, "The scenario is right; its load can be served with every node up.")


def _print_regions(console: Console, scenario: Scenario) -> None:
    world = scenario.world
    nodes: Counter[str] = Counter()
    for pool in world.pools:
        nodes[pool.region] += pool.count
    names = [region.name for region in world.regions]
    gateways = scenario.federation.gateways
    heading(console, "Regions")
    print_table(
        console,
        [
            Column("region", names, left=True),
            Column("privacy", [region.privacy.name.lower() for region in world.regions], left=True),
            Column("gateways", [str(gateways.get(name, 0)) for name in names]),
            Column("nodes", [str(nodes[name]) for name in names]),
        ],
    )


def _print_streams(console: Console, scenario: Scenario) -> None:
    from fedsim.scenario.load_notes import load_facts

    streams = scenario.world.streams
    heading(console, "Workload")
    print_table(
        console,
        [
            Column("stream", [stream.traffic.name for stream in streams], left=True),
            Column("arrivals", [_arrivals(stream, scenario) for stream in streams], left=True),
            Column("capability", [str(stream.capability) for stream in streams], 1, left=True),
            Column("privacy", [stream.qos.privacy.name.lower() for stream in streams], 2),
            Column("max latency", [_max_latency(stream) for stream in streams], 3),
            Column("origins", [_origins(stream) for stream in streams], 4, left=True),
        ],
    )
    sentences(console, [fact for stream in streams for fact in load_facts(stream.traffic)])


def _arrivals(stream: StreamConfig, scenario: Scenario) -> str:
    """Return the mean rate over the run, and the peak where it is another."""
    traffic, trace = stream.traffic, stream.traffic.arrivals.trace
    if isinstance(traffic.arrivals, ClosedLoop):
        return f"{traffic.arrivals.users:,} users"
    mean = plain(traffic.mean_rps(scenario.duration_s))
    peak = plain(traffic.peak_rps(scenario.duration_s))
    rate = f"{mean}/s" if peak == mean else f"{mean}/s, peak {peak}/s"
    return rate if trace is None else f"{rate}, a trace of {len(trace):,}"


def _max_latency(stream: StreamConfig) -> str:
    limit_s = stream.qos.max_latency_s
    return MISSING if limit_s is None else duration(limit_s)


def _origins(stream: StreamConfig) -> str:
    total = sum(weight for _, weight in stream.traffic.origins)
    return ", ".join(
        f"{region} {100.0 * weight / total:.0f} %" for region, weight in stream.traffic.origins
    )


def _print_pools(console: Console, offered: OfferedLoad) -> None:
    from fedsim.scenario.capacity import capability_table, capacity_table

    rows = capacity_table(offered)
    pools = offered.pools
    heading(console, "Pools, each with its share of the load by what it can do")
    print_table(
        console,
        [
            Column("pool", [row.pool for row in rows], left=True),
            Column("region", [row.region for row in rows], 2, left=True),
            Column("nodes", [str(row.nodes) for row in rows]),
            Column("slots", [str(row.slots) for row in rows], 6),
            Column("req/s", [plain(row.offered_rps) for row in rows]),
            Column("max req/s", [plain(row.capacity_rps) for row in rows]),
            Column("load %", [_busy(row.load) for row in rows]),
            Column("peak %", [_busy(row.peak_load) for row in rows], 1),
            *_engine_columns(rows),
            Column("queue", [_limit(pool.queue_limit) for pool in pools], 5),
            Column("USD/h each", [_price(pool.cost_usd_per_hour) for pool in pools], 3),
            Column("capabilities", [", ".join(row.capabilities) for row in rows], 4, left=True),
        ],
    )
    loads = [
        f"{row.capability}: {plain(row.offered_rps)} requests/s of at most "
        f"{plain(row.capacity_rps)} if it had its pools alone; {_busy(row.load)} % on "
        f"average, {_busy(row.peak_load)} % at its peak"
        for row in capability_table(offered)
        if row.offered_rps > 0.0
    ]
    sentences(console, loads)


def _engine_columns(rows: Sequence[PoolLoad]) -> list[Column]:
    """Return how engines are used by the load, where there are any."""
    uses = [row.use for row in rows]
    if not any(uses):
        return []
    return [
        Column("in use %", [MISSING if use is None else _busy(use.in_steps) for use in uses]),
        Column("running", [MISSING if use is None else plain(use.running) for use in uses], 2),
        Column("KV %", [MISSING if use is None else _busy(use.cache) for use in uses], 2),
    ]


def _busy(load: float) -> str:
    return "inf" if math.isinf(load) else f"{100.0 * load:.1f}"


def _limit(queue_limit: int | None) -> str:
    return "unlimited" if queue_limit is None else str(queue_limit)


def _price(usd_per_hour: float | None) -> str:
    return MISSING if usd_per_hour is None else f"{usd_per_hour:.2f}"


def _federation(scenario: Scenario) -> list[str]:
    federation = scenario.federation
    if federation.reference is not None:
        return _reference(federation, federation.reference)
    chooser = (
        f"strategy {federation.strategy}"
        if federation.router is None
        else f"router {federation.router}"
    )
    weights = [
        f"{name} ({settings['weight']:g})" if "weight" in settings else name
        for name, settings in federation.policies.items()
    ]
    parts = {
        "health checks": federation.health,
        "circuit breaker": federation.circuit_breaker,
        "deadlines": federation.timeout,
        "retries": federation.retries,
    }
    on = [name for name, settings in parts.items() if settings is not None]
    off = [name for name, settings in parts.items() if settings is None]
    options = {
        "outlier ejection": federation.outliers,
        "panic mode": federation.panic_threshold,
        "slow start": federation.slow_start,
        "hedges": federation.hedge,
        "throttling": federation.throttle,
        "concurrency limit": federation.concurrency,
        "load shedding": federation.shedding,
    }
    on += [name for name, settings in options.items() if settings is not None]
    lines = ["preset default"]
    lines += [f"{chooser}; policies (weight): {', '.join(weights) or 'none'}"]
    if federation.router is not None and not is_adapted(federation.router):
        lines += ["the router chooses alone: policies have no effect unless it asks them"]
    lines += [f"on: {', '.join(on)}"] if on else []
    lines += [f"off: {', '.join(off)}"] if off else []
    lines += [f"middleware: {', '.join(federation.middleware)}"] if federation.middleware else []
    return lines


def _reference(federation: FederationSpec, config: ReferenceConfig) -> list[str]:
    """Return what there is to say of a federation of the reference."""
    health, retries = config.health, config.retries
    judged = "no node is registered with it"
    if health is not None:
        judged = (
            f"unhealthy after {health.failure_threshold} failures, healthy after "
            f"{health.recovery_threshold} successes, degraded above "
            f"{duration(health.degraded_latency_s)}"
        )
    weights = ", ".join(f"{name} ({weight:g})" for name, weight in config.policies.items())
    lines = [
        "preset apr, the contracts' first implementation with its faults (docs/pitfalls.md)",
        f"strategy {federation.strategy}; policies (weight): {weights or 'none'}",
        f"health from traffic alone: {judged}",
        f"at most {retries.limit + 1} attempts; no probes, no deadlines",
    ]
    lines += [f"middleware: {', '.join(federation.middleware)}"] if federation.middleware else []
    return lines
