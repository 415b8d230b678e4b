"""Checks that what a plan names is there, and that there is something to plan for."""

from __future__ import annotations

from collections.abc import Iterator

from fedsim.errors import Problem
from fedsim.scenario.facts import Facts
from fedsim.scenario.schema.base import shown, suggestion
from fedsim.scenario.schema.types import is_count_path
from fedsim.scenario.source import KeyPath

ANY_REGION = "any_region"


def wrong_plans(facts: Facts) -> Iterator[Problem]:
    """Yield a problem for every name in the plan of something that is not there, and for others.

    They are a fleet whose cost is to be low and not known, and an objective that is missing.
    """
    if not isinstance(facts.written("plan"), dict):
        return
    yield from _wrong_paths(facts)
    yield from _wrong_limits(facts)
    for number, case in enumerate(facts.written("plan", "survive") or ()):
        region = case.get("lose") if isinstance(case, dict) else None
        if isinstance(region, str) and region not in (ANY_REGION, *facts.regions):
            path: KeyPath = ("plan", "survive", number, "lose")
            yield _unknown(facts, path, "region", region, [*facts.regions, ANY_REGION])
    limits = facts.written("plan", "limits")
    limited = isinstance(limits, dict) and "cost" in limits
    if limited or facts.value("plan", "minimize") == "cost":
        for pool in facts.pools:
            if facts.written("pools", pool, "cost") is None:
                message = f"The plan goes by the cost of the fleet, and {pool} has none."
                remedy = "Add a cost, such as 6.88 USD/h, or write plan.minimize: nodes."
                yield facts.document.problem(("pools", pool), message, remedy)
    if facts.written("slo") is None:
        message = "There is no objective that the planned fleet could hold."
        remedy = "Add one, such as slo: {latency_p95: 2s, success_rate: 99%}."
        yield facts.document.problem(("plan",), message, remedy)


def _wrong_paths(facts: Facts) -> Iterator[Problem]:
    for name in facts.mapping("plan", "vary"):
        words = name.split(".")
        pool = ".".join(words[1:-1]) if is_count_path(name) else "".join(words[1:2])
        if words[0] == "pools" and pool not in facts.mapping("pools"):
            path: KeyPath = ("plan", "vary", name)
            yield _unknown(facts, path, "pool", pool, facts.pools, at_key=True)


def _wrong_limits(facts: Facts) -> Iterator[Problem]:
    limits = facts.written("plan", "limits")
    for name in limits if isinstance(limits, dict) else ():
        path: KeyPath = ("plan", "limits", name)
        words = str(name).split(".")
        region = ".".join(words[1:-1])
        if words[0] == "regions" and region not in facts.regions:
            yield _unknown(facts, path, "region", region, facts.regions, at_key=True)
        gpu, known = ".".join(words[1:]), _gpus(facts)
        if words[0] == "gpus" and gpu not in known:
            message = f"No pool has the GPU {shown(gpu)}."
            remedy = suggestion(gpu, known) or "Remove the limit; no pool says what GPU it has."
            yield facts.document.problem(path, message, remedy, at_key=True)


def _gpus(facts: Facts) -> list[str]:
    """Return the GPUs of the pools, as far as they are known."""
    found: dict[str, None] = {}
    for pool in facts.pools:
        named = facts.text("pools", pool, "gpu")
        if named is None and pool in facts.profiles:
            named = facts.profiles[pool].gpu
        if named not in (None, "none"):
            found[str(named)] = None
    return list(found)


def _unknown(
    facts: Facts, path: KeyPath, noun: str, name: str, known: list[str], *, at_key: bool = False
) -> Problem:
    message = f"There is no {noun} {shown(name)}."
    return facts.document.problem(path, message, suggestion(name, known), at_key=at_key)
