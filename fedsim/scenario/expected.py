"""Expectations of strategies and routers that a test of the scenario would not have.

They are no errors of the scenario as such: a variant of it, with another strategy, has them too.
"""

from __future__ import annotations

from collections.abc import Iterator

from fedsim.errors import Problem
from fedsim.scenario.schema.base import shown, suggestion
from fedsim.scenario.spec import CompareSpec, Scenario


def expected_problems(scenario: Scenario) -> list[Problem]:
    """Return what is wrong with the strategies and routers that a scenario's ``expect`` names."""
    return list(_problems(scenario))


def _problems(scenario: Scenario) -> Iterator[Problem]:
    spec = scenario.expect
    if spec is None or scenario.source is None:
        return
    document = scenario.source.document
    own = scenario.federation.router or scenario.federation.strategy
    if spec.best is not None:
        compare = scenario.compare or CompareSpec()
        names = list(dict.fromkeys([*compare.strategies, *compare.routers, own]))
        if spec.best not in names:
            message = f"{shown(spec.best)} is not among what is compared."
            yield document.problem(("expect", "best"), message, suggestion(spec.best, names))
    if spec.no_worse is not None and spec.no_worse.than == own:
        message = f"{own} is what the scenario runs itself."
        path = ("expect", "no_worse", "than")
        yield document.problem(path, message, "Name another strategy or router.")
