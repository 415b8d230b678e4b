"""Checks that a pool is of one kind, and that an engine's settings fit together."""

from __future__ import annotations

from collections.abc import Iterator

from fedsim.errors import Problem
from fedsim.scenario.catalogues.profiles import profile_names
from fedsim.scenario.facts import Facts
from fedsim.scenario.schema.service import Batching

_SLOTS_KEYS = ("slots", "service", "batching", "switch")


def mixed_kinds(facts: Facts) -> Iterator[Problem]:
    """Yield a problem for every pool that is not of one kind: slots, engine or batches."""
    for pool in facts.pools:
        if facts.written("pools", pool, "engine") is not None:
            yield from _beside_engine(facts, pool)
        elif facts.written("pools", pool, "service") is None:
            yield _neither(facts, pool)
        elif facts.written("pools", pool, "batching") is not None:
            yield from _beside_batching(facts, pool)
        elif facts.written("pools", pool, "service", "tokens_per_second") is not None:
            message = "A service by tokens_per_second is that of batches, which the pool has not."
            remedy = f"Add batching: {{max_batch: {Batching().max_batch}}}, or give times per "
            remedy += "token for slots."
            yield facts.document.problem(("pools", pool, "service"), message, remedy)


def _neither(facts: Facts, pool: str) -> Problem:
    message = "The pool has neither a service nor an engine."
    remedy = (
        "Add service: {distribution: lognormal, median: 900ms, p99: 4s}, or "
        f"engine: {{profile: {profile_names()[0]}}}."
    )
    return facts.document.problem(("pools", pool), message, remedy, at_key=True)


def _beside_engine(facts: Facts, pool: str) -> Iterator[Problem]:
    for key in _SLOTS_KEYS:
        if facts.written("pools", pool, key) is not None:
            says = {
                "slots": "engine.max_batch says how many requests run at once",
                "service": "the engine's steps say how long requests take",
                "batching": "the engine makes up its own batches",
                "switch": "it serves one model",
            }[key]
            message = f"A pool with an engine has no {key}: {says}."
            path = ("pools", pool, key)
            yield facts.document.problem(path, message, f"Remove {key}, or engine.", at_key=True)


def _beside_batching(facts: Facts, pool: str) -> Iterator[Problem]:
    for key in ("slots", "switch"):
        if facts.written("pools", pool, key) is not None:
            message = f"A pool with batching has no {key}: it works on one batch at a time."
            path = ("pools", pool, key)
            yield facts.document.problem(path, message, f"Remove {key}, or batching.", at_key=True)
    if facts.written("pools", pool, "service", "tokens_per_second") is None:
        message = "The service of a pool with batching says how long a batch takes."
        remedy = "Write service: {base: 5ms, tokens_per_second: 62100}, or remove batching."
        yield facts.document.problem(("pools", pool, "service"), message, remedy)


def wrong_engines(facts: Facts) -> Iterator[Problem]:
    """Yield a problem for every engine whose settings do not fit together."""
    for pool in facts.pools:
        if isinstance(facts.written("pools", pool, "engine"), dict):
            yield from _sources_of_steps(facts, pool)
            yield from _missing_cache(facts, pool)
            yield from _small_budget(facts, pool)
            yield from _small_cache(facts, pool)


def _sources_of_steps(facts: Facts, pool: str) -> Iterator[Problem]:
    """Yield a problem unless exactly one of profile, table and coefficients gives the steps."""
    path = ("pools", pool, "engine")
    given = [key for key in ("profile", "table") if facts.written(*path, key) is not None]
    coefficients = [key for key in ("prefill", "decode") if facts.written(*path, key) is not None]
    if not given and not coefficients:
        message = "The engine does not say how long its steps take."
        remedy = f"Add profile: {profile_names()[0]}, or prefill and decode, or table: steps.csv."
        yield facts.document.problem(path, message, remedy)
    elif not given and len(coefficients) == 1:
        other = "decode" if coefficients == ["prefill"] else "prefill"
        message = f"The engine has {coefficients[0]}, but no {other}."
        example = "{d0: 6.37ms, d1: 10.1us, d2: 44ns}" if other == "decode" else "{p1: 19.25us}"
        yield facts.document.problem(path, message, f"Add {other}: {example}.")
    for key in [*given[1:], *(coefficients if given else ())]:
        message = f"The {given[0]} says already how long steps take."
        remedy = f"Remove {key}, or {given[0]}."
        yield facts.document.problem((*path, key), message, remedy, at_key=True)


def _missing_cache(facts: Facts, pool: str) -> Iterator[Problem]:
    path = ("pools", pool, "engine")
    if facts.written(*path, "profile") is None and facts.written(*path, "kv_capacity") is None:
        message = "The engine does not say how many tokens its KV cache holds."
        remedy = "Add kv_capacity, such as kv_capacity: 455000."
        yield facts.document.problem(path, message, remedy)


def _small_budget(facts: Facts, pool: str) -> Iterator[Problem]:
    path = ("pools", pool, "engine")
    budget, batch = (facts.value(*path, key) for key in ("token_budget", "max_batch"))
    if budget is None or batch is None or budget >= batch:
        return
    stated = "token_budget" if facts.written(*path, "token_budget") is not None else "max_batch"
    message = (
        f"A step may compute {budget:,} tokens, and up to {batch:,} requests run, each of which "
        "takes one."
    )
    remedy = f"Raise token_budget to {batch} or more, or lower max_batch to {budget}."
    yield facts.document.problem((*path, stated), message, remedy)


def _small_cache(facts: Facts, pool: str) -> Iterator[Problem]:
    path = ("pools", pool, "engine", "kv_capacity")
    capacity, block = facts.at(*path), facts.value(*path[:-1], "block_tokens")
    if capacity is not None and block is not None and capacity < block:
        message = f"A cache of {capacity} tokens holds no block of {block} tokens."
        remedy = "Raise kv_capacity, or lower block_tokens."
        yield facts.document.problem(path, message, remedy)
