"""Makes a trace of a table.

Only numpy arrays are kept: 24 bytes a row for time and tokens, 8 for each block and each label.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fedsim.workload.traces.content import readable
from fedsim.workload.traces.errors import TraceError, UnfitError, shown, unreadable
from fedsim.workload.traces.fields import Text, time_field
from fedsim.workload.traces.layout import Layout
from fedsim.workload.traces.scan import scan
from fedsim.workload.traces.table import Chunk, Table
from fedsim.workload.traces.trace import Blocks, Integers, Labels, Trace


def gather(file: str, table: Table, layout: Layout) -> Trace:
    """Return the trace that a table holds.

    Args:
        file: The file, for the error.
        table: The table in it.
        layout: Its columns; it may have more.

    Raises:
        TraceError: It cannot be read, or no row is left; the first line that is wrong is named.
    """
    _check_columns(file, table.names, layout)
    if layout.clock is None:
        _, first = next(table.rows())
        layout = replace(layout, clock=time_field(layout.time, first[layout.time]))
    gatherer = _Gatherer(layout)
    try:
        with readable(file, table.expected):
            for chunk in table.chunks(layout.fields()):
                gatherer.add(chunk)
    except (UnfitError, pa.ArrowException) as failure:
        scan(file, table.rows(), layout)
        reason = str(failure) or "A column has a type that does not fit."
        raise unreadable(file, reason, table.expected) from failure
    if not gatherer.rows:
        remedy = "Correct where, or give a trace with requests that succeeded."
        raise TraceError(file, None, "No row of the trace is left.", remedy)
    return gatherer.trace()


def _check_columns(file: str, names: list[str], layout: Layout) -> None:
    """Check that a file has the columns of its layout.

    Raises:
        TraceError: One is missing, or there twice.
    """
    if layout.header is not None and (header := ",".join(names)) != layout.header:
        message = f"The header is {shown(header)}, not {layout.header}."
        raise TraceError(file, 1, message, "Correct the header, or name the format of this file.")
    for name in layout.fields():
        if name not in names:
            message = f"There is no column {shown(name)}."
            remedy = f"Name it under columns, out of {shown(', '.join(names), 300)[1:-1]}."
            raise TraceError(file, 1, message, remedy)
        if names.count(name) > 1:
            message = f"The column {shown(name)} is there {names.count(name)} times."
            raise TraceError(file, 1, message, "Give each column a name of its own.")


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
        columns = {name: kind.convert(chunk[name]) for name, kind in layout.fields().items()}
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
