"""A log of measured requests, as the node that served them saw them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from fedsim.studies.calibrate.columns import Column, Columns
from fedsim.studies.calibrate.failures import without_failures
from fedsim.studies.calibrate.files import Cells, LogError, log_name, read_cells

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
    found = Columns(cells, columns or {})
    found.require("arrival")
    found.require("first_token", "ttft")
    found.require("last_token", "latency", "tpot")
    found.require("prompt_tokens")
    found.require("output_tokens")
    arrived_s = found.times_s("arrival")
    first_s = (
        found.times_s("first_token")
        if "first_token" in found
        else arrived_s + found.times_s("ttft")
    )
    prompt, output = found.counts("prompt_tokens"), found.counts("output_tokens")
    cached = found.counts("cached_tokens") if "cached_tokens" in found else np.zeros(len(prompt))
    last_s = _last_token_s(found, arrived_s, first_s, output)
    if cells.columns.keys() >= _FEDSIM and not columns:
        arrived_s, first_s, last_s = _at_the_node(cells, arrived_s, first_s, last_s)
    complete = np.isfinite(arrived_s + first_s + last_s + prompt) & (output > 0)
    left_out = failures + _left_out(int((~complete).sum()))
    if left_out:
        left_out += ("The load of such requests on the node is missing from the fit.",)
    _require_sound(cells, complete, arrived_s, first_s, last_s, prompt, output, cached)
    rows = np.flatnonzero(complete)
    if len(rows) < LEAST_REQUESTS:
        message = (
            f"It has {len(rows):,} requests with all times and token counts; a fit needs "
            f"{LEAST_REQUESTS} at least."
        )
        raise LogError(cells.file, [(None, message)], "Several hundred are better; log for longer.")
    rows = rows[np.argsort(arrived_s[rows], kind="stable")]
    names = found.texts("node") if "node" in found else [""] * len(prompt)
    nodes, node = np.unique(np.array(names, dtype=str)[rows], return_inverse=True)
    begin_s = arrived_s[rows[0]]
    return RequestLog(
        name=log_name(cells.file),
        arrived_s=arrived_s[rows] - begin_s,
        first_token_s=first_s[rows] - begin_s,
        last_token_s=np.maximum(last_s, first_s)[rows] - begin_s,
        prompt_tokens=prompt[rows].astype(np.int64),
        output_tokens=output[rows].astype(np.int64),
        cached_tokens=np.minimum(np.nan_to_num(cached), prompt - 1.0)[rows].astype(np.int64),
        node=node.astype(np.int64),
        nodes=tuple(str(name) for name in nodes),
        left_out=left_out,
    )


def _last_token_s(found: Columns, arrived_s: Floats, first_s: Floats, output: Floats) -> Floats:
    if "last_token" in found:
        return found.times_s("last_token")
    if "latency" in found:
        return arrived_s + found.times_s("latency")
    steps = np.maximum(output - 1.0, 0.0)
    return np.asarray(first_s + np.where(steps > 0.0, found.times_s("tpot"), 0.0) * steps)


def _at_the_node(
    cells: Cells, arrived_s: Floats, first_s: Floats, last_s: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return the times of a fedsim run at the node: half of the network time on either side.

    A request that was tried twice has no arrival at the node that served it: its times are NaN.
    """
    network_s = np.array(cells.columns["network_s"], dtype=np.float64) / 2.0
    once = np.array([attempts in {1, None} for attempts in cells.columns.get("attempts", [None])])
    leg_s = np.where(once, network_s, np.nan)
    return arrived_s + leg_s, first_s - leg_s, last_s - leg_s


def _left_out(count: int) -> tuple[str, ...]:
    if not count:
        return ()
    rows = "1 row is" if count == 1 else f"{count:,} rows are"
    return (
        f"{rows} left out, without all times and token counts (failed, unfinished or retried).",
    )


def _require_sound(
    cells: Cells,
    complete: NDArray[np.bool_],
    arrived_s: Floats,
    first_s: Floats,
    last_s: Floats,
    prompt: Floats,
    output: Floats,
    cached: Floats,
) -> None:
    """Check the rows that are complete.

    Raises:
        LogError: It names the lines whose times or tokens cannot be.
    """
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
