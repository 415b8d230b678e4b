"""The report of a check: what a scenario contains, and the load of its pools."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fedsim.charts.clock import on_clock
from fedsim.document import (
    Block,
    Cell,
    Column,
    Document,
    Heading,
    Sentence,
    Table,
    figure,
    plain,
    words,
)
from fedsim.report.faults import fault_sentence
from fedsim.report.parts import warnings_of
from fedsim.results.slo import in_words
from fedsim.results.sources import count_by_label
from fedsim.scenario.adapters import is_adapted
from fedsim.scenario.capacity import capability_table, capacity_table
from fedsim.scenario.load_notes import load_facts
from fedsim.scenario.presets import preset
from fedsim.scenario.scalers import scaled_pools
from fedsim.scenario.units import DURATION, PRICE
from fedsim.workload.arrivals import ClosedLoop

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fedsim.federation.gateway import TimeoutConfig
    from fedsim.results.sources import Figure
    from fedsim.scenario.capacity import CapabilityLoad, PoolLoad
    from fedsim.scenario.offered_load import OfferedLoad
    from fedsim.scenario.scalers import Bounds
    from fedsim.scenario.spec import FederationSpec, Scenario
    from fedsim.world.config import StreamConfig
    from fedsim.world.nodes.config import PoolConfig

_CHOICES = {
    "random": "drawn at random for each request",
    "tenant": "the same for all requests of a tenant",
    "turn": "each in turn",
}
_ELSEWHERE = "fedsim check --json"


def check_report(offered: OfferedLoad, warnings: Sequence[str], *, served: bool) -> Document:
    """Return the report of a scenario that is well-formed.

    Args:
        offered: Its load.
        warnings: What has no effect, cannot be met, or is to be known before it is run.
        served: Whether its load can be served with every node up.
    """
    scenario = offered.scenario
    blocks: list[Block] = [Heading(f"{scenario.name} ({scenario.path})", 1)]
    blocks += [Sentence(scenario.description)] if scenario.description else []
    blocks += [
        Sentence(_times(scenario)),
        Heading("Regions"),
        _regions(scenario),
        Heading("Workload"),
        _streams(scenario),
        *_items(
            fact
            for each in scenario.world.streams
            for fact in load_facts(each.traffic, scenario.duration_s)
        ),
        Heading("Pools (load split in proportion to capacity)"),
        _pools(offered),
        *_items(f"{name}: no nodes, for its count is 0" for name in _empty(scenario)),
        *_items(_scaled(each, offered) for each in scaled_pools(scenario)),
        *_items(_demand(row) for row in capability_table(offered) if row.offered_rps > 0.0),
        Heading("Federation"),
        *_items(_federation(scenario)),
        Heading("Faults"),
        *_items(
            [fault_sentence(each, scenario.start) for each in scenario.world.faults] or ["none"]
        ),
        *_objective(scenario),
        *_plan(offered),
        *warnings_of(warnings),
        Heading("Result"),
        Sentence(inputs_in_words(scenario.figures)),
    ]
    if served:
        blocks.append(
            Sentence("Scenario is valid. With all nodes up, the fleet can serve this load.", "good")
        )
    return Document(tuple(blocks))


def _objective(scenario: Scenario) -> list[Block]:
    """Return the bounds of the objective and the streams that each covers, or nothing."""
    slo = scenario.slo
    if slo is None:
        return []
    streams = [stream.traffic.name for stream in scenario.world.streams]
    texts = []
    for part in slo.parts(streams):
        some = part.stream is None and len(part.covers) < len(streams)
        covers = f" ({', '.join(part.covers)})" if some else ""
        texts.append(in_words(part.key, part.limit, part.stream) + covers)
    if slo.every_s is not None:
        texts.append(f"each in 99 % of windows of {DURATION.format(slo.every_s)} too")
    return [Heading("Objective"), *_items(texts)]


def _plan(offered: OfferedLoad) -> list[Block]:
    """Return how large the plan is, what the file's fleet costs, and what a lost region leaves."""
    scenario, spec = offered.scenario, offered.scenario.plan
    if spec is None:
        return []
    sizes = [len(values) for values in spec.vary.values()]
    fleets = f"{math.prod(sizes):,} fleets ({' × '.join(str(size) for size in sizes)})"
    texts = [
        f"{fleets}, {spec.replications} replications of each in each case; lowest {spec.minimize}"
    ]
    if spec.limits:
        texts.append(f"at most {', '.join(_limit(*each) for each in spec.limits.items())}")
    if spec.growth is not None:
        texts.append(f"traffic grows by {100.0 * spec.growth:g} % a month, for --headroom")
    prices = [(pool.cost_usd_per_hour, pool.count) for pool in scenario.world.pools]
    known = [(usd, count) for usd, count in prices if usd is not None]
    if len(known) == len(prices):
        texts.append(f"the fleet of the file costs {plain(sum(u * n for u, n in known))} USD/h")
    for region in dict.fromkeys(pool.region for pool in scenario.world.pools):
        rows = capability_table(offered.without(region))
        texts += [f"without {region}, {_left(row)}" for row in rows if row.offered_rps > 0.0]
    return [Heading("Plan"), *_items(texts)]


