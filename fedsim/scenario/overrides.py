"""Changes: ``--set pools.us-chat.count=6``, applied to the tree before it is checked."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from difflib import get_close_matches
from enum import Enum
from os import PathLike, fspath
from typing import Any

from fedsim.errors import Problem, ScenarioError
from fedsim.scenario.objects import PLACES, text_for
from fedsim.scenario.source import Document, KeyPath, Place, dotted, has, parse_value

ORIGIN = "--set"
"""What stands in place of the file's name in problems with overrides."""

_POLICIES = ("federation", "policies")
_NAMED_BY_THE_USER = (("regions",), ("pools",), ("workload",))


def parse_assignment(text: str) -> tuple[str, object]:
    """Return path and value of ``PATH=VALUE``; the value is YAML, as in the file.

    Raises:
        ScenarioError: If there is no ``=`` or no path, or the value is not YAML.
    """
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        message = f"{text!r} is not of the form PATH=VALUE."
        remedy = "Write for instance --set pools.us-chat.count=6."
        raise ScenarioError([Problem(message, remedy, file=ORIGIN)])
    try:
        return path.strip(), parse_value(value, ORIGIN)
    except ScenarioError as error:
        raise ScenarioError([_of_value(each, path.strip()) for each in error.problems]) from None


def _of_value(problem: Problem, path: str) -> Problem:
    """Return a *problem* of a YAML text as one of the value at *path*, which has no lines."""
    message = problem.message.replace("The file", "The value", 1)
    return Problem(message, problem.remedy, path, ORIGIN)


def apply_overrides(document: Document, overrides: Mapping[str, object]) -> None:
    """Set each path of *overrides* in the document's tree to its value.

    What a path needs and is not there is created, except a region, pool or stream that is only
    entered, which is more likely a slip. A class or object gets a text in its place; a list
    of policies means a mapping without settings. Problems are added to the document's.
    """
    for text, value in overrides.items():
        try:
            path = _locate(document.tree, text)
            policies = path == _POLICIES and isinstance(value, list | tuple)
            _set(document, path, (_listed if policies else _plain)(value, document, path))
        except _WrongPathError as error:
            document.problems.append(Problem(error.message, error.remedy, text, ORIGIN))


def document_of(scenario: Mapping[str, object]) -> Document:
    """Return a scenario that is given as a mapping, as if it had been read from a file."""
    document = Document("", {})
    for key, value in scenario.items():
        try:
            document.tree[str(key)] = _plain(value, document, (str(key),))
        except _WrongPathError as error:
            document.problems.append(Problem(error.message, error.remedy, str(key)))
    return document


class _WrongPathError(ValueError):
    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy


def _locate(tree: Any, text: str) -> KeyPath:
    """Return the path that *text* means; a key with dots in it is found if it is there."""
    path: KeyPath = ()
    here = tree
    rest = text.split(".")
    while rest:
        taken, step = _step(here, rest, path)
        rest = rest[taken:]
        here = here[step] if has(here, step) else None
        path = (*path, step)
    return path


def _step(here: Any, rest: list[str], path: KeyPath) -> tuple[int, str | int]:
    """Return how many parts of *rest* the next step takes, and the step."""
    if isinstance(here, list):
        return 1, _index(here, rest[0], path)
    if isinstance(here, dict):
        for taken in range(len(rest), 0, -1):
            if ".".join(rest[:taken]) in here:
                return taken, ".".join(rest[:taken])
        if path in _NAMED_BY_THE_USER and len(rest) > 1:
            raise _unknown_name(here, rest[0], path)
    elif here is not None:
        message = f"{dotted(path)} is {here!r}, which has nothing inside."
        remedy = f"Set {dotted(path)} itself, or correct the path."
        raise _WrongPathError(message, remedy)
    return 1, rest[0]


def _index(here: list[Any], text: str, path: KeyPath) -> int:
    if text.isdecimal() and int(text) < len(here):
        return int(text)
    message = f"{dotted(path)} is a list of {len(here)}, which has no {text!r}."
    remedy = f"Count from 0 to {len(here) - 1}." if here else f"Set {dotted(path)} itself."
    raise _WrongPathError(message, remedy)


def _unknown_name(here: dict[str, Any], name: str, path: KeyPath) -> _WrongPathError:
    close = get_close_matches(name, list(here), 1)
    remedy = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(here) or 'none'}."
    return _WrongPathError(f"{dotted(path)} has no {name!r}.", remedy)


def _set(document: Document, path: KeyPath, value: Any) -> None:
    if not isinstance(document.tree, dict):
        document.tree = {}
    here: Any = document.tree
    for depth, step in enumerate(path[:-1], start=1):
        if not has(here, step) or here[step] is None:
            here[step] = {}
            _mark(document, path[:depth])
        here = here[step]
    here[path[-1]] = value
    _mark(document, path)


def _mark(document: Document, path: KeyPath) -> None:
    """Let everything at and under *path* stand in the override."""
    size = len(path)
    for places in (document.values, document.keys):
        for inner in [known for known in places if known[:size] == path]:
            del places[inner]
    document.values[path] = document.keys[path] = Place(ORIGIN)


def _plain(value: object, document: Document, path: KeyPath) -> Any:
    """Return *value* as the reader would have built it; *path* is where it is set."""
    if isinstance(value, Mapping):
        return {
            _key(key, document, path): _plain(inner, document, path) for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_plain(inner, document, path) for inner in value]
    value = value.value if isinstance(value, Enum) else value
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Real):
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    return fspath(value) if isinstance(value, PathLike) else _text(value, document, path)


def _listed(policies: Any, document: Document, path: KeyPath) -> dict[str, Any]:
    """Return a list of policies as the mapping that it means."""
    found: dict[str, Any] = {}
    for policy in policies:
        name = _key(policy, document, path)
        if name in found:
            message = f"The policy {name} is listed twice."
            raise _WrongPathError(message, "List it once.")
        found[name] = {}
    return found


def _key(value: object, document: Document, path: KeyPath) -> str:
    """Return *value* as the key of a mapping."""
    return str(value) if isinstance(value, str | int | float) else _text(value, document, path)


def _text(value: object, document: Document, path: KeyPath) -> str:
    """Return the text in place of a Python object, and keep the object."""
    if path[0] not in PLACES:
        message = f"A value of type {type(value).__name__} cannot stand in a scenario."
        raise _WrongPathError(message, "Give a number, a text, a list or a mapping.")
    text = text_for(value, document.objects)
    document.objects[text] = value
    return text
