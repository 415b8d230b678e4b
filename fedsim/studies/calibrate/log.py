"""A log of measured requests, as the node that served them saw them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.logs.cells import Cells, LogError, log_name, read_cells
from fedsim.workload.logs.columns import Column, LogColumns
from fedsim.workload.logs.failures import left_out, without_failures

LEAST_REQUESTS = 60
"""Fewer requests are refused: half of them have to determine seven coefficients."""

_TOLERANCE_S = 1e-6
_AT_ONCE = 16
_FEDSIM = frozenset(("arrived_s", "ttft_s", "network_s", "queue_wait_s", "outcome"))

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class RequestLog:
    """Measured requests in the order of their arrival, as arrays of equal length.

    Times are in seconds after the first arrival.

    Attributes:
        name: The file's name without its ending.
        arrived_s: When each request arrived at its node.
        first_token_s: When its first output token came.
        last_token_s: When its last one came.
        prompt_tokens: Tokens of the prompt, >= 1.
        output_tokens: Tokens of the answer, >= 1.
        cached_tokens: Prompt tokens that a prefix cache supplied, less than *prompt_tokens*.
        node: Which node served it: a place in *nodes*.
        nodes: The nodes' names.
        left_out: What was left out of the file, as sentences.
    """

    name: str
    arrived_s: Floats
    first_token_s: Floats
    last_token_s: Floats
    prompt_tokens: Ints
    output_tokens: Ints
    cached_tokens: Ints
    node: Ints
    nodes: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.arrived_s)

    @property
    def ttft_s(self) -> Floats:
        """From arrival to the first token."""
        return self.first_token_s - self.arrived_s

    @property
    def latency_s(self) -> Floats:
        """From arrival to the last token."""
        return self.last_token_s - self.arrived_s

    @property
    def tpot_s(self) -> Floats:
        """Mean time between tokens, NaN where there are fewer than two."""
        return time_per_token_s(self.first_token_s, self.last_token_s, self.output_tokens)


def time_per_token_s(first_token_s: Floats, last_token_s: Floats, output_tokens: Ints) -> Floats:
    """Return the mean time between tokens, NaN where there are fewer than two."""
    steps = np.where(output_tokens > 1, output_tokens - 1.0, np.nan)
    return np.asarray((last_token_s - first_token_s) / steps)


def read_log(path: str | PathLike[str], columns: Mapping[str, Column] | None = None) -> RequestLog:
    """Read a log of requests to an LLM server.

    It needs the arrival, the first token (or TTFT), the last token (or latency, or time per
    output token), prompt tokens and output tokens; a node and cached tokens are optional. The
    requests table of a fedsim run is known by its columns, and its network times are taken off.
    Rows that failed, by a column that says so, are left out.

    Args:
        path: A CSV, JSON lines or Parquet file with a row per request, in any order.
        columns: Columns by field, where they do not have one of the known names.

    Raises:
        LogError: The file cannot be read, a column is missing, rows are broken, or there are too
            few of them.
    """
    cells, failures = without_failures(read_cells(path), columns or {})
    found = LogColumns(cells, columns or {})
    measured = _measured(found)
    if found.names >= _FEDSIM and not columns:
        measured = _at_the_node(found, measured)
    _require_sound(cells, measured)
    rows = np.flatnonzero(measured.complete)
    if len(rows) < LEAST_REQUESTS:
        message = (
            f"It has {len(rows):,} requests with all times and token counts; a fit needs "
            f"{LEAST_REQUESTS} at least."
        )
        raise LogError(cells.file, [(None, message)], "Several hundred are better; log for longer.")
    reason = ", without all times and token counts (failed, unfinished or retried)"
    notes = failures + left_out(found.rows - len(rows), reason)
    if notes:
        notes += ("The load of such requests on the node is missing from the fit.",)
    rows = rows[np.argsort(measured.arrived_s[rows], kind="stable")]
    names = found.texts("node") if "node" in found else [""] * found.rows
    return _request_log(log_name(cells.file), measured, rows, names, notes)


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """The requests of a log in the order of its rows, NaN where it does not have a number.

    Attributes:
        arrived_s: When each arrived, in seconds from any origin, as are the other times.
        first_s: When its first token came.
        last_s: When its last token came.
        prompt: Its prompt tokens.
        output: Its output tokens.
        cached: Its cached tokens, 0 where no column has them.
    """

    arrived_s: Floats
    first_s: Floats
    last_s: Floats
    prompt: Floats
    output: Floats
    cached: Floats

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Which requests have all times and token counts."""
        times_s = self.arrived_s + self.first_s + self.last_s
        return np.isfinite(times_s + self.prompt) & (self.output > 0)


