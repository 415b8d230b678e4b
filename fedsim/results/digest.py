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
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedsim.results.tables import Tables

if TYPE_CHECKING:
    from pandas import DataFrame, Series

DIGESTED = ("requests", "attempts", "events")
"""The tables that a digest is made from, in order."""

_CHUNK_ROWS = 65536


def digest(tables: Tables) -> str:
    """Return the digest of a run as 32 hexadecimal digits."""
    state = blake2b(digest_size=16)
    for name in DIGESTED:
        for data in _table(name, tables[name]):
            state.update(data)
    return state.hexdigest()


def _table(name: str, table: DataFrame) -> Iterator[bytes]:
    yield f"{name} {len(table)}\n".encode()
    for column in table.columns:
        yield f"{column}\n".encode()
        yield from _column(table[column])


def _column(values: Series[Any]) -> Iterator[bytes]:
    import pandas as pd

    if isinstance(values.dtype, pd.CategoricalDtype):
        yield from _categories(values)
        return
    if not isinstance(values.dtype, pd.StringDtype) and values.dtype.kind in "biu":
        yield np.packbits(values.isna().to_numpy()).tobytes()
    for start in range(0, len(values), _CHUNK_ROWS):
        chunk = values.iloc[start : start + _CHUNK_ROWS]
        if isinstance(values.dtype, pd.StringDtype):
            yield _texts(chunk.tolist())
        elif values.dtype.kind == "f":
            floats = np.array(chunk, dtype="<f8")
            floats[np.isnan(floats)] = np.nan
            yield floats.tobytes()
        else:
            yield chunk.to_numpy(dtype="<i8", na_value=0).tobytes()


def _texts(values: Iterable[Any]) -> bytes:
    return "".join(f"{value}\0" if isinstance(value, str) else "\1\0" for value in values).encode()


def _categories(values: Series[Any]) -> Iterator[bytes]:
    codes = values.cat.codes.to_numpy()
    names = list(values.cat.categories)
    used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(names)))
    yield _texts(names[code] for code in used.tolist())
    renumbered: NDArray[np.int32] = np.full(len(names) + 1, -1, dtype="<i4")
    renumbered[used] = np.arange(len(used))
    yield renumbered[codes].tobytes()
