"""Puts a trace together from chunks of its columns.

Only numpy arrays are kept: 24 bytes a row for time and tokens, 8 for each block and each label.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fedsim.workload.traces.errors import TraceError, UnfitError
from fedsim.workload.traces.fields import Text
from fedsim.workload.traces.layout import Layout
from fedsim.workload.traces.trace import Blocks, Integers, Labels, Trace

Chunk = Mapping[str, Any]
"""An arrow array by column name."""


def gather(file: str, chunks: Iterable[Chunk], layout: Layout) -> Trace:
    """Return the trace that *chunks* of its columns make.

    Args:
        file: The file that it comes from, for the error.
        chunks: The columns, a part after the other.
        layout: What they are.

    Raises:
        UnfitError: A field is wrong, or the rows are not in the order of their times.
        TraceError: No row is left.
    """
    gatherer = _Gatherer(layout)
    for chunk in chunks:
        gatherer.add(chunk)
    if not gatherer.rows:
        message, remedy = "The trace has no rows.", "Give a trace with a row per request."
        if layout.where or gatherer.failures:
            message = "No row of the trace is left."
            remedy = "Correct where, or give a trace with requests that succeeded."
        raise TraceError(file, None, message, remedy)
    return gatherer.trace()


class _Gatherer:
    """Keeps the columns."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._columns: dict[str, _Column] = {}
        self._tenants, self._origins = _Names(), _Names()
        self._latest: Any = None
        self.rows = self.failures = 0

    def add(self, chunk: Chunk) -> None:
        """Add the rows of a chunk that are kept."""
        layout = self._layout
        columns = {name: kind.convert(chunk[name]) for name, kind in layout.fields()}
        self._check_order(columns[layout.time])
        kept = self._kept(columns, chunk)
        self._keep("times", columns[layout.time][kept])
        self._keep("prompt", columns[layout.prompt][kept])
        self._keep("output", columns[layout.output][kept])
        self.rows += len(columns[layout.time][kept])
        for name, names in ((layout.tenant, self._tenants), (layout.origin, self._origins)):
            if name is not None:
                names.add(columns[name], kept)
        if layout.blocks is not None:
            hashes, lengths = columns[layout.blocks]
            self._keep("hashes", hashes[np.repeat(_mask(kept, len(lengths)), lengths)])
            self._keep("lengths", lengths[kept])

    def trace(self) -> Trace:
        """Return all rows."""
        layout = self._layout
        times = self._joined("times")
        integral = times.dtype.kind == "i"
        times -= times[0]
        times_s = times / 1e9 if integral else times
        blocks = None
        if layout.blocks is not None:
            offsets = np.concatenate(([0], np.cumsum(self._joined("lengths"))))
            blocks = Blocks(self._joined("hashes"), offsets, layout.block_tokens)
        return Trace(
            times_s=times_s,
            prompt_tokens=self._joined("prompt"),
            output_tokens=self._joined("output"),
            blocks=blocks,
            tenants=None if layout.tenant is None else self._tenants.labels(),
            origins=None if layout.origin is None else self._origins.labels(),
            failures=self.failures,
        )

    def _check_order(self, times: NDArray[Any]) -> None:
        if not len(times):
            return
        if (self._latest is not None and times[0] < self._latest) or np.any(times[1:] < times[:-1]):
            raise UnfitError
        self._latest = times[-1]

    def _kept(self, columns: Chunk, chunk: Chunk) -> Any:
        """Return which rows are kept: a mask, or a slice where all are."""
        layout = self._layout
        kept: Any = slice(None)
        for name, value in layout.where.items():
            fits = pc.fill_null(pc.equal(Text(required=False).convert(chunk[name]), value), False)
            kept = _both(kept, _as_numpy(fits))
        if layout.drops_failures:
            succeeded = columns[layout.output] > 0
            self.failures += int(np.count_nonzero(_mask(kept, len(succeeded)) & ~succeeded))
            kept = _both(kept, succeeded)
        return kept

    def _keep(self, name: str, part: NDArray[Any]) -> None:
        if name not in self._columns:
            self._columns[name] = _Column(part.dtype)
        self._columns[name].add(part)

    def _joined(self, name: str) -> NDArray[Any]:
        """Return a column, and forget it."""
        return self._columns.pop(name).values()


class _Column:
    """A column that grows in its place, so that it is never in memory twice."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._values: NDArray[Any] = np.empty(0, dtype)
        self._count = 0

    def add(self, part: NDArray[Any]) -> None:
        """Add values at the end."""
        end = self._count + len(part)
        if end > len(self._values):
            self._values.resize(max(end, len(self._values) * 5 // 4), refcheck=False)
        self._values[self._count : end] = part
        self._count = end

    def values(self) -> NDArray[Any]:
        """Return all values, after which none may be added."""
        self._values.resize(self._count, refcheck=False)
        return self._values


class _Names:
    """Numbers names in the order in which they first occur."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._codes: list[Integers] = []

    def add(self, texts: Any, kept: Any) -> None:
        """Add the names of the rows that are kept."""
        if not isinstance(kept, slice):
            texts = texts.filter(pa.array(kept))
        encoded = texts.dictionary_encode()
        numbers = self._numbers
        numbering = [
            numbers.setdefault(name, len(numbers)) for name in encoded.dictionary.to_pylist()
        ]
        places = _as_numpy(encoded.indices)
        self._codes.append(np.array(numbering, dtype=np.int64)[places])

    def labels(self) -> Labels:
        """Return the names of all rows."""
        return Labels(np.concatenate(self._codes), tuple(self._numbers))


def _mask(kept: Any, count: int) -> NDArray[np.bool_]:
    return np.ones(count, dtype=np.bool_) if isinstance(kept, slice) else kept


def _both(kept: Any, more: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return more if isinstance(kept, slice) else kept & more


def _as_numpy(column: Any) -> Any:
    return column.to_numpy(zero_copy_only=False)
