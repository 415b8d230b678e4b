"""Columns of a DataFrame from recorded arrays, with as few copies as possible."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedsim.world.observer import Directory

if TYPE_CHECKING:
    from pandas import Categorical, CategoricalDtype
    from pandas.api.extensions import ExtensionArray

_CHUNK_ROWS = 65536


def view(column: array[Any], rows: int) -> NDArray[Any]:
    """Return the first *rows* of a column without a copy."""
    return np.asarray(column)[:rows]


def categorical(codes: NDArray[Any], dtype: CategoricalDtype) -> Categorical:
    """Return the categories that *codes* stand for; -1 is missing."""
    import pandas as pd

    return pd.Categorical.from_codes(codes, dtype=dtype)


def mapped(codes: NDArray[Any], names: Sequence[str], dtype: CategoricalDtype) -> Categorical:
    """Return what *names* says of each code; -1 stays missing."""
    positions = {name: position for position, name in enumerate(dtype.categories)}
    target = np.array([*(positions[name] for name in names), -1])
    small = target.astype(np.min_scalar_type(-max(len(positions), 1)))
    return categorical(small[codes], dtype)


def request_ids(
    stream: NDArray[Any],
    index: NDArray[Any],
    directory: Directory,
    rows: NDArray[Any] | None = None,
) -> ExtensionArray:
    """Return the names of all requests, or of those in *rows*, a chunk at a time."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    prefixes = pa.array([item.request_id(0)[:-1] for item in directory.streams], pa.large_string())
    separator = pa.scalar("", pa.large_string())
    chunks = []
    total = len(stream if rows is None else rows)
    for start in range(0, total, _CHUNK_ROWS):
        piece = slice(start, start + _CHUNK_ROWS)
        part = piece if rows is None else rows[piece]
        prefix = prefixes.take(pa.array(stream[part]))
        number = pc.cast(pa.array(index[part]), pa.large_string())
        chunks.append(pc.binary_join_element_wise(prefix, number, separator))
    ids: ExtensionArray = pd.array(pa.chunked_array(chunks, pa.large_string()), dtype="str")
    return ids


def integers(values: NDArray[np.int32]) -> ExtensionArray:
    """Return integers in which -1 stands for missing."""
    import pandas as pd

    return pd.arrays.IntegerArray(values, values < 0)
