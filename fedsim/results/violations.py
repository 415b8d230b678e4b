"""Attempts that were served where their data must not be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedsim.federation.contracts import PrivacyLevel
from fedsim.results.sample import is_ok
from fedsim.results.tables import Tables
from fedsim.world.observer import Directory

if TYPE_CHECKING:
    from pandas import DataFrame


def privacy_violations(tables: Tables, directory: Directory) -> NDArray[np.integer[Any]]:
    """Return the rows of the attempts that violated the privacy of their request.

    An attempt did where its node held it in a slot, to the end or not, and the node's region may
    only hold data less private than the request's.
    """
    requests, attempts = tables.requests, tables.attempts
    levels = [int(level) for level in directory.region_privacy]
    allowed = np.array([*levels, max(PrivacyLevel)], dtype=np.int8)
    allowed = allowed[attempts["region"].cat.codes.to_numpy()]
    strictest = max((int(stream.privacy) for stream in directory.streams), default=0)
    suspects = np.flatnonzero(_held(attempts) & (allowed < strictest))
    if not len(suspects):
        return suspects
    asked = requests["privacy"].cat.codes.to_numpy()[tables.request_rows[suspects]]
    guilty: NDArray[np.integer[Any]] = suspects[allowed[suspects] < asked]
    return guilty


def _held(attempts: DataFrame) -> NDArray[np.bool_]:
    held: NDArray[np.bool_] = attempts["service_s"].to_numpy() > 0.0
    return held | is_ok(attempts)
