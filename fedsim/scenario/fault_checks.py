"""Checks that what the faults of a scenario strike is there."""

from __future__ import annotations

from collections.abc import Iterator

from fedsim.errors import Problem
from fedsim.scenario.facts import Facts
from fedsim.scenario.schema.base import shown, suggestion
from fedsim.scenario.source import KeyPath
from fedsim.world.faults.registry import FAULTS


def faults_of_nothing(facts: Facts) -> Iterator[Problem]:
    """Yield a problem for every pool, or end of a link, that a fault names and that is not there.

    Regions, single pools and nodes that faults name are checked with all other names. A pool whose
    count is 0, and a node beyond the count of its pool, are there in other runs of a study.
    """
    for number, fault in facts.faults:
        path: KeyPath = ("faults", number)
        pools = fault.get("pools")
        for place, pool in enumerate(pools if isinstance(pools, list) else ()):
            if pool not in facts.mapping("pools"):
                message = f"There is no pool {shown(pool)}."
                remedy = suggestion(pool, facts.pools)
                yield facts.document.problem((*path, "pools", place), message, remedy)
        kind = FAULTS.get(facts.text(*path, "kind") or "")
        if kind is not None and "ends" in kind.targets:
            yield from _of_link(facts, path)


def _of_link(facts: Facts, path: KeyPath) -> Iterator[Problem]:
    both = facts.at(*path, "between")
    paths: list[KeyPath] = [(*path, "from"), (*path, "to")]
    if isinstance(both, list):
        paths = [(*path, "between", place) for place in range(len(both))]
    ends = [facts.text(*each) for each in paths]
    unknown = False
    for each, end in zip(paths, ends, strict=True):
        if end is not None and not _is_known(facts, end):
            unknown = True
            message = f"There is no region, gateway, pool or node {shown(end)}."
            known = [*facts.regions, *facts.pools, *_gateways(facts)]
            yield facts.document.problem(each, message, suggestion(end, known))
    if unknown or len(ends) != 2 or None in ends:
        return
    one, other = str(ends[0]), str(ends[1])
    joined = (_holds_gateways(facts, one) and _holds_nodes(facts, other)) or (
        _holds_gateways(facts, other) and _holds_nodes(facts, one)
    )
    if not joined:
        message = f"No message passes between {one} and {other}."
        remedy = "Name gateways at one end and nodes at the other; a region names all of its."
        yield facts.document.problem((*path, "kind"), message, remedy)


def _is_known(facts: Facts, end: str) -> bool:
    there = end in facts.mapping("regions")
    return there or _holds_gateways(facts, end) or _holds_nodes(facts, end)


def _gateways(facts: Facts) -> list[str]:
    stated = facts.mapping("federation", "gateways")
    names: list[str] = []
    for region in facts.gateway_regions():
        count = stated.get(region, 1)
        names += [f"{region}/{number}" for number in range(count if isinstance(count, int) else 1)]
    return names


def _holds_gateways(facts: Facts, end: str) -> bool:
    return end in facts.gateway_regions() or end in _gateways(facts)


def _holds_nodes(facts: Facts, end: str) -> bool:
    if end in facts.mapping("pools") or facts.is_node(end):
        return True
    return any(facts.text("pools", pool, "region") == end for pool in facts.pools)
