"""A discrete-event simulator of a federation of GPU inference nodes.

Example:
    >>> import fedsim
    >>> scenario = fedsim.load("scenarios/three-regions.yaml", {"pools.us-fast.count": 4})
    >>> run = fedsim.simulate(scenario, seed=1, strategy="round_robin")
    >>> comparison = fedsim.compare(scenario, replications=10)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedsim.version import __version__

__all__ = [
    "Comparison",
    "Explanation",
    "Headroom",
    "Plan",
    "Run",
    "Scenario",
    "Sweep",
    "__version__",
    "compare",
    "explain",
    "headroom",
    "load",
    "open",
    "plan",
    "simulate",
    "sweep",
]

if TYPE_CHECKING:
    from fedsim.results.run import Run
    from fedsim.scenario.explain import Explanation, explain
    from fedsim.scenario.load import load
    from fedsim.scenario.simulate import simulate
    from fedsim.scenario.spec import Scenario
    from fedsim.studies.compare import compare
    from fedsim.studies.comparison import Comparison
    from fedsim.studies.open import open
    from fedsim.studies.plan.headroom import Headroom, headroom
    from fedsim.studies.plan.planning import plan
    from fedsim.studies.plan.result import Plan
    from fedsim.studies.sweep import sweep
    from fedsim.studies.swept import Sweep

_PLACES = {
    "Comparison": "fedsim.studies.comparison",
    "Explanation": "fedsim.scenario.explain",
    "Headroom": "fedsim.studies.plan.headroom",
    "Plan": "fedsim.studies.plan.result",
    "Run": "fedsim.results.run",
    "Scenario": "fedsim.scenario.spec",
    "Sweep": "fedsim.studies.swept",
    "compare": "fedsim.studies.compare",
    "explain": "fedsim.scenario.explain",
    "headroom": "fedsim.studies.plan.headroom",
    "load": "fedsim.scenario.load",
    "open": "fedsim.studies.open",
    "plan": "fedsim.studies.plan.planning",
    "simulate": "fedsim.scenario.simulate",
    "sweep": "fedsim.studies.sweep",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for, so that ``fedsim --help`` starts fast."""
    place = _PLACES.get(name)
    if place is None:
        msg = f"module 'fedsim' has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    return getattr(import_module(place), name)


def __dir__() -> list[str]:
    return __all__
