"""Finds the plug-ins that a scenario names, as ``module:Class`` or by an installed name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from fedsim.errors import PlugInError, in_words
from fedsim.scenario.adapters import find_router, is_adapted
from fedsim.scenario.installed import POLICY, ROUTER, STRATEGY, Kind, load_installed
from fedsim.scenario.spec import FederationSpec, Scenario
from fedsim.world.plugins import plugin_name

Find = Callable[[str, Kind | None], Any]
"""Returns the plug-in that a text of a scenario names, given its kind where kinds have names."""


def finder(scenario: Scenario) -> Find:
    """Return what finds the plug-ins of *scenario*: those given in Python, or else by import."""
    objects, directory = scenario.objects, scenario.plugin_directory

    def find(text: str, kind: Kind | None) -> Any:
        return objects[text] if text in objects else find_plugin(text, directory, kind)

    return find


def single(plugin: Any, spec: FederationSpec) -> Any:
    """Return *plugin*, which is not one object for several gateways.

    Raises:
        PlugInError: It is.
    """
    if sum(spec.gateways.values()) > 1 and not isinstance(plugin, type):
        problem = (
            "is a single object, but the scenario has several gateways, each of which needs "
            "its own; give the class instead"
        )
        raise PlugInError(plugin_name(plugin), problem)
    return plugin


def names_plugins(spec: FederationSpec) -> bool:
    """Return whether a federation has any part that is not built in."""
    watchers = [each for each in (spec.health, spec.circuit_breaker) if isinstance(each, str)]
    return (
        any((spec.router, spec.retry_policy, spec.middleware, watchers))
        or spec.strategy not in STRATEGY.built_in
        or any(policy not in POLICY.built_in for policy in spec.policies)
    )


def find_plugin(plugin: str, directory: Path, kind: Kind | None = None) -> Any:
    """Return the class that a text names.

    Modules are looked for where Python looks, in the current directory, and next to the scenario.

    Args:
        plugin: ``module:Class``, a name that an installed package offers, ``<adapter>/<choice>``
            for a router.
        directory: The scenario's directory.
        kind: What it is, where that has names.

    Raises:
        PlugInError: There is no such module, class or adapter, its import fails, or another module
            of that name was imported before.
    """
    if kind is ROUTER and is_adapted(plugin):
        return find_router(plugin, directory)
    if kind is not None and ":" not in plugin:
        return load_installed(kind, plugin)
    module_name, _, attribute = plugin.partition(":")
    if not module_name or not attribute:
        problem = "is not of the form module:Class, such as my_routers:Sticky"
        raise PlugInError(plugin, problem)
    try:
        with _importable(directory):
            found: Any = importlib.import_module(module_name)
            namesake = _namesake(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        problem = f"importing {module_name} failed with {in_words(error)}"
        if isinstance(error, ModuleNotFoundError) and error.name == module_name.partition(".")[0]:
            elsewhere = "" if directory.resolve() == Path.cwd() else f" or in {directory}"
            problem += f"; the module must be installed, or lie in the current directory{elsewhere}"
        raise PlugInError(plugin, problem) from error
    if namesake:
        problem = f"the module would be {namesake[0]}, but {namesake[1]} was imported by that name"
        raise PlugInError(plugin, f"{problem} already; give one of the two another name")
    for name in attribute.split("."):
        if not hasattr(found, name):
            problem = f"module {module_name} has no {attribute}"
            raise PlugInError(plugin, problem)
        found = getattr(found, name)
    return found


def _namesake(module_name: str) -> tuple[str, str] | None:
    """Return the file that an import would find now and the one that it gave, if they differ.

    Python imports a name once; ``routers.py`` next to a second scenario would be the first one's.
    """
    top = module_name.partition(".")[0]
    wanted = PathFinder.find_spec(top)
    given = getattr(sys.modules.get(top), "__file__", None)
    if top == "__main__" or wanted is None or wanted.origin is None or given is None:
        return None
    same = Path(wanted.origin).resolve() == Path(given).resolve()
    return None if same else (wanted.origin, given)


@contextmanager
def _importable(directory: Path) -> Generator[None]:
    """Let modules of the current directory and of *directory* be imported, behind all others."""
    places = [str(Path.cwd()), str(directory.resolve())]
    added = [place for place in dict.fromkeys(places) if place not in sys.path]
    sys.path.extend(added)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        for place in added:
            sys.path.remove(place)