def _limit(name: str, most: float) -> str:
    """Return a limit of the fleet, such as ``12 nodes`` or ``64 of gpus.h100_sxm``."""
    from fedsim.scenario.schema.plan import WHOLE_LIMITS

    if name == "cost":
        return PRICE.format(most)
    return f"{most:g} {name}" if name in WHOLE_LIMITS else f"{most:g} of {name}"


def _left(row: CapabilityLoad) -> str:
    """Return what remains of a capability once a region is lost."""
    if not row.nodes:
        return f"{row.name}: no node may serve its {plain(row.offered_rps)} req/s"
    return (
        f"{row.name}: capacity {plain(row.capacity_rps)} req/s for {plain(row.offered_rps)} req/s; "
        f"utilization {_busy(row.load)} % mean, {_busy(row.peak_load)} % peak"
    )


def _items(texts: Iterable[str]) -> list[Sentence]:
    return [Sentence(text, item=True) for text in texts]


def _times(scenario: Scenario) -> str:
    arrivals, drain = DURATION.format(scenario.duration_s), DURATION.format(scenario.drain_s)
    warmup = DURATION.format(scenario.warmup_s) if scenario.warmup_s else "none"
    clock = "" if scenario.start is None else f" Simulated time 0 is {on_clock(scenario.start)}."
    return (
        f"{arrivals} of arrivals, {warmup} of it warm-up; then at most {drain} to drain. "
        f"Seed {scenario.seed}.{clock}"
    )


def inputs_in_words(figures: Iterable[Figure]) -> str:
    """Return how many figures of a scenario are measured, derived, estimated and stated."""
    counts = {
        "user-supplied" if label == "user" else label: count
        for label, count in count_by_label(figures).items()
    }
    return f"Inputs: {', '.join(f'{count} {label}' for label, count in counts.items() if count)}."


def _regions(scenario: Scenario) -> Table:
    world, gateways = scenario.world, scenario.federation.gateways
    nodes: Counter[str] = Counter()
    for pool in world.pools:
        nodes[pool.region] += pool.size
    names = [region.name for region in world.regions]
    return Table(
        (
            words("region", names),
            words("privacy", [region.privacy.name.lower() for region in world.regions]),
            Column("gateways", tuple(figure(gateways.get(name, 0), "count") for name in names)),
            Column("nodes", tuple(figure(nodes[name], "count") for name in names)),
        )
    )


def _streams(scenario: Scenario) -> Table:
    streams = scenario.world.streams
    sources = [_source(stream) for stream in streams]
    models = [stream.model or "any" for stream in streams]
    columns = [
        words("stream", [stream.traffic.name for stream in streams]),
        Column("req/s", tuple(_rate(stream, scenario, peak=False) for stream in streams)),
        Column("peak req/s", tuple(_rate(stream, scenario, peak=True) for stream in streams)),
        *([words("source", sources, 1)] if any(sources) else []),
        words("capability", [str(stream.capability) for stream in streams], 2),
        *([words("model", models, 2)] if _by_model(scenario) else []),
        words("streamed", ["yes" if stream.streamed else "no" for stream in streams], 3),
        words("privacy", [stream.qos.privacy.name.lower() for stream in streams], 4),
        Column("max latency", tuple(_max_latency(stream) for stream in streams), rank=5),
        words("origins", [_origins(stream) for stream in streams], 6),
    ]
    return Table(tuple(columns), _ELSEWHERE)


