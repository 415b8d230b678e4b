"""Attempts that were served where they must not be: for their data, or by another model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsim.federation.contracts import PrivacyLevel
from fedsim.results.tables import Tables
from fedsim.world.observer import Directory

Rows = NDArray[np.integer[Any]]


def privacy_violations(tables: Tables, directory: Directory) -> Rows:
    """Return the rows of the attempts that violated the privacy of their request.

    An attempt did where its node held it in a slot, to the end or not, and the node's region may
    only hold data less private than the request's.
    """
    levels = [int(level) for level in directory.region_privacy]
    allowed = np.array([*levels, max(PrivacyLevel)], dtype=np.int8)
    allowed = allowed[tables.values("attempts", "region")]
    strictest = max((int(stream.privacy) for stream in directory.streams), default=0)
    suspects = np.flatnonzero(_held(tables) & (allowed < strictest))
    if not len(suspects):
        return suspects
    asked = tables.values("requests", "privacy")[tables.request_rows[suspects]]
    guilty: Rows = suspects[allowed[suspects] < asked]
    return guilty


def model_violations(tables: Tables, directory: Directory) -> Rows:
    """Return the rows of the attempts that were served by another model than their request names.

    An attempt was where its node held it in a slot, to the end or not, and the node serves another
    model than the one that the request's stream asks for.
    """
    numbers: dict[str | None, int] = {None: -1}
    asked = [numbers.setdefault(stream.model, len(numbers)) for stream in directory.streams]
    served = [numbers.setdefault(node.model, len(numbers)) for node in directory.nodes]
    if max(asked, default=-1) < 0:
        return np.zeros(0, dtype=np.intp)
    wanted = np.array(asked)[tables.values("requests", "stream")]
    wanted = wanted[tables.request_rows]
    at = np.array(served)[tables.values("attempts", "node")]
    return np.flatnonzero(_held(tables) & (wanted >= 0) & (at != wanted))


VIOLATIONS: Mapping[str, Callable[[Tables, Directory], Rows]] = {
    "privacy_violations": privacy_violations,
    "model_violations": model_violations,
}
"""Finds the rows of the attempts that a measure counts."""


def _held(tables: Tables) -> NDArray[np.bool_]:
    held: NDArray[np.bool_] = tables.values("attempts", "service_s") > 0.0
    return held | tables.are("attempts", "ok")
