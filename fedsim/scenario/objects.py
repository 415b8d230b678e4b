"""Python objects where a scenario file has ``module:Class``: the text in place of each.

A class that can be imported is written as ``module:Class``, so that a saved scenario means the same
again. One that cannot (defined in a function or a notebook cell), and any object that is no class,
gets a text that no file can mean, such as ``<object my_routers:Sticky>``; reading it back without
the object is an error that names it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from operator import attrgetter
from typing import Any

from fedsim.errors import Problem
from fedsim.scenario.facts import Facts
from fedsim.scenario.source import KeyPath, dotted

PLACES = ("federation", "pools", "compare", "plan")
"""The parts of a scenario in which an object may stand."""

_UNIMPORTABLE = ("__main__", "__mp_main__")


def text_for(value: object, known: Mapping[str, Any]) -> str:
    """Return the text in place of *value*; *known* are the objects that have one, by it."""
    text = _import_name(value)
    if text is not None:
        return text
    own = isinstance(getattr(value, "__qualname__", None), str)
    named: Any = value if own else type(value)
    kind = "class" if isinstance(value, type) else "object"
    stem = f"{kind} {named.__module__}:{named.__qualname__}"
    number, text = 1, f"<{stem}>"
    while text in known and known[text] is not value:
        number += 1
        text = f"<{stem} {number}>"
    return text


def is_given(text: object) -> bool:
    """Return whether *text* is in place of an object that no import gives."""
    return isinstance(text, str) and text.startswith(("<class ", "<object ")) and text[-1] == ">"


def given_in(tree: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Yield the texts in *tree* in place of objects, each with the path to give it at again.

    An object that is a key, as a policy is, is given with the mapping that holds it.
    """
    if is_given(tree):
        yield path, tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            if is_given(key):
                yield path, key
            yield from given_in(value, (*path, key))
    elif isinstance(tree, list):
        for number, value in enumerate(tree):
            yield from given_in(value, (*path, number))


def missing_objects(facts: Facts) -> Iterator[Problem]:
    """Yield a problem for each object that a scenario names and that was not given."""
    document = facts.document
    for part in PLACES:
        for path, text in given_in(facts.written(part), (part,)):
            if text not in document.objects:
                message = f"{text} was given in Python, and no file holds it."
                remedy = f"Give it again in Python, as {{{dotted(path)!r}: ...}}."
                yield document.problem(path, message, remedy)


def _import_name(value: Any) -> str | None:
    """Return ``module:Class`` where that imports *value*, or None."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module in _UNIMPORTABLE:
        return None
    try:
        same = find_spec(module) is not None and attrgetter(name)(sys.modules[module]) is value
    except (ImportError, ValueError, AttributeError, KeyError):
        return None
    return f"{module}:{name}" if same else None
