"""Arguments of the Python interface that are of another kind than a call takes: what to write."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from numbers import Integral, Real
from os import PathLike
from typing import Any

from fedsim.errors import ArgumentError


def no_scenario(value: object, call: str) -> ArgumentError:
    """Return the error that a function of the name *call* is given *value* for a scenario."""
    hint = "Give what fedsim.load returns."
    if isinstance(value, str | PathLike):
        hint = f"Write fedsim.{call}(fedsim.load({str(value)!r}))."
    elif isinstance(value, Mapping):
        hint = f"Write fedsim.{call}(fedsim.load(...)) with the mapping in place of the dots."
    return _wrong(f"fedsim.{call} takes a scenario", value, hint)


def require_changes(value: object) -> None:
    """Check that *value* is a mapping from dotted paths, or None.

    Raises:
        ArgumentError: It is not.
    """
    hint = 'Write {"pools.us-chat.count": 6}.'
    if value is not None and not isinstance(value, Mapping):
        rule = "Changes are a mapping of values by dotted path"
        raise _wrong(rule, value, hint)
    for path in value or ():
        if not isinstance(path, str):
            rule = "A change is made at a dotted path, a text"
            raise _wrong(rule, path, hint)


def require_count(value: object, name: str) -> None:
    """Check that *value* is a whole number of 1 or more, or None.

    Raises:
        ArgumentError: It is not.
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if value is None or (whole and int(value) >= 1):  # type: ignore[call-overload]
        return
    message = f"{name} is a whole number of 1 or more, not {value!r}."
    raise ArgumentError(message, f"Write {name}=2, or leave it out.")


def require_executor(value: object) -> None:
    """Check that *value* is an executor, or None.

    Raises:
        ArgumentError: It is not.
    """
    if value is None:
        return
    from concurrent.futures import Executor

    if not isinstance(value, Executor):
        hint = "Write executor=ThreadPoolExecutor(4), or workers=4 for processes."
        rule = "executor is a concurrent.futures.Executor"
        raise _wrong(rule, value, hint)


def require_seeds(value: Any) -> None:
    """Check that *value* is a list of one or more seeds, each once, or None.

    Raises:
        ArgumentError: It is not.
    """
    if value is None:
        return
    good = isinstance(value, Sequence) and not isinstance(value, str) and len(value)
    if not good or not all(isinstance(each, Integral) and int(each) >= 0 for each in value):
        message = f"seeds is a list of one or more whole numbers of 0 or more, not {value!r:.60}."
        raise ArgumentError(message, "Write seeds=[7, 8, 9].")
    if len(set(value)) < len(value):
        message = f"seeds has a seed twice: {value!r:.60}."
        raise ArgumentError(message, "Give each replication a seed of its own.")


def require_between(value: object, name: str, low: float, high: float) -> None:
    """Check that *value* is a number above *low* and below *high*.

    Raises:
        ArgumentError: It is not.
    """
    number = isinstance(value, Real) and not isinstance(value, bool)
    if number and low < float(value) < high:  # type: ignore[arg-type]
        return
    limit = "" if math.isinf(high) else f" and below {high:g}"
    message = f"{name} is a number above {low:g}{limit}, not {value!r}."
    example = low + 0.02 if math.isinf(high) else (low + 9.0 * high) / 10.0
    raise ArgumentError(message, f"Write {name}={example:g}.")


def require_names(value: Any, name: str, example: str) -> None:
    """Check that *value* is a list or other iterable, and no text, mapping or set; or None.

    Raises:
        ArgumentError: It is not. The order of a set differs from process to process.
    """
    if value is None or (
        isinstance(value, Iterable) and not isinstance(value, str | Mapping | Set)
    ):
        return
    inside = repr(value) if isinstance(value, str) else example
    rule = f"{name} is a list"
    raise _wrong(rule, value, f"Write {name}=[{inside}].")


def require_by_name(value: object, name: str) -> None:
    """Check that *value* is a mapping from names that can be printed, or None.

    Raises:
        ArgumentError: It is not.
    """
    hint = f'Write {name}={{"mine": MyRouter}}: what tables and charts call each, and the router.'
    if value is not None and not isinstance(value, Mapping):
        rule = f"{name} is a mapping by name"
        raise _wrong(rule, value, hint)
    for key in value or ():
        if not isinstance(key, str) or not key.strip() or not key.isprintable():
            rule = f"A name in {name} is a text of printable characters"
            raise _wrong(rule, key, hint)


def require_choice(value: object, name: str, choices: tuple[str, ...]) -> None:
    """Check that *value* is one of some words.

    Raises:
        ArgumentError: It is not.
    """
    if value not in choices:
        words = " or ".join(repr(each) for each in choices)
        message = f"{name} is {words}, not {value!r}."
        raise ArgumentError(message, f"Write {name}={choices[0]!r}, or leave it out.")


def _wrong(rule: str, value: object, hint: str) -> ArgumentError:
    shown = repr(value) if isinstance(value, str | int | float | None) else _kind(value)
    return ArgumentError(f"{rule}, not {shown}.", hint)


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
