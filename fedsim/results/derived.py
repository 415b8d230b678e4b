"""The columns that are not recorded but derived from what was, or from the names of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedsim.results.kinds import CAPABILITY, POOL, PRIVACY, REGION, Name, category
from fedsim.results.rows import Rows
from fedsim.world.observer import Directory

if TYPE_CHECKING:
    from pandas import Categorical
    from pandas.api.extensions import ExtensionArray

_CHUNK_ROWS = 65536


def _looked_up(
    by: str, kind: Name, facts: Callable[[Directory], Iterable[str]]
) -> Callable[[Rows], NDArray[Any]]:
    """Return what derives the code in *kind* of the fact about each code in column *by*."""

    def derive(rows: Rows) -> NDArray[Any]:
        directory = rows.names.directory
        codes = {name: code for code, name in enumerate(dict.fromkeys(kind.of(directory)))}
        target = np.array([*(codes[name] for name in facts(directory)), -1])
        small = target.astype(np.min_scalar_type(-max(len(codes), 1)))
        values: NDArray[Any] = small[rows[by]]
        return values

    return derive


stream_capability = _looked_up(
    "stream", CAPABILITY, lambda names: [stream.capability for stream in names.streams]
)
stream_privacy = _looked_up(
    "stream", PRIVACY, lambda names: [stream.privacy.name.lower() for stream in names.streams]
)
node_region = _looked_up("node", REGION, lambda names: [node.region for node in names.nodes])
node_pool = _looked_up("node", POOL, lambda names: [node.pool for node in names.nodes])


def request_id(rows: Rows) -> ExtensionArray:
    """Return the names of all requests."""
    return _request_ids(rows, slice(None))


def request_id_of_row(rows: Rows) -> ExtensionArray:
    """Return the name of the request in the row that column ``request`` says."""
    return _request_ids(rows.recorded["requests"], rows["request"])


def _request_ids(requests: Rows, rows: NDArray[Any] | slice) -> ExtensionArray:
    """Return the names of the requests in *rows*, a chunk at a time."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    streams = requests.names.directory.streams
    prefixes = pa.array([stream.request_id(0)[:-1] for stream in streams], pa.large_string())
    separator = pa.scalar("", pa.large_string())
    stream, index = requests["stream"], requests["index"]
    total = len(stream) if isinstance(rows, slice) else len(rows)
    chunks = []
    for start in range(0, total, _CHUNK_ROWS):
        piece = slice(start, start + _CHUNK_ROWS)
        part = piece if isinstance(rows, slice) else rows[piece]
        prefix = prefixes.take(pa.array(stream[part]))
        number = pc.cast(pa.array(index[part]), pa.large_string())
        chunks.append(pc.binary_join_element_wise(prefix, number, separator))
    ids: ExtensionArray = pd.array(pa.chunked_array(chunks, pa.large_string()), dtype="str")
    return ids


def tenant(rows: Rows) -> Categorical:
    """Return each request's tenant; the categories are those seen, by stream and number.

    A name that several streams have is one tenant.
    """
    import pandas as pd

    stream, number = rows["stream"], rows["tenant_number"]
    names: dict[str, int] = {}
    codes = np.full(len(number), -1, dtype=np.int32)
    for code, info in enumerate(rows.names.directory.streams):
        of_stream = np.flatnonzero((stream == code) & (number >= 0))
        if not len(of_stream):
            continue
        counts = np.bincount(number[of_stream])
        seen = np.flatnonzero(counts)
        position = np.zeros(len(counts), dtype=np.int32)
        position[seen] = [names.setdefault(info.tenant_id(n), len(names)) for n in seen.tolist()]
        codes[of_stream] = position[number[of_stream]]
    return pd.Categorical.from_codes(codes, dtype=category(list(names)))


def session(rows: Rows) -> NDArray[np.int32]:
    """Return the number of each request's session, -1 for none."""
    return _by_turns(rows, lambda turns, of_session: np.where(of_session, turns["user"], -1))


def user(rows: Rows) -> NDArray[np.int32]:
    """Return the number of each request's user of a closed loop, -1 for none."""
    return _by_turns(rows, lambda turns, of_session: np.where(of_session, -1, turns["user"]))


def turn(rows: Rows) -> NDArray[np.int32]:
    """Return which turn each request is, from 1; -1 for one of neither."""
    return _by_turns(rows, lambda turns, _: turns["turn"] + 1)


def _by_turns(
    requests: Rows, values: Callable[[Rows, NDArray[np.bool_]], NDArray[Any]]
) -> NDArray[np.int32]:
    """Return a value of each row in the table of turns, by request; -1 where there is none."""
    turns = requests.recorded["turns"]
    rows = turns["request"]
    of_sessions = np.array([stream.sessions for stream in requests.names.directory.streams])
    column = np.full(len(requests), -1, dtype=np.int32)
    column[rows] = values(turns, of_sessions[requests["stream"][rows]])
    return column


def attempts(rows: Rows) -> NDArray[np.int32]:
    """Return the number of attempts of each request."""
    counts = np.bincount(rows.recorded["attempts"]["request"], minlength=len(rows))
    return counts.astype(np.int32)


def latency_s(rows: Rows) -> NDArray[np.float64]:
    """Return the time from arrival to the answer or the error, in seconds."""
    latency: NDArray[np.float64] = rows["finished_s"] - rows["arrived_s"]
    return latency


def slots(rows: Rows) -> NDArray[np.int64]:
    """Return the slots of each node."""
    return np.array([node.slots for node in rows.names.directory.nodes], dtype=np.int64)


def cost_usd_per_hour(rows: Rows) -> NDArray[np.float64]:
    """Return the price of each node, NaN where it has none."""
    prices = [node.cost_usd_per_hour for node in rows.names.directory.nodes]
    return np.array(prices, dtype=np.float64)  # None becomes NaN
