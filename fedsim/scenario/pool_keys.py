"""Says which weights and levels of pools, and which slow start, strategies do not go by."""

from __future__ import annotations

from collections.abc import Callable

from fedsim.federation.strategies.registry import STRATEGIES, Entry
from fedsim.scenario.spec import Scenario
from fedsim.world.nodes.config import PoolConfig

_KEYS: tuple[tuple[str, Callable[[Entry], bool], Callable[[PoolConfig], bool]], ...] = (
    ("weight", lambda entry: entry.weight, lambda pool: pool.weight != 1.0),
    ("priority", lambda entry: entry.priority, lambda pool: pool.priority != 0),
)


def keys_without_effect(scenario: Scenario) -> list[str]:
    """Return a sentence for each weight or priority of a pool, or slow start, that some ignore.

    Of strategies and routers that are not ours nothing is known, and nothing is said.
    """
    found = []
    for key, counts, is_given in _KEYS:
        ignoring = [name for name in _strategies(scenario) if not counts(STRATEGIES[name])]
        who = ", ".join(name for name, entry in STRATEGIES.items() if counts(entry))
        remedy = f"use one of {who}"
        if scenario.federation.preset != "default":
            ignoring = [f"the preset {scenario.federation.preset}"]
            remedy = "write preset: default"
        if ignoring:
            found += [
                f"pools.{pool.name}.{key} has no effect under {', '.join(ignoring)}: {remedy}, or "
                "remove the key."
                for pool in scenario.world.pools
                if is_given(pool)
            ]
    idle = [name for name in _strategies(scenario) if not STRATEGIES[name].slow_start]
    if scenario.federation.router_config.slow_start is not None and idle:
        found.append(
            f"federation.slow_start has no effect under {', '.join(idle)}: tenants or prompts keep "
            "their nodes there, or one node gets all. Use a strategy that goes by turns, weights, "
            "load or chance, or remove the key."
        )
    return found


def _strategies(scenario: Scenario) -> list[str]:
    """Return the strategies of ours that the scenario runs or compares."""
    federation = scenario.federation
    named = [] if federation.router else [federation.strategy]
    if scenario.compare is not None:
        named += scenario.compare.strategies
    return [name for name in dict.fromkeys(named) if name in STRATEGIES]
