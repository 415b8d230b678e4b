"""Strategies, policies and routers that installed packages offer by a name of their own.

A package offers one as an entry point of the group ``fedsim.strategies``, ``fedsim.policies`` or
``fedsim.routers``. Names are read from the packages' metadata; a class is imported when a scenario
names it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from fedsim.errors import PlugInError, in_words
from fedsim.federation.policies import POLICIES
from fedsim.federation.strategies.registry import STRATEGIES


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of plug-in that may have a name.

    Attributes:
        noun: What it is called.
        group: The group of its entry points.
        built_in: The built-in names.
    """

    noun: str
    group: str
    built_in: tuple[str, ...]


STRATEGY = Kind("strategy", "fedsim.strategies", tuple(STRATEGIES))
POLICY = Kind("policy", "fedsim.policies", tuple(POLICIES))
ROUTER = Kind("router", "fedsim.routers", ())

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)


def names(kind: Kind) -> list[str]:
    """Return the names of a kind: the built-in ones, then those of installed packages.

    Raises:
        PlugInError: An installed name is one of ours, is offered twice, or cannot be a name.
    """
    return [*kind.built_in, *_installed(kind)]


def is_name(kind: Kind, name: str) -> bool:
    """Return whether *name* is one of ours, or offered by an installed package.

    Raises:
        PlugInError: As `names`.
    """
    found = _installed(kind)
    return name in kind.built_in or name in found


def module_offering(name: str) -> str | None:
    """Return the module of what installed packages offer by *name*, of any kind; None for none.

    What is wrong with the names of a kind is for those to say that ask for one of it.
    """
    for kind in (STRATEGY, POLICY, ROUTER):
        with suppress(PlugInError):
            entry = _installed(kind).get(name)
            if entry is not None:
                return entry.module
    return None


def load_installed(kind: Kind, name: str) -> Any:
    """Import what an installed package offers by *name*.

    Raises:
        PlugInError: As `names`; or no package offers it, or its import fails.
    """
    entry = _installed(kind).get(name)
    if entry is None:
        known = names(kind)
        listed = f"use one of {', '.join(known)}, or write" if known else "write"
        problem = f"there is no such {kind.noun}; {listed} module:Class"
        raise PlugInError(name, problem)
    try:
        return entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        problem = f"importing {entry.value} failed with {in_words(error)}"
        raise PlugInError(name, f"{problem}; {_source(entry)} offers it") from error


def _installed(kind: Kind) -> Mapping[str, EntryPoint]:
    return _scan(kind, tuple(sys.path))


@lru_cache(maxsize=16)
def _scan(kind: Kind, _: tuple[str, ...]) -> Mapping[str, EntryPoint]:
    """Return the entry points of a kind by name, for a search path of Python's."""
    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=kind.group), key=lambda each: (each.name, each.value)):
        problem = _problem(kind, entry, found)
        if problem:
            raise PlugInError(entry.name, f"{problem}; rename it there, or remove the package")
        found[entry.name] = entry
    return found


def _problem(kind: Kind, entry: EntryPoint, before: Mapping[str, EntryPoint]) -> str | None:
    """Return in words what is wrong with the name of an entry point, or None."""
    offer = f"{_source(entry)} offers a {kind.noun} of this name"
    if entry.name in kind.built_in:
        return f"{offer}, which is the name of one of ours"
    if entry.name in before:
        return f"{offer}, and so does {_source(before[entry.name])}"
    if not _NAME.fullmatch(entry.name):
        return f"{offer}, which is not made of letters, digits, '.', '_' and '-'"
    return None


def _source(entry: EntryPoint) -> str:
    return f"the package {entry.dist.name}" if entry.dist else "a package"