def _by_model(scenario: Scenario) -> bool:
    """Return whether any stream asks for a model."""
    return any(stream.model is not None for stream in scenario.world.streams)


def _rate(stream: StreamConfig, scenario: Scenario, *, peak: bool) -> Cell:
    """Return a stream's mean or peak rate over the run; a closed loop has none of its own."""
    traffic = stream.traffic
    if isinstance(traffic.arrivals, ClosedLoop):
        return Cell(None)
    rate_rps = traffic.peak_rps if peak else traffic.mean_rps
    return figure(rate_rps(scenario.duration_s))


def _source(stream: StreamConfig) -> str:
    arrivals = stream.traffic.arrivals
    if isinstance(arrivals, ClosedLoop):
        return f"{arrivals.users:,} users"
    return "" if arrivals.trace is None else f"trace of {len(arrivals.trace):,}"


def _max_latency(stream: StreamConfig) -> Cell:
    limit_s = stream.qos.max_latency_s
    return Cell(None) if limit_s is None else Cell(limit_s, text=DURATION.format(limit_s))


def _origins(stream: StreamConfig) -> str:
    total = sum(weight for _, weight in stream.traffic.origins)
    return ", ".join(
        f"{region} {100.0 * weight / total:.0f} %" for region, weight in stream.traffic.origins
    )


def _pools(offered: OfferedLoad) -> Table:
    rows, pools = capacity_table(offered), offered.pools
    limits = [
        Cell(None, text="unlimited") if limit is None else figure(limit, "count")
        for limit in (pool.queue_limit for pool in pools)
    ]
    prices = [pool.cost_usd_per_hour for pool in pools]
    columns = [
        words("pool", [row.pool for row in rows]),
        words("region", [row.region for row in rows], 2),
        Column("nodes", tuple(_count(pool) for pool in pools)),
        Column("slots", tuple(figure(row.slots, "count") for row in rows), rank=6),
        Column("req/s", tuple(figure(row.offered_rps) for row in rows)),
        Column("max req/s", tuple(figure(row.capacity_rps) for row in rows)),
        Column("load", tuple(_busy(row.load) for row in rows), "%"),
        Column("peak", tuple(_busy(row.peak_load) for row in rows), "%", 1),
        *_engine_columns(rows),
        Column("queue", tuple(limits), rank=5),
        Column(
            "node",
            tuple(Cell(None) if usd is None else figure(usd, "decimals", 2) for usd in prices),
            "USD/h",
            3,
        ),
        words("capabilities", [", ".join(row.capabilities) for row in rows], 4),
        *(
            [words("model", [pool.model for pool in pools], 4)]
            if _by_model(offered.scenario)
            else []
        ),
    ]
    return Table(tuple(columns), _ELSEWHERE)


def _empty(scenario: Scenario) -> list[str]:
    """Return the pools whose count is 0, which the world is without."""
    kept = {pool.name for pool in scenario.world.pools}
    pools = scenario.resolved.get("pools")
    return [name for name in pools if name not in kept] if isinstance(pools, Mapping) else []


def _engine_columns(rows: Sequence[PoolLoad]) -> list[Column]:
    """Return how engines are used by the load, where there are any."""
    uses = [row.use for row in rows]
    if not any(uses):
        return []
    none = Cell(None)
    return [
        Column("in use", tuple(_busy(use.in_steps) if use else none for use in uses), "%"),
        Column("running", tuple(figure(use.running) if use else none for use in uses), rank=2),
        Column("KV", tuple(_busy(use.cache) if use else none for use in uses), "%", 2),
    ]


