"""The digest of a run: equal for equal tables, and changed by any bit of them.

It is a blake2b over the tables requests, attempts and events, in this order. Each contributes its
name and number of rows, then its columns from left to right: the column's name, then

- floats as little-endian IEEE 754 doubles, every NaN with the same bits;
- integers and booleans as a bit per row that says whether it is missing, eight to a byte, and then
  as little-endian 64-bit integers, 0 where missing;
- categories as the names that occur, in the order of the categories, then a 32-bit code per row,
  -1 for missing;
- texts in UTF-8, each ended by a zero byte, a missing one written as a byte of one.

Names of nodes, streams or tenants that no row mentions do not count. ``nodes`` is left out, so that
sampling more often does not change a digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsim.results.columns import TABLES
from fedsim.results.rows import Column
from fedsim.results.tables import Tables

DIGESTED = ("requests", "attempts", "events")
"""The tables that a digest is made from, in order."""

_CHUNK_ROWS = 65536


def digest(tables: Tables) -> str:
    """Return the digest of a run as 32 hexadecimal digits."""
    state = blake2b(digest_size=16)
    for name in DIGESTED:
        state.update(f"{name} {tables.count(name)}\n".encode())
        for column in TABLES[name].shown:
            state.update(f"{column.name}\n".encode())
            for data in _column(tables, name, column):
                state.update(data)
    return state.hexdigest()


def _column(tables: Tables, name: str, column: Column) -> Iterator[bytes]:
    dtype, values = column.kind.dtype, tables.values(name, column.name)
    if dtype == "category":
        yield from _categories(values, tables.labels(name, column.name))
        return
    whole = dtype not in {"str", "float64"}
    if whole:
        missing = values < 0 if column.kind.can_miss else np.zeros(len(values), dtype=bool)
        yield np.packbits(missing).tobytes()
    for start in range(0, len(values), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        if whole:
            yield np.where(missing[rows], 0, values[rows]).astype("<i8").tobytes()
        elif dtype == "str":
            yield _texts(tables.texts(name, column.name, rows))
        else:
            floats = np.array(values[rows], dtype="<f8")
            floats[np.isnan(floats)] = np.nan
            yield floats.tobytes()


def _texts(values: Iterable[Any]) -> bytes:
    return "".join(f"{value}\0" if isinstance(value, str) else "\1\0" for value in values).encode()


def _categories(values: NDArray[Any], labels: list[str]) -> Iterator[bytes]:
    codes = values
    if values.dtype == object:
        places = {label: code for code, label in enumerate(labels)}
        codes = np.array([places.get(label, -1) for label in values.tolist()], dtype=np.int32)
    used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(labels)))
    yield _texts(labels[code] for code in used.tolist())
    renumbered: NDArray[np.int32] = np.full(len(labels) + 1, -1, dtype="<i4")
    renumbered[used] = np.arange(len(used))
    yield renumbered[codes].tobytes()
