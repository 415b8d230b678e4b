"""The tables as DataFrames, made from recorded columns with as few copies as possible.

Names and order of the columns are a format that people rely on; ``docs/tables.md`` defines each.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import astuple
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedsim.results.categories import EVENT_KINDS, category, category_types
from fedsim.results.columns import (
    AttemptColumns,
    Event,
    NodeColumns,
    NodeTotals,
    RequestColumns,
)
from fedsim.world.observer import Directory

if TYPE_CHECKING:
    from pandas import Categorical, CategoricalDtype, DataFrame
    from pandas.api.extensions import ExtensionArray

_CHUNK_ROWS = 65536


def request_rows(attempts: AttemptColumns) -> NDArray[np.integer[Any]]:
    """Return, for each attempt, the row of its request."""
    return _view(attempts.request, attempts.rows)


def requests_frame(
    requests: RequestColumns,
    attempts: AttemptColumns,
    directory: Directory,
    outcomes: Sequence[str],
) -> DataFrame:
    """Return a row per request, in the order of arrival."""
    import pandas as pd

    rows = requests.rows
    types = category_types(directory, outcomes)
    stream, node = _view(requests.stream, rows), _view(requests.node, rows)
    arrived_s, finished_s = _view(requests.arrived_s, rows), _view(requests.finished_s, rows)
    tries = np.bincount(_view(attempts.request, attempts.rows), minlength=rows)
    capability = [item.capability for item in directory.streams]
    privacy = [item.privacy.name.lower() for item in directory.streams]
    columns = {
        "request_id": _request_ids(stream, _view(requests.index, rows), directory),
        "stream": _categorical(stream, types["stream"]),
        "tenant": _tenants(stream, _view(requests.tenant, rows), directory),
        "origin": _categorical(_view(requests.origin, rows), types["origin"]),
        "capability": _mapped(stream, capability, types["capability"]),
        "privacy": _mapped(stream, privacy, types["privacy"]),
        "arrived_s": arrived_s,
        "finished_s": finished_s,
        "outcome": _categorical(_view(requests.outcome, rows), types["outcome"]),
        "node": _categorical(node, types["node"]),
        "region": _mapped(node, [item.region for item in directory.nodes], types["region"]),
        "attempts": tries.astype(np.int32),
        "latency_s": finished_s - arrived_s,
        "network_s": _view(requests.network_s, rows),
        "queue_wait_s": _view(requests.queue_wait_s, rows),
        "service_s": _view(requests.service_s, rows),
        "ttft_s": _view(requests.ttft_s, rows),
        "tpot_s": _view(requests.tpot_s, rows),
        "prompt_tokens": _integers(_view(requests.prompt_tokens, rows)),
        "cached_tokens": _integers(_view(requests.cached_tokens, rows)),
        "output_tokens": _integers(_view(requests.output_tokens, rows)),
        "cost_usd": _view(requests.cost_usd, rows),
    }
    return pd.DataFrame(columns, copy=False)


def attempts_frame(
    attempts: AttemptColumns,
    requests: RequestColumns,
    directory: Directory,
    outcomes: Sequence[str],
) -> DataFrame:
    """Return a row per attempt, in the order of their starts."""
    import pandas as pd

    rows = attempts.rows
    types = category_types(directory, outcomes)
    request, node = _view(attempts.request, rows), _view(attempts.node, rows)
    stream, index = _view(requests.stream, requests.rows), _view(requests.index, requests.rows)
    columns = {
        "request_id": _request_ids(stream, index, directory, request),
        "attempt": _view(attempts.attempt, rows),
        "gateway": _categorical(_view(attempts.gateway, rows), types["gateway"]),
        "node": _categorical(node, types["node"]),
        "region": _mapped(node, [item.region for item in directory.nodes], types["region"]),
        "hedge": _view(attempts.hedge, rows).view(np.bool_),
        "started_s": _view(attempts.started_s, rows),
        "finished_s": _view(attempts.finished_s, rows),
        "outcome": _categorical(_view(attempts.outcome, rows), types["outcome"]),
        "queue_wait_s": _view(attempts.queue_wait_s, rows),
        "service_s": _view(attempts.service_s, rows),
    }
    return pd.DataFrame(columns, copy=False)


def nodes_frame(nodes: NodeColumns, directory: Directory) -> DataFrame:
    """Return a row per node and sample."""
    import pandas as pd

    rows = len(nodes.kv_used_tokens)
    types = category_types(directory, ())
    node = _view(nodes.node, rows)
    columns = {
        "time_s": _view(nodes.time_s, rows),
        "node": _categorical(node, types["node"]),
        "pool": _mapped(node, [item.pool for item in directory.nodes], types["pool"]),
        "region": _mapped(node, [item.region for item in directory.nodes], types["region"]),
        "up": _view(nodes.up, rows).view(np.bool_),
        "running": _view(nodes.running, rows),
        "queued": _view(nodes.queued, rows),
        "utilization": _view(nodes.utilization, rows),
        "kv_used_tokens": _integers(_view(nodes.kv_used_tokens, rows)),
    }
    return pd.DataFrame(columns, copy=False)


def events_frame(events: Sequence[Event], directory: Directory) -> DataFrame:
    """Return a row per event, in the order of time; equal times keep the order of their reports.

    A breaker reports that it became half-open when it is next used, with the time at which it did.
    """
    import pandas as pd

    in_order = sorted(events, key=attrgetter("time_s"))
    fields: list[Sequence[Any]] = list(zip(*(astuple(event) for event in in_order), strict=True))
    times_s, kinds, subjects, gateways, before, after, details = fields or [()] * 7
    kind = category([*EVENT_KINDS, *kinds])
    gateway = category_types(directory, ())["gateway"]
    columns = {
        "time_s": np.array(times_s, dtype=np.float64),
        "kind": pd.Categorical(kinds, dtype=kind),
        "subject": _texts(subjects),
        "gateway": pd.Categorical([name or None for name in gateways], dtype=gateway),
        "before": _texts(before),
        "after": _texts(after),
        "detail": _texts(details),
    }
    return pd.DataFrame(columns, copy=False)


def node_totals_frame(totals: Sequence[NodeTotals], directory: Directory) -> DataFrame:
    """Return a row per node of the directory; what was never reported is missing."""
    import pandas as pd

    by_node = {item.node: item for item in totals}
    unknown = NodeTotals(-1, *[np.nan] * 4)
    rows = [
        (
            info.name,
            info.pool,
            info.region,
            info.slots,
            np.nan if info.cost_usd_per_hour is None else info.cost_usd_per_hour,
            *astuple(by_node.get(node, unknown))[1:],
        )
        for node, info in enumerate(directory.nodes)
    ]
    names = ("node", "pool", "region", "slots", "cost_usd_per_hour")
    sums = ("up_s", "busy_slot_s", "wasted_slot_s", "window_busy_slot_s")
    table = pd.DataFrame(rows, columns=pd.Index([*names, *sums]))
    categories = category_types(directory, ())
    types: dict[str, Any] = {name: categories[name] for name in ("node", "pool", "region")}
    types |= {"slots": "int64", "cost_usd_per_hour": "float64"} | dict.fromkeys(sums, "float64")
    return table.astype(types)


def _view(column: array[Any], rows: int) -> NDArray[Any]:
    """Return the first *rows* of a column without a copy."""
    return np.asarray(column)[:rows]


def _categorical(codes: NDArray[Any], dtype: CategoricalDtype) -> Categorical:
    import pandas as pd

    return pd.Categorical.from_codes(codes, dtype=dtype)


def _mapped(codes: NDArray[Any], names: Sequence[str], dtype: CategoricalDtype) -> Categorical:
    """Return what *names* says of each code; -1 stays missing."""
    positions = {name: position for position, name in enumerate(dtype.categories)}
    target = np.array([*(positions[name] for name in names), -1])
    small = target.astype(np.min_scalar_type(-max(len(positions), 1)))
    return _categorical(small[codes], dtype)


def _request_ids(
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


def _tenants(stream: NDArray[Any], tenant: NDArray[np.int32], directory: Directory) -> Categorical:
    """Return each request's tenant; the categories are those seen, by stream and number.

    A name that several streams have is one tenant.
    """
    import pandas as pd

    names: dict[str, int] = {}
    codes = np.full(len(tenant), -1, dtype=np.int32)
    for number, info in enumerate(directory.streams):
        rows = np.flatnonzero((stream == number) & (tenant >= 0))
        if not len(rows):
            continue
        counts = np.bincount(tenant[rows])
        seen = np.flatnonzero(counts)
        position = np.zeros(len(counts), dtype=np.int32)
        position[seen] = [names.setdefault(info.tenant_id(n), len(names)) for n in seen.tolist()]
        codes[rows] = position[tenant[rows]]
    return pd.Categorical.from_codes(codes, dtype=category(list(names)))


def _integers(values: NDArray[np.int32]) -> ExtensionArray:
    """Return integers in which -1 stands for missing."""
    import pandas as pd

    return pd.arrays.IntegerArray(values, values < 0)


def _texts(values: Sequence[str]) -> ExtensionArray:
    import pandas as pd

    return pd.array([value or None for value in values], dtype="str")