def _count(pool: PoolConfig) -> Cell:
    """Return the nodes of a pool, the most that there can be, after the fewest."""
    if pool.scaler is None:
        return figure(pool.size, "count")
    return Cell(pool.size, "count", text=f"{pool.scaler.min} to {pool.size}")


def _scaled(each: Bounds, offered: OfferedLoad) -> str:
    """Return what a scaler is, and what its pool can do and costs with few and with all nodes."""
    scaler, place = each.scaler, list(offered.pools).index(each.pool)
    capacity_rps = capacity_table(offered)[place].capacity_rps
    facts = [
        f"{each.pool.name}: scaler {each.scaler.decided_by}, {scaler.min} to {scaler.max} nodes"
    ]
    if not math.isnan(capacity_rps):
        low_rps = capacity_rps * scaler.min / each.pool.size
        facts.append(f"{plain(low_rps)} to {plain(capacity_rps)} req/s")
    if each.usd_per_hour is not None:
        low, high = each.usd_per_hour
        facts.append(f"{plain(low)} to {plain(high)} USD/h")
    advisory = ["decisions are recorded only"] if scaler.advisory else []
    return ", ".join(facts) + "; ".join(["", *advisory, "loads are those with all nodes"])


def _busy(load: float) -> Cell:
    return figure(100.0 * load, "decimals", 1)


def _demand(row: CapabilityLoad) -> str:
    other = "capability" if row.model is None else "capability or model"
    return (
        f"{row.name}: {plain(row.offered_rps)} req/s; capacity {plain(row.capacity_rps)} "
        f"req/s with no other {other}; utilization {_busy(row.load)} % mean, "
        f"{_busy(row.peak_load)} % peak"
    )


def _federation(scenario: Scenario) -> list[str]:
    federation = scenario.federation
    if federation.preset == "default":
        lines = _default(federation)
    else:
        lines = preset(federation.preset).described(federation)
    if max(federation.gateways.values(), default=0) > 1:
        choice = scenario.world.gateway_choice
        lines.append(f"gateway of a region: {_CHOICES[choice]} (gateway_choice: {choice})")
    lines += [f"middleware: {', '.join(federation.middleware)}"] if federation.middleware else []
    return lines


def _default(federation: FederationSpec) -> list[str]:
    chooser = (
        f"strategy {federation.strategy}"
        if federation.router is None
        else f"router {federation.router}"
    )
    weights = [
        f"{name} ({settings['weight']:g})" if "weight" in settings else name
        for name, settings in federation.policies.items()
    ]
    lines = ["preset default", f"{chooser}; policies (weight): {', '.join(weights) or 'none'}"]
    if federation.router is not None and not is_adapted(federation.router):
        lines.append("the router chooses alone: policies have no effect unless it asks them")
    if federation.config.timeout is not None:
        lines.append(f"deadlines: {_deadlines(federation.config.timeout)}")
    switches = {
        "health checks": federation.health,
        "circuit breaker": federation.circuit_breaker,
        "deadlines": federation.config.timeout,
        "retries": federation.config.retries,
    }
    options = {
        "outlier ejection": federation.router_config.outliers,
        "panic mode": federation.router_config.panic_threshold,
        "slow start": federation.router_config.slow_start,
        "hedges": federation.config.hedge,
        "throttling": federation.config.throttle,
        "concurrency limit": federation.config.concurrency,
        "load shedding": federation.config.shedding,
    }
    on = [name for name, settings in (switches | options).items() if settings is not None]
    off = [name for name, settings in switches.items() if settings is None]
    lines += [f"on: {', '.join(on)}"] if on else []
    lines += [f"off: {', '.join(off)}"] if off else []
    return lines


def _deadlines(timeout: TimeoutConfig) -> str:
    def text(limit_s: float | None) -> str:
        return "off" if limit_s is None else DURATION.format(limit_s)

    return (
        f"request {text(timeout.request_s)}, attempt {text(timeout.attempt_s)}; of streamed "
        f"requests: first token {text(timeout.first_token_s)}, pause {text(timeout.idle_s)}"
    )
