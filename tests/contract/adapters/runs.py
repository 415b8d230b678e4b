"""Runs of the scenarios of adapters, shortened."""

from __future__ import annotations

import random
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import pytest

import fedsim
from fedsim.results.run import Run

SCENARIOS = Path(__file__).resolve().parents[3] / "scenarios" / "adapters"


def run(name: str, **overrides: object) -> Run:
    """Run a scenario for half a minute; ``federation__router`` stands for federation.router."""
    keys = {key.replace("__", "."): value for key, value in overrides.items()}
    return fedsim.simulate(fedsim.load(SCENARIOS / f"{name}.yaml", {**SHORT, **keys}))


SHORT: Mapping[str, object] = {"duration": "30s", "warmup": "0s"}


def runs_alike(name: str, **overrides: object) -> Run:
    """Run a scenario twice, with the process's randomness elsewhere, and return the second run."""
    state = random.getstate()
    try:
        random.seed(1)  # noqa: TID251 - what the process does is no business of a run's
        first = run(name, **overrides)
        random.seed(2)  # noqa: TID251
        before = random.getstate()
        second = run(name, **overrides)
        assert random.getstate() == before
    finally:
        random.setstate(state)

    assert first.digest == second.digest
    return second


def needs(module: str) -> None:
    """Skip the test where a package is not installed."""
    pytest.importorskip(module)
    import_module(module)
