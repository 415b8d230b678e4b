"""Checks a document against the models, and words what they object to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from fedsim.errors import Problem
from fedsim.scenario.emit import dump_inline
from fedsim.scenario.facts import Facts
from fedsim.scenario.schema.base import PROBLEM, Notes, Settings, Wording, listed, shown, suggestion
from fedsim.scenario.schema.root import ScenarioFile
from fedsim.scenario.source import Document, KeyPath, has

M = TypeVar("M", bound=Settings)


def validate(document: Document) -> tuple[ScenarioFile | None, Facts, list[Problem]]:
    """Return the document as a scenario, or None and everything that the models object to.

    What of it is valid is in the facts.
    """
    remedy = "Write regions, pools, workload and duration; all else has a default."
    return _checked(document, ScenarioFile, remedy)


def checked(document: Document, model: type[M], remedy: str) -> tuple[M | None, list[Problem]]:
    """Return the document as a *model*, or None and everything that the model objects to.

    Args:
        document: The document.
        model: What it should be.
        remedy: What to write into a file that is empty or no mapping.
    """
    file, _, problems = _checked(document, model, remedy)
    return file, problems


def _checked(
    document: Document, model: type[M], remedy: str
) -> tuple[M | None, Facts, list[Problem]]:
    if not isinstance(document.tree, dict):
        message = "The file is empty." if document.tree is None else "The file is not a mapping."
        return None, Facts(document), [document.problem((), message, remedy)]
    notes = Notes()
    try:
        file = model.model_validate(document.tree, context=notes)
    except ValidationError as failure:
        errors = failure.errors(include_url=False)
    else:
        return file, Facts(document, file, notes.models), []
    found = [_problem(document, notes, dict(error)) for error in errors]
    facts = Facts(document, None, notes.models, [path for path, _ in found])
    return None, facts, [problem for _, problem in found]


def _problem(document: Document, notes: Notes, error: dict[str, Any]) -> tuple[KeyPath, Problem]:
    """Return the place of an error, and the problem that it is."""
    kind = error["type"]
    path, of_key = _path(document.tree, error["loc"], kind)
    context = error.get("ctx", {})
    if kind == PROBLEM:
        if context["at"]:
            path = (*path, context["at"])
        return path, document.problem(path, context["message"], context["remedy"], at_key=of_key)
    if kind == "extra_forbidden":
        message, remedy = _unknown_key(_model_around(document.tree, notes, path), str(path[-1]))
        return path, document.problem(path, message, remedy, at_key=True)
    if kind == "missing":
        message, remedy = _missing_key(_model_around(document.tree, notes, path), str(path[-1]))
        return path, document.problem(path, message, remedy)
    message, remedy = _wording(kind, error["input"], context, error["msg"])
    return path, document.problem(path, message, remedy, at_key=of_key)


def _path(tree: Any, location: tuple[int | str, ...], kind: str) -> tuple[KeyPath, bool]:
    """Return the path of a pydantic location, without its tags, and whether it is of a key."""
    path: KeyPath = ()
    here = tree
    for number, step in enumerate(location, start=1):
        if step == "[key]":
            return path, True
        if has(here, step):
            here = here[step]
        elif kind != "missing" or number < len(location):
            continue
        path = (*path, step)
    return path, False


def _model_around(tree: Any, notes: Notes, path: KeyPath) -> type[Settings]:
    here = tree
    for step in path[:-1]:
        here = here[step]
    return notes.models[id(here)]


def _unknown_key(model: type[Settings], key: str) -> Wording:
    if key in model.lacks:
        return model.lacks[key]
    if key in model.unbuilt:
        return f"The key {key!r} is not built yet in this version.", model.unbuilt[key]
    keys = [field.alias or name for name, field in model.model_fields.items()]
    return f"There is no key {key!r} here.", suggestion(key, keys)


def _missing_key(model: type[Settings], key: str) -> Wording:
    examples = model.model_fields[key].examples
    example = f", for instance {key}: {dump_inline(examples[0])}" if examples else ""
    return f"The key {key!r} is missing.", f"Add it{example}."


def _wording(kind: str, value: object, context: Mapping[str, Any], fallback: str) -> Wording:
    """Return the wording for a pydantic error of a *kind* that it has itself."""
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", str(context["expected"]))
        remedy = suggestion(value, words)
        if remedy.startswith("Did you mean"):
            remedy += f" It can be {listed(words)}."
        return f"{shown(value)} is not known here.", remedy
    if kind in _BOUNDS:
        relation = _BOUNDS[kind]
        bound = context[_BOUND_KEYS[kind]]
        return f"{shown(value)} is too {relation[0]}.", f"Write {relation[1]} {bound:g}."
    if kind in _TYPES:
        noun, advise = _TYPES[kind]
        return f"{shown(value)} is not {noun}.", advise(value)
    if kind in {"too_short", "string_too_short"}:
        return _too_short(value, int(context["min_length"]))
    if kind == "too_long":
        return f"It has {context['actual_length']} entries.", f"Write {context['max_length']}."
    return f"{shown(value)} is wrong: {fallback}.", "Correct the value."


def _too_short(value: Any, least: int) -> tuple[str, str]:
    """Return message and remedy for a list, mapping or text that is too short."""
    if not value:
        wanted = "one entry" if least == 1 else f"{least} entries"
        return "It is empty.", f"Write at least {wanted}, or remove the key."
    count = "only one entry" if len(value) == 1 else f"only {len(value)} entries"
    return f"It has {count}.", f"Write {least}."


def _number_remedy(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"[-+0-9.eE_]+", value):
        return "Write a plain number, without quotes or underscores."
    if isinstance(value, float):
        return "Write it without a fraction."
    return "Write a plain number, without a unit."


def _share_remedy(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)? ?%", value):
        return f"Write a plain number: {value} is {float(value.rstrip('% ')) / 100.0:g}."
    return _number_remedy(value)


def _text_remedy(value: object) -> str:
    if isinstance(value, dict | list):
        return "Write a word."
    return f'Quote it if it is meant as text: "{shown(value)}".'


def _mapping_remedy(value: object) -> str:
    if value is True or value in ("on", "true", "yes"):  # may be a list, which no set holds
        return "Write {} for all defaults, or {key: value, …}."
    return _ENTRIES


_ENTRIES = "Write {key: value, …}; {} where there is nothing to say."


_BOUND_KEYS = {
    "greater_than": "gt",
    "greater_than_equal": "ge",
    "less_than": "lt",
    "less_than_equal": "le",
}
_BOUNDS = {
    "greater_than": ("small", "more than"),
    "greater_than_equal": ("small", "at least"),
    "less_than": ("large", "less than"),
    "less_than_equal": ("large", "at most"),
}
_WHOLE = ("a whole number", _number_remedy)
_NUMBER = ("a number", _share_remedy)
_TYPES: Mapping[str, tuple[str, Callable[[object], str]]] = {
    "model_type": ("a mapping", _mapping_remedy),
    "dict_type": ("a mapping", lambda _: _ENTRIES),  # without entries it means none, not defaults
    "list_type": ("a list", lambda _: "Write [first, second, …]; [] where there is none."),
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": _WHOLE,
    "float_type": _NUMBER,
    "finite_number": _NUMBER,
    "bool_type": ("true or false", lambda _: "Write true or false."),
    "string_type": ("text", _text_remedy),
}
