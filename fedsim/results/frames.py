"""The tables as DataFrames, made from recorded columns with as few copies as possible.

Names and order of the columns are a format that people rely on; ``docs/tables.md`` defines each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedsim.results.arrays import categorical, integers, mapped, request_ids, view
from fedsim.results.categories import EVENT_KINDS, category, category_types
from fedsim.results.columns import (
    AttemptColumns,
    Event,
    NodeColumns,
    NodeTotals,
    RequestColumns,
    TurnColumns,
)
from fedsim.world.observer import Directory

if TYPE_CHECKING:
    from pandas import Categorical, DataFrame
    from pandas.api.extensions import ExtensionArray


def request_rows(attempts: AttemptColumns) -> NDArray[np.integer[Any]]:
    """Return, for each attempt, the row of its request."""
    return view(attempts.request, attempts.rows)


def requests_frame(
    requests: RequestColumns,
    turns: TurnColumns,
    attempts: AttemptColumns,
    directory: Directory,
    outcomes: Sequence[str],
) -> DataFrame:
    """Return a row per request, in the order of arrival."""
    import pandas as pd

    rows = requests.rows
    types = category_types(directory, outcomes)
    stream, node = view(requests.stream, rows), view(requests.node, rows)
    arrived_s, finished_s = view(requests.arrived_s, rows), view(requests.finished_s, rows)
    tries = np.bincount(view(attempts.request, attempts.rows), minlength=rows)
    capability = [item.capability for item in directory.streams]
    privacy = [item.privacy.name.lower() for item in directory.streams]
    columns = {
        "request_id": request_ids(stream, view(requests.index, rows), directory),
        "stream": categorical(stream, types["stream"]),
        "tenant": _tenants(stream, view(requests.tenant, rows), directory),
        **_turns(turns, stream, directory),
        "origin": categorical(view(requests.origin, rows), types["origin"]),
        "capability": mapped(stream, capability, types["capability"]),
        "privacy": mapped(stream, privacy, types["privacy"]),
        "arrived_s": arrived_s,
        "finished_s": finished_s,
        "outcome": categorical(view(requests.outcome, rows), types["outcome"]),
        "node": categorical(node, types["node"]),
        "region": mapped(node, [item.region for item in directory.nodes], types["region"]),
        "attempts": tries.astype(np.int32),
        "latency_s": finished_s - arrived_s,
        "network_s": view(requests.network_s, rows),
        "queue_wait_s": view(requests.queue_wait_s, rows),
        "service_s": view(requests.service_s, rows),
        "ttft_s": view(requests.ttft_s, rows),
        "tpot_s": view(requests.tpot_s, rows),
        "prompt_tokens": integers(view(requests.prompt_tokens, rows)),
        "cached_tokens": integers(view(requests.cached_tokens, rows)),
        "output_tokens": integers(view(requests.output_tokens, rows)),
        "preemptions": integers(view(requests.preemptions, rows)),
        "cost_usd": view(requests.cost_usd, rows),
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
    request, node = view(attempts.request, rows), view(attempts.node, rows)
    stream, index = view(requests.stream, requests.rows), view(requests.index, requests.rows)
    columns = {
        "request_id": request_ids(stream, index, directory, request),
        "attempt": view(attempts.attempt, rows),
        "gateway": categorical(view(attempts.gateway, rows), types["gateway"]),
        "node": categorical(node, types["node"]),
        "region": mapped(node, [item.region for item in directory.nodes], types["region"]),
        "hedge": view(attempts.hedge, rows).view(np.bool_),
        "started_s": view(attempts.started_s, rows),
        "finished_s": view(attempts.finished_s, rows),
        "outcome": categorical(view(attempts.outcome, rows), types["outcome"]),
        "queue_wait_s": view(attempts.queue_wait_s, rows),
        "service_s": view(attempts.service_s, rows),
    }
    return pd.DataFrame(columns, copy=False)


def nodes_frame(nodes: NodeColumns, directory: Directory) -> DataFrame:
    """Return a row per node and sample."""
    import pandas as pd

    rows = len(nodes.kv_used_tokens)
    types = category_types(directory, ())
    node = view(nodes.node, rows)
    columns = {
        "time_s": view(nodes.time_s, rows),
        "node": categorical(node, types["node"]),
        "pool": mapped(node, [item.pool for item in directory.nodes], types["pool"]),
        "region": mapped(node, [item.region for item in directory.nodes], types["region"]),
        "up": view(nodes.up, rows).view(np.bool_),
        "running": view(nodes.running, rows),
        "queued": view(nodes.queued, rows),
        "utilization": view(nodes.utilization, rows),
        "kv_used_tokens": integers(view(nodes.kv_used_tokens, rows)),
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
    unknown = NodeTotals(-1, *[np.nan] * 5)
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
    sums = ("up_s", "busy_slot_s", "wasted_slot_s", "window_busy_slot_s", "window_busy_s")
    table = pd.DataFrame(rows, columns=pd.Index([*names, *sums]))
    categories = category_types(directory, ())
    types: dict[str, Any] = {name: categories[name] for name in ("node", "pool", "region")}
    types |= {"slots": "int64", "cost_usd_per_hour": "float64"} | dict.fromkeys(sums, "float64")
    return table.astype(types)


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


def _turns(
    turns: TurnColumns, stream: NDArray[Any], directory: Directory
) -> dict[str, ExtensionArray]:
    """Return session, user and turn of each request; turns are counted from 1."""
    count = len(turns.request)
    rows, user, turn = (view(each, count) for each in (turns.request, turns.user, turns.turn))
    of_sessions = np.array([info.sessions for info in directory.streams])[stream[rows]]
    columns = {}
    for name, values in (
        ("session", np.where(of_sessions, user, -1)),
        ("user", np.where(of_sessions, -1, user)),
        ("turn", turn + 1),
    ):
        column = np.full(len(stream), -1, dtype=np.int32)
        column[rows] = values
        columns[name] = integers(column)
    return columns


def _texts(values: Sequence[str]) -> ExtensionArray:
    import pandas as pd

    return pd.array([value or None for value in values], dtype="str")
