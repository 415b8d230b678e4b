"""Finds what a scenario names as an adapter: ``litellm/least-busy``, ``pybreaker``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fedsim.adapters import BREAKERS, RETRIES, ROUTERS, Adapter
from fedsim.errors import PlugInError


def is_adapted(name: object) -> bool:
    """Return whether *name* has the form ``<adapter>/<choice>``."""
    return isinstance(name, str) and "/" in name


def find_router(name: str, directory: Path) -> type:
    """Return the class of the router that ``<adapter>/<choice>`` names.

    Args:
        name: Such as ``litellm/least-busy``.
        directory: The scenario's directory, which files of the user's are relative to.

    Raises:
        PlugInError: There is no such adapter or choice, or its package is not installed.
    """
    adapter, _, choice = name.partition("/")
    module = _module(name, adapter, ROUTERS, "router")
    found: type = _asked(name, module.router, choice, directory)
    return found


def find_breaker(name: str) -> type:
    """Return the class of circuit breakers that an adapter's *name* means.

    Raises:
        PlugInError: There is no such adapter, or its package is not installed.
    """
    module = _module(name, name, BREAKERS, "circuit breaker")
    found: type = _asked(name, module.breaker)
    return found


def find_retries(name: str, policy: object) -> Any:
    """Return the retry policy that ``<adapter>/<module:name>`` names.

    Args:
        name: Such as ``tenacity/my_retries:patient``.
        policy: The library's object, which the part behind the slash names.

    Raises:
        PlugInError: There is no such adapter, its package is not installed, or it cannot take the
            object.
    """
    adapter = name.partition("/")[0]
    return _asked(name, _module(name, adapter, RETRIES, "retry policy").retries, policy)


def _module(name: str, adapter: str, adapters: Mapping[str, Adapter], noun: str) -> Any:
    if adapter not in adapters:
        close = get_close_matches(adapter, adapters, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(adapters)}"
        problem = f"there is no adapter {adapter!r} of a {noun}; {hint}"
        raise PlugInError(name, problem)
    entry = adapters[adapter]
    try:
        return importlib.import_module(f"fedsim.adapters.{entry.module}")
    except ImportError as error:
        raise _missing(name, entry, error) from None


def _asked(name: str, function: Any, *args: Any) -> Any:
    """Call an adapter's function, whose errors are the user's."""
    try:
        return function(*args)
    except ValueError as error:
        raise PlugInError(name, str(error)) from None
    except ImportError as error:
        adapter = name.partition("/")[0]
        entry = {**ROUTERS, **BREAKERS, **RETRIES}[adapter]
        raise _missing(name, entry, error) from None


def _missing(name: str, entry: Adapter, error: ImportError) -> PlugInError:
    if not entry.extra:
        return PlugInError(name, f"it cannot be imported: {error}")
    problem = f"it needs the package {entry.package}, which cannot be imported ({error})"
    return PlugInError(name, f'{problem}; run: pip install "fedsim-routing[{entry.extra}]"')
