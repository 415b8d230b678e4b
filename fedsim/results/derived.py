"""The columns that are not recorded but derived from what was, or from the names of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsim.results.kinds import CAPABILITY, POOL, PRIVACY, REGION, Name, keys
from fedsim.results.rows import Rows
from fedsim.world.observer import Directory


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


def request_id(rows: Rows) -> NDArray[np.int64]:
    """Return the stream and number of each request as one."""
    return keys(rows["stream"], rows["index"])


def request_id_of_row(rows: Rows) -> NDArray[np.int64]:
    """Return the stream and number of the request in the row that column ``request`` says."""
    requests, row = rows.recorded["requests"], rows["request"]
    return keys(requests["stream"][row], requests["index"][row])


def tenant(rows: Rows) -> NDArray[np.int64]:
    """Return the stream and tenant's number of each request as one."""
    return keys(rows["stream"], rows["tenant_number"])


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
