"""What is compared: one strategy or router each, under a name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from fedsim.errors import Problem, ScenarioError
from fedsim.federation.contracts import LoadBalanceStrategy
from fedsim.results.run import Run
from fedsim.scenario.installed import STRATEGY, is_name, names
from fedsim.scenario.simulate import simulate
from fedsim.scenario.spec import CompareSpec, Scenario


@dataclass(frozen=True, slots=True)
class Variant:
    """A scenario with one thing exchanged.

    Attributes:
        name: What tables and charts call it.
        strategy: Name, ``module:Class``, class or object for our router, or None.
        router: ``module:Class``, ``<adapter>/<choice>``, class or object in place of our router,
            or None for ours.
    """

    name: str
    strategy: Any = None
    router: Any = None

    def run(
        self, scenario: Scenario, seed: int, progress: Callable[[float], None] | None = None
    ) -> Run:
        """Run *scenario* once with this variant."""
        text = self.router if isinstance(self.router, str) else None
        return simulate(
            _with_router(scenario, text),
            seed=seed,
            strategy=self.strategy,
            router=self.router,
            progress=progress,
        )


def variants(
    scenario: Scenario,
    strategies: Iterable[Any] | None = None,
    routers: Mapping[str, Any] | None = None,
) -> tuple[Variant, ...]:
    """Return what is to be compared: strategies first, then routers, in the order given.

    Args:
        scenario: Says what to compare where *strategies* is None; its router is compared too.
        strategies: Built-in names, ``module:Class`` texts, classes or objects.
        routers: ``module:Class`` or ``<adapter>/<choice>`` texts, classes or objects by name.

    Raises:
        ScenarioError: There is nothing to compare, a name is unknown or stands for two.
    """
    named = dict(routers or {})
    own_router = scenario.federation.router
    if strategies is None:
        spec = scenario.compare or CompareSpec()
        strategies = spec.strategies
        named = {name: name for name in spec.routers} | named
        if own_router is not None:
            named.setdefault(own_router, own_router)
    found = [_strategy(strategy) for strategy in strategies]
    found += [Variant(name, router=router) for name, router in named.items()]
    if not found:
        message = "There is nothing to compare."
        raise _wrong(message, "Name at least one strategy or router.")
    names = [variant.name for variant in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        message = f"Two of the strategies and routers to compare are called {twice!r}."
        raise _wrong(message, "Name each once, and a router by a name of its own.")
    return tuple(found)


def require_known(name: str, variants: Sequence[Variant]) -> None:
    """Check that *name* is one of the variants'.

    Raises:
        ScenarioError: It is not.
    """
    names = [variant.name for variant in variants]
    if name not in names:
        close = get_close_matches(name, names, 1)
        hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(names)}."
        message = f"The baseline {name!r} is not among what is compared."
        raise _wrong(message, hint)


def _strategy(strategy: Any) -> Variant:
    if isinstance(strategy, LoadBalanceStrategy):
        strategy = strategy.value
    if not isinstance(strategy, str):
        kind = strategy if isinstance(strategy, type) else type(strategy)
        return Variant(kind.__qualname__.rpartition(".")[2], strategy)
    if ":" not in strategy and not is_name(STRATEGY, strategy):
        known = names(STRATEGY)
        close = get_close_matches(strategy, known, 1)
        hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(known)}."
        message = f"There is no strategy {strategy!r}."
        raise _wrong(message, f"{hint} One of your own is written module:Class.")
    return Variant(strategy, strategy)


def _wrong(message: str, remedy: str) -> ScenarioError:
    return ScenarioError([Problem(message, remedy)])


def _with_router(scenario: Scenario, router: str | None) -> Scenario:
    """Return the same scenario with another router, ``module:Class`` or None for ours."""
    if scenario.federation.router == router:
        return scenario
    federation = scenario.resolved["federation"]
    assert isinstance(federation, Mapping)
    named = {key: value for key, value in federation.items() if key != "router"}
    if router is not None:
        named["router"] = router
    return replace(
        scenario,
        federation=replace(scenario.federation, router=router),
        resolved={**scenario.resolved, "federation": named},
    )
