"""Checks that requests say of their size what the pools that may serve them need to know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fedsim.errors import Problem
from fedsim.scenario.facts import Facts
from fedsim.scenario.schema.arrivals import is_servegen
from fedsim.scenario.schema.base import listed


@dataclass(frozen=True, slots=True)
class _Need:
    """What a pool needs to know of a request.

    Attributes:
        how: How the pool serves, after "with".
        sizes: Keys of a stream, or of its ``tokens``.
    """

    how: str
    sizes: tuple[str, ...]


_TOKENS = ("prompt", "output")
_OF_SERVICES = {
    "tokens_per_second": _Need("batches whose time grows with their tokens", ("prompt",)),
    "real_time_factor": _Need("a real-time factor", ("audio",)),
    "per_step": _Need("a time per step", ("pictures",)),
}
_MISSING = {
    "audio": (
        "the length of their audio is",
        "audio: {length: {distribution: lognormal, median: 30s, p99: 5min}}",
    ),
    "pictures": (
        "the pictures that they ask for are",
        "pictures: {steps: {distribution: constant, value: 30}}",
    ),
}
"""What is not known of requests, and what to add to the stream."""


def unknown_sizes(facts: Facts) -> Iterator[Problem]:
    """Yield a problem for every stream without the sizes that a serving pool needs."""
    for stream in facts.streams:
        for pool in facts.servers(stream):
            need = _need(facts, pool)
            missing = [size for size in need.sizes if not _is_known(facts, stream, size)]
            if missing:
                yield _problem(facts, stream, pool, need, missing)
                break


def _need(facts: Facts, pool: str) -> _Need:
    if facts.written("pools", pool, "engine") is not None:
        return _Need("an engine", _TOKENS)
    for key, need in _OF_SERVICES.items():
        if facts.written("pools", pool, "service", key) is not None:
            return need
    parts = [
        part for part in _TOKENS if facts.duration_s("pools", pool, "service", f"per_{part}_token")
    ]
    return _Need("a time per token", tuple(parts))


def _is_known(facts: Facts, stream: str, size: str) -> bool:
    if size not in _TOKENS:
        return facts.written("workload", stream, size) is not None
    arrivals = ("workload", stream, "arrivals")
    if is_servegen(facts.written(*arrivals)):
        if facts.written(*arrivals, "lengths") is not None:
            return True
    elif facts.written(*arrivals, "process") == "trace":
        return True
    if _has_tokens(facts, ("workload", stream), size):
        return True
    tenants = facts.mapping("workload", stream, "tenants")
    return bool(tenants) and all(
        _has_tokens(facts, ("workload", stream, "tenants", tenant), size) for tenant in tenants
    )


def _has_tokens(facts: Facts, path: tuple[str, ...], part: str) -> bool:
    return any(facts.written(*path, "tokens", key) is not None for key in (part, "trace"))


def _problem(facts: Facts, stream: str, pool: str, need: _Need, missing: list[str]) -> Problem:
    if missing[0] in _TOKENS:
        path: tuple[str, ...] = ("workload", stream, "tokens")
        what = f"the number of {listed(missing, 'and')} tokens is"
        distribution = "{distribution: lognormal, median: 500, p99: 4000}"
        remedy = f"Add workload.{stream}.tokens.{missing[0]}, such as {distribution}."
    else:
        path = ("workload", stream, missing[0])
        what, example = _MISSING[missing[0]]
        remedy = f"Add to workload.{stream}: {example}."
    message = f"The pool {pool} serves {stream} with {need.how}, but {what} not given."
    return facts.document.problem(path, message, remedy)
