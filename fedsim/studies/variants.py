"""What is compared: one strategy or router each, as changes of a scenario under a name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from fedsim.errors import Problem, ScenarioError
from fedsim.federation.contracts import LoadBalanceStrategy
from fedsim.scenario.spec import CompareSpec, Scenario
from fedsim.studies.cells import Cell
from fedsim.studies.git import Commits

_OF_OUR_ROUTER = ("outliers", "panic", "slow_start")
"""Keys of the federation that our router alone has, and that are off with another."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A scenario with something changed.

    Attributes:
        name: What tables and charts call it.
        changes: What is changed, as by `Scenario.changed`.
        lost: What the scenario asks for and this variant cannot have, as sentences.
        commit: The hash of the commit that its plug-ins come from; empty for what is there now.
    """

    name: str
    changes: Mapping[str, Any]
    lost: tuple[str, ...] = ()
    commit: str = ""

    @property
    def cell(self) -> Cell:
        """The variant in the first replication."""
        return Cell({"strategy": self.name}, self.changes, 0, self.lost, self.commit)


def variants(
    scenario: Scenario,
    strategies: Iterable[Any] | None = None,
    routers: Mapping[str, Any] | None = None,
) -> tuple[Variant, ...]:
    """Return what is to be compared: strategies first, then routers, in the order given.

    Args:
        scenario: Says what to compare where *strategies* is None; its router is compared too.
        strategies: Built-in names, ``module:Class`` texts, classes or objects.
        routers: ``module:Class``, ``git:REF:module:Class`` or ``<adapter>/<choice>`` texts, classes
            or objects by name.

    Raises:
        ScenarioError: There is nothing to compare, two have the same name, or a variant makes no
            scenario.
    """
    found = _chosen(scenario, strategies, routers)
    for variant in found:
        scenario.changed(variant.changes)
    return tuple(found)


def compared(scenario: Scenario) -> list[Scenario]:
    """Return a scenario with each of the changes that it compares.

    Raises:
        ScenarioError: As of `variants`.
    """
    return [scenario.changed(variant.changes) for variant in _chosen(scenario, None, None)]


def _chosen(
    scenario: Scenario, strategies: Iterable[Any] | None, routers: Mapping[str, Any] | None
) -> list[Variant]:
    """Return what is to be compared, not known yet to make scenarios."""
    named = dict(routers or {})
    own_router = scenario.federation.router
    if strategies is None:
        spec = scenario.compare or CompareSpec()
        strategies = spec.strategies
        named = {name: name for name in spec.routers} | named
        if own_router is not None:
            named.setdefault(own_router, own_router)
    found = [_strategy(scenario, strategy) for strategy in strategies]
    found += [_router(scenario, name, router) for name, router in named.items()]
    if not found:
        message = "There is nothing to compare."
        raise _wrong(message, "Name at least one strategy or router.")
    names = [variant.name for variant in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        message = f"Two of the strategies and routers to compare are called {twice!r}."
        raise _wrong(message, "Name each once, and a router by a name of its own.")
    return found


def require_known(name: str, variants: Sequence[Variant]) -> None:
    """Check that *name* is one of the variants'.

    Raises:
        ScenarioError: It is not.
    """
    names = [variant.name for variant in variants]
    if name not in names:
        close = get_close_matches(str(name), names, 1)
        hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(names)}."
        message = f"The baseline {name!r} is not among what is compared."
        raise _wrong(message, hint)


def _strategy(scenario: Scenario, strategy: Any) -> Variant:
    changes = {"federation.strategy": strategy}
    if scenario.federation.router is not None:
        changes["federation.router"] = None
    if isinstance(strategy, LoadBalanceStrategy):
        strategy = strategy.value
    if isinstance(strategy, str):
        return Variant(strategy, changes)
    kind = strategy if isinstance(strategy, type) else type(strategy)
    return Variant(kind.__qualname__.rpartition(".")[2], changes)


def _router(scenario: Scenario, name: str, router: Any) -> Variant:
    """Return the variant of a router, with which the parts of ours are off."""
    federation = scenario.resolved["federation"]
    assert isinstance(federation, Mapping)
    off = [key for key in _OF_OUR_ROUTER if federation.get(key, "off") != "off"]
    changes = {f"federation.{key}": "off" for key in off}
    lost = (f"federation.{key} is off for it: only the built-in router has {key}." for key in off)
    plain, commit = Commits(scenario.plugin_directory).resolved({"federation.router": router})
    return Variant(name, plain | changes, tuple(lost), commit)


def _wrong(message: str, remedy: str) -> ScenarioError:
    return ScenarioError([Problem(message, remedy)])
