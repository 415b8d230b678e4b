"""Parameters of which a few run always, and the others among the slow tests."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def others_slow(values: Iterable[Any], always: Collection[Any]) -> list[Any]:
    """Return *values* as parameters, those that are not in *always* marked as slow.

    Raises:
        ValueError: If one of *always* is not among *values*, as after a change of name.
    """
    found = list(values)
    missing = [value for value in always if value not in found]
    if missing:
        message = f"not among the parameters: {missing}"
        raise ValueError(message)
    return [value if value in always else _slow(value) for value in found]


def _slow(value: Any) -> Any:
    values = value if isinstance(value, tuple) else (value,)
    return pytest.param(*values, marks=pytest.mark.slow)
