"""Checks that names in a scenario name something: regions, pools, nodes, streams."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from fedsim.errors import Problem
from fedsim.federation.strategies.registry import CONTRACT_STRATEGIES
from fedsim.scenario.facts import Facts
from fedsim.scenario.schema.base import listed, shown, suggestion
from fedsim.scenario.source import KeyPath


def unknown_names(facts: Facts) -> Iterator[Problem]:
    """Yield a problem for every name of something that does not exist.

    A fault may name a node beyond the count of its pool, which other runs of a study may have.
    """
    for pool in facts.pools:
        yield from _unknown_region(facts, ("pools", pool, "region"))
    for stream in facts.streams:
        yield from _unknown_keys(facts, ("workload", stream, "origins"))
        yield from _wrong_offsets(facts, stream)
    for stream in facts.mapping("slo", "streams"):
        if stream not in facts.mapping("workload"):
            message = f"There is no stream {shown(stream)}."
            remedy = suggestion(stream, list(facts.mapping("workload"))) or "Add it to workload."
            yield facts.document.problem(("slo", "streams", stream), message, remedy, at_key=True)
    yield from _unknown_keys(facts, ("federation", "gateways"))
    for number, _ in facts.faults:
        path = ("faults", number)
        yield from _unknown_region(facts, (*path, "region"))
        yield from _unknown_pool(facts, (*path, "pool"))
        yield from _unknown_node(facts, (*path, "node"))


def unknown_models(facts: Facts) -> Iterator[Problem]:
    """Yield a problem for every model that a stream asks for and that no pool with nodes serves."""
    models = {pool: facts.pool_model(pool) for pool in facts.pools_with_nodes}
    served = list(dict.fromkeys(model for model in models.values() if model is not None))
    if not served or None in models.values():
        return
    for stream in facts.streams:
        model = facts.text("workload", stream, "model")
        if model is None or model in served:
            continue
        meant = _meant_model(facts, model)
        remedy = f"Did you mean {meant}? " if meant else ""
        remedy += f"The pools serve {listed(served, 'and')}."
        message = f"No pool serves the model {shown(model)}."
        yield facts.document.problem(("workload", stream, "model"), message, remedy)


def _meant_model(facts: Facts, asked: str) -> str | None:
    """Return the model that a name is close to: a model's, a pool's, a profile's, in any case.

    Of names such as ``meta-llama/Llama-3.1-70B-Instruct`` or ``llama-3.1-70b/fp8/h100_sxm/tp4`` the
    parts count, too.
    """
    names: dict[str, str] = {}
    for pool in facts.pools_with_nodes:
        model = facts.pool_model(pool)
        assert model is not None
        profile = facts.profiles.get(pool)
        also = () if profile is None else (profile.name, profile.model)
        for name in (model, pool, *also):
            names.setdefault(name.lower(), model)
    word = asked.lower()
    parts = dict.fromkeys((word, *word.split("/")))
    for part in parts:
        if part in names:
            return names[part]
    for part in parts:
        if close := get_close_matches(part, list(names), 1):
            return names[close[0]]
    return None


def wrong_pairs(facts: Facts) -> Iterator[Problem]:
    """Yield a problem for every key of ``network.between`` that is no pair of two regions."""
    known = facts.mapping("regions")
    pairs: dict[tuple[str, str], str] = {}
    for key in facts.mapping("network", "between"):
        path = ("network", "between", key)
        first, slash, second = key.partition("/")
        if not slash or "/" in second:
            message = f"{shown(key)} is not a pair of regions."
            yield facts.document.problem(path, message, "Write one/other: 83ms.", at_key=True)
            continue
        for region in (first, second):
            if region not in known:
                yield _no_region(facts, path, region, at_key=True)
        if first == second:
            message = f"{first} is paired with itself."
            remedy = "Give the round trip inside a region as network.within_region."
            yield facts.document.problem(path, message, remedy, at_key=True)
        yield from _contradiction(facts, path, pairs.get((second, first)))
        pairs[first, second] = key


def wrong_strategies(facts: Facts) -> Iterator[Problem]:
    """Yield a problem for every strategy to compare that the preset does not have."""
    if facts.text("federation", "preset") != "apr":
        return
    compared = facts.mapping("compare").get("strategies")
    for number, name in enumerate(compared if isinstance(compared, list) else ()):
        if name not in CONTRACT_STRATEGIES:
            message = f"The preset apr has no strategy {shown(name)}."
            remedy = f"Write {listed(list(CONTRACT_STRATEGIES))}, or preset: default."
            yield facts.document.problem(("compare", "strategies", number), message, remedy)


def unmet_expectations(facts: Facts) -> Iterator[Problem]:
    """Yield a problem for what is expected of something that the scenario does not have."""
    if facts.written("expect", "slo") is not None and facts.written("slo") is None:
        message = "The scenario has no objective that could be held."
        yield facts.document.problem(("expect", "slo"), message, "Add slo, or remove this.")


def _contradiction(facts: Facts, path: KeyPath, other: str | None) -> Iterator[Problem]:
    if other is None:
        return
    here, there = facts.duration_s(*path), facts.duration_s(*path[:-1], other)
    if here is not None and there is not None and here != there:
        stated = facts.written(*path[:-1], other)
        message = f"{shown(facts.written(*path))} contradicts {other}: {stated}."
        remedy = "A round trip counts for both directions: keep one of the two."
        yield facts.document.problem(path, message, remedy)


def _unknown_keys(facts: Facts, path: KeyPath) -> Iterator[Problem]:
    known = facts.mapping("regions")
    for region in facts.mapping(*path):
        if region not in known:
            yield _no_region(facts, (*path, region), region, at_key=True)


def _wrong_offsets(facts: Facts, stream: str) -> Iterator[Problem]:
    path: KeyPath = ("workload", stream, "arrivals", "utc_offsets")
    yield from _unknown_keys(facts, path)
    origins = facts.origins(stream)
    for region in facts.mapping(*path):
        if region in facts.mapping("regions") and region not in origins:
            message = f"Nothing of {stream} comes from {region}."
            remedy = f"Add {region} to its origins, or remove it here."
            yield facts.document.problem((*path, region), message, remedy, at_key=True)


def _unknown_region(facts: Facts, path: KeyPath) -> Iterator[Problem]:
    region = facts.text(*path)
    if region is not None and region not in facts.mapping("regions"):
        yield _no_region(facts, path, region)


def _no_region(facts: Facts, path: KeyPath, region: str, *, at_key: bool = False) -> Problem:
    message = f"There is no region {shown(region)}."
    remedy = suggestion(region, facts.regions) or "Add it to regions."
    return facts.document.problem(path, message, remedy, at_key=at_key)


def _unknown_pool(facts: Facts, path: KeyPath) -> Iterator[Problem]:
    pool = facts.text(*path)
    if pool is not None and pool not in facts.mapping("pools"):
        message = f"There is no pool {shown(pool)}."
        remedy = suggestion(pool, list(facts.mapping("pools"))) or "Add it to pools."
        yield facts.document.problem(path, message, remedy)


def _unknown_node(facts: Facts, path: KeyPath) -> Iterator[Problem]:
    node = facts.text(*path)
    if node is None or facts.is_node(node):
        return
    remedy = suggestion(node, [f"{name}-0" for name in facts.mapping("pools")])
    yield facts.document.problem(path, f"There is no node {shown(node)}.", remedy)
