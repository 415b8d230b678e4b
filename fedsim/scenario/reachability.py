"""Checks that requests can be served at all: by some pool, lawfully, over a known distance."""

from __future__ import annotations

from collections.abc import Iterator

from fedsim.errors import Problem
from fedsim.scenario.catalogues.locations import round_trip
from fedsim.scenario.catalogues.tables import CatalogueError
from fedsim.scenario.facts import Facts
from fedsim.scenario.schema.base import listed
from fedsim.scenario.source import KeyPath
from fedsim.scenario.units import DURATION


def no_nodes(facts: Facts) -> Iterator[Problem]:
    """Yield a problem where no pool has nodes."""
    if facts.pools and not facts.pools_with_nodes:
        message = "There are no nodes: every pool has count: 0."
        yield facts.document.problem(("pools",), message, "Give one a count of 1 or more.")


def unserved_streams(facts: Facts) -> Iterator[Problem]:
    """Yield a problem for every stream that no pool can serve, by model or by privacy too."""
    for stream in facts.streams:
        capability = facts.stream_capability(stream)
        if capability is None or not facts.pools_with_nodes:
            continue
        if not facts.capable(stream):
            each = [facts.pool_capabilities(pool) for pool in facts.pools_with_nodes]
            offered = [word for words in each if words is not None for word in words]
            if None in each:
                continue  # a pool may have it
            message = f"No pool{_with_nodes(facts)} has the capability {capability}."
            remedy = (
                f"Add it to the capabilities of a pool; the pools have "
                f"{listed(list(dict.fromkeys(offered)), 'and')}."
            )
            yield facts.document.problem(("workload", stream, "capability"), message, remedy)
        elif not facts.servers(stream):
            yield from _incapable(facts, stream, capability)
        else:
            yield from _unlawful(facts, stream)


def _with_nodes(facts: Facts) -> str:
    """Return the words that leave out pools without nodes, where there are some."""
    return " with nodes" if len(facts.pools_with_nodes) < len(facts.pools) else ""


def _incapable(facts: Facts, stream: str, capability: str) -> Iterator[Problem]:
    """Yield that the pools which serve the model of a stream lack its capability."""
    model = facts.text("workload", stream, "model")
    serving = [pool for pool in facts.pools_with_nodes if facts.pool_model(pool) == model]
    unsure = any(facts.pool_capabilities(pool) is None for pool in serving)
    if not serving or unsure:
        return  # no pool serves it, which is a problem of its own, or one may have the capability
    able = [facts.pool_model(pool) or pool for pool in facts.capable(stream)]
    message = f"No pool{_with_nodes(facts)} that serves {model} has the capability {capability}."
    remedy = (
        f"Add it to the capabilities of {serving[0]}, or ask for "
        f"{listed(list(dict.fromkeys(able)))}."
    )
    yield facts.document.problem(("workload", stream, "model"), message, remedy)


def _unlawful(facts: Facts, stream: str) -> Iterator[Problem]:
    needed = facts.stream_privacy(stream)
    if needed is None or not _privacy_is_kept(facts):
        return
    regions = [facts.pool_region(pool) for pool in facts.servers(stream)]
    levels = [facts.region_privacy(region) for region in regions if region is not None]
    known = [level for level in levels if level is not None]
    if len(known) < len(regions) or any(level >= needed for level in known):
        return
    strictest = max(known).name.lower()
    model = None if facts.ignores_models else facts.text("workload", stream, "model")
    message = (
        f"No region that may hold {needed.name.lower()} data has a pool with the capability "
        f"{facts.stream_capability(stream)}{f' and the model {model}' if model else ''}; the most "
        f"private one is {strictest}."
    )
    remedy = "Raise the privacy of a region, lower that of the stream, or leave the policy out."
    yield facts.document.problem(("workload", stream, "qos", "privacy"), message, remedy)


def _privacy_is_kept(facts: Facts) -> bool:
    policies = facts.value("federation", "policies")
    keeps = policies == "enterprise_default" or "privacy" in (policies or ())
    return keeps and facts.written("federation", "router") is None


def origins_without_gateway(facts: Facts) -> Iterator[Problem]:
    """Yield a problem for every region that requests come from and that has no gateway."""
    if not facts.mapping("federation", "gateways"):
        return
    served = facts.gateway_regions()
    noted: set[tuple[str, KeyPath]] = set()
    for stream in facts.streams:
        for region, path in facts.origins(stream).items():
            if region in served or (region, path) in noted:
                continue
            noted.add((region, path))
            message = (
                f"Requests of {stream} come from {region}, which has no gateway; clients call a "
                "gateway of their own region."
            )
            remedy = f"Add {region} to federation.gateways, or leave it out of the origins."
            yield facts.document.problem(path, message, remedy, at_key=True)


def missing_round_trips(facts: Facts) -> Iterator[Problem]:
    """Yield a problem for every gateway's region and pool's region of unknown distance."""
    given = facts.mapping("network", "between")
    targets = list(dict.fromkeys(facts.pool_region(pool) for pool in facts.pools_with_nodes))
    noted: set[frozenset[str]] = set()
    for gateway in facts.gateway_regions():
        for target in targets:
            if target is None or target == gateway or frozenset((gateway, target)) in noted:
                continue
            if f"{gateway}/{target}" in given or f"{target}/{gateway}" in given:
                continue
            unknown = _unknown_round_trip(facts, gateway, target)
            if unknown is None:
                continue
            noted.add(frozenset((gateway, target)))
            remedy = (
                f"Add network.between: {{{gateway}/{target}: 83ms}}, with the round trip between "
                "the two."
            )
            yield facts.document.problem(("network", "between"), unknown, remedy)


def _unknown_round_trip(facts: Facts, one: str, other: str) -> str | None:
    """Return why the catalogue knows no round trip between two regions; None if it does."""
    paths = [("regions", name, "location") for name in (one, other)]
    if any(facts.written(*path) is None for path in paths):
        return f"The round trip between {one} and {other} is not given."
    here, there = (facts.at(*path) for path in paths)
    if here is None or there is None:
        return None
    try:
        round_trip(here, there)
    except CatalogueError as failure:
        return f"{failure.message[:-1]}, where {one} and {other} lie."
    return None


def warmup_too_long(facts: Facts) -> Iterator[Problem]:
    """Yield a problem where the warm-up leaves nothing to summarise."""
    warmup_s, duration_s = facts.duration_s("warmup"), facts.duration_s("duration")
    if warmup_s is not None and duration_s is not None and 0 < duration_s <= warmup_s:
        duration = facts.text("duration")
        message = f"{facts.text('warmup')} is not less than the duration of {duration}."
        remedy = "Summaries cover what arrives after the warm-up: make it shorter."
        yield facts.document.problem(("warmup",), message, remedy)


def windows_too_long(facts: Facts) -> Iterator[Problem]:
    """Yield a problem where no whole window of the objective fits between warm-up and end."""
    every_s, duration_s = facts.duration_s("slo", "every"), facts.duration_s("duration")
    if every_s is None or duration_s is None:
        return
    stated_s = facts.duration_s("warmup")
    judged_s = duration_s - (duration_s / 10.0 if stated_s is None else stated_s)
    if 0.0 < judged_s < every_s:
        message = (
            f"No window of {facts.text('slo', 'every')} fits into what comes after the warm-up."
        )
        remedy = f"Write at most {DURATION.format(judged_s)}, or remove it."
        yield facts.document.problem(("slo", "every"), message, remedy)
