"""Regression tests of routing: scenes, checks of routers, and assertions on runs.

``fedsim test`` and the pytest plugin test what scenarios expect of themselves; see
``docs/testing.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = [
    "RouterCheck",
    "Scene",
    "assert_decisions_unchanged",
    "assert_no_worse",
    "assert_slo",
    "check_router",
    "scene",
]

if TYPE_CHECKING:
    from fedsim.testing.assertions import (
        assert_decisions_unchanged,
        assert_no_worse,
        assert_slo,
    )
    from fedsim.testing.checks import RouterCheck, check_router
    from fedsim.testing.scenes import Scene, scene

_PLACES = {
    "RouterCheck": "checks",
    "Scene": "scenes",
    "assert_decisions_unchanged": "assertions",
    "assert_no_worse": "assertions",
    "assert_slo": "assertions",
    "check_router": "checks",
    "scene": "scenes",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for: pytest loads this package at every start."""
    place = _PLACES.get(name)
    if place is None:
        msg = f"module 'fedsim.testing' has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    return getattr(import_module(f"fedsim.testing.{place}"), name)


def __dir__() -> list[str]:
    return __all__