def _measured(found: LogColumns) -> _Measured:
    """Return what the columns of a log say.

    Raises:
        LogError: One is missing, or a cell is neither a number nor a time.
    """
    found.require("arrival")
    found.require("first_token", "ttft")
    found.require("last_token", "latency", "tpot")
    found.require("prompt_tokens")
    found.require("output_tokens")
    arrived_s = found.times_s("arrival")
    if "first_token" in found:
        first_s = found.times_s("first_token")
    else:
        first_s = arrived_s + found.times_s("ttft")
    output = found.counts("output_tokens")
    cached = found.counts("cached_tokens") if "cached_tokens" in found else np.zeros(found.rows)
    last_s = _last_token_s(found, arrived_s, first_s, output)
    return _Measured(arrived_s, first_s, last_s, found.counts("prompt_tokens"), output, cached)


def _last_token_s(found: LogColumns, arrived_s: Floats, first_s: Floats, output: Floats) -> Floats:
    if "last_token" in found:
        return found.times_s("last_token")
    if "latency" in found:
        return arrived_s + found.times_s("latency")
    steps = np.maximum(output - 1.0, 0.0)
    return np.asarray(first_s + np.where(steps > 0.0, found.times_s("tpot"), 0.0) * steps)


def _at_the_node(found: LogColumns, measured: _Measured) -> _Measured:
    """Return the times of a fedsim run at the node: half of the network time on either side.

    A request that was tried twice has no arrival at the node that served it: its times are NaN.
    """
    leg_s = found.numbers("network_s") / 2.0
    if "attempts" in found.names:
        leg_s[found.numbers("attempts") > 1] = np.nan
    return replace(
        measured,
        arrived_s=measured.arrived_s + leg_s,
        first_s=measured.first_s - leg_s,
        last_s=measured.last_s - leg_s,
    )


def _request_log(
    name: str, measured: _Measured, rows: Ints, nodes: list[str], notes: tuple[str, ...]
) -> RequestLog:
    """Return some rows of a log, in the order of *rows*, with the first arrival at 0."""
    begin_s = measured.arrived_s[rows[0]]
    cached = np.minimum(np.nan_to_num(measured.cached), measured.prompt - 1.0)
    names, node = np.unique(np.array(nodes, dtype=str)[rows], return_inverse=True)
    return RequestLog(
        name=name,
        arrived_s=measured.arrived_s[rows] - begin_s,
        first_token_s=measured.first_s[rows] - begin_s,
        last_token_s=np.maximum(measured.last_s, measured.first_s)[rows] - begin_s,
        prompt_tokens=measured.prompt[rows].astype(np.int64),
        output_tokens=measured.output[rows].astype(np.int64),
        cached_tokens=cached[rows].astype(np.int64),
        node=node.astype(np.int64),
        nodes=tuple(str(name) for name in names),
        left_out=notes,
    )


def _require_sound(cells: Cells, measured: _Measured) -> None:
    """Check the rows that are complete.

    Raises:
        LogError: It names the lines whose times or tokens cannot be.
    """
    arrived_s, first_s, last_s = measured.arrived_s, measured.first_s, measured.last_s
    prompt, output, cached = measured.prompt, measured.output, measured.cached
    complete = measured.complete
    checks: tuple[tuple[NDArray[np.bool_], str], ...] = (
        (first_s < arrived_s - _TOLERANCE_S, "The first token comes before the arrival."),
        (last_s < first_s - _TOLERANCE_S, "The last token comes before the first."),
        ((prompt < 1) | (prompt % 1 != 0), "The prompt tokens are not a whole number from 1 on."),
        (output % 1 != 0, "The output tokens are not a whole number."),
        (cached < 0, "The cached tokens are negative."),
        (cached > prompt, "More tokens are cached than the prompt has."),
    )
    at_once = (output > _AT_ONCE) & (last_s <= first_s)
    if 2 * (at_once & complete).sum() < complete.sum():  # else the log does not have first tokens
        checks += ((at_once, "All of its many output tokens come at once."),)
    problems = [
        (cells.lines[row], message)
        for wrong, message in checks
        for row in np.flatnonzero(wrong & complete).tolist()
    ]
    if problems:
        remedy = (
            "Correct or remove such rows, or the columns and units by --columns; requests that "
            "failed are left out where a column says so, by --columns status=COLUMN."
        )
        raise LogError(cells.file, sorted(problems), remedy)
