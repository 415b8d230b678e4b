"""What must hold of the tables of every run: nothing is lost, and time never runs back.

``problems`` is a few passes over the columns, cheap enough for every run. ``littles_law`` is exact
and costs some microseconds a request, for tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedsim.errors import InternalError
from fedsim.results.tables import Tables

if TYPE_CHECKING:
    from pandas import DataFrame

_ROUNDING = 1e-9
"""Sums of durations may differ from a difference of instants by this much, relatively."""


@dataclass(frozen=True, slots=True)
class LittlesLaw:
    """Both sides of Little's law over a run, as exact fractions of seconds.

    Attributes:
        area_s: Integral over time of the number of requests in the system.
        sojourns_s: Sum over requests of the time that each was in it.
    """

    area_s: Fraction
    sojourns_s: Fraction

    @property
    def holds(self) -> bool:
        """Whether the two are equal, to the last bit."""
        return self.area_s == self.sojourns_s


def littles_law(requests: DataFrame, end_s: float) -> LittlesLaw:
    """Return both sides of Little's law on [0, end_s], each computed by itself.

    The area is swept over the instants at which a request arrives or leaves; one that never
    finished stays to the end.
    """
    arrived = [Fraction(time_s) for time_s in requests["arrived_s"].tolist()]
    left_s = requests["finished_s"].fillna(end_s).clip(upper=end_s).tolist()
    left = [Fraction(time_s) for time_s in left_s]
    steps = sorted([(time, 1) for time in arrived] + [(time, -1) for time in left])
    area, present, before = Fraction(0), 0, Fraction(0)
    for time, step in steps:
        area += present * (time - before)
        present, before = present + step, time
    area += present * (Fraction(end_s) - before)
    sojourns = sum((out - into for into, out in zip(arrived, left, strict=True)), Fraction(0))
    return LittlesLaw(area, sojourns)


def require(tables: Tables) -> None:
    """Raise when the tables contradict themselves.

    Raises:
        InternalError: They do; the message holds every problem.
    """
    found = problems(tables)
    if found:
        msg = "the tables of this run contradict themselves: " + "; ".join(found)
        raise InternalError(msg)


def problems(tables: Tables) -> list[str]:
    """Return what is wrong with the tables, as sentences without a full stop."""
    return [
        *_rows("requests", _request_faults(tables)),
        *_rows("attempts", _attempt_faults(tables)),
        *_rows("requests", _joint_faults(tables)),
        *_rows("node_totals", _node_faults(tables)),
    ]


def _rows(table: str, faults: Iterator[tuple[str, NDArray[np.bool_]]]) -> Iterator[str]:
    for sentence, faulty in faults:
        where = np.flatnonzero(faulty)
        if len(where):
            yield f"{len(where)} rows of {table}, the first {where[0]}: {sentence}"


def _repeated(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which values stood before."""
    repeated = np.ones(len(values), dtype=bool)
    repeated[np.unique(values, return_index=True)[1]] = False
    return repeated


def _request_faults(tables: Tables) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    of = partial(tables.values, "requests")
    arrived_s, finished_s = of("arrived_s"), of("finished_s")
    yield "the id is not unique", _repeated(of("request_id"))
    yield "there is no outcome", of("outcome") < 0
    yield "it arrived before its predecessor", np.diff(arrived_s, prepend=0.0) < 0.0
    yield "it finished before it arrived", finished_s < arrived_s
    unfinished = tables.are("requests", "unfinished")
    yield "it is finished without an outcome, or the reverse", np.isnan(finished_s) != unfinished
    left_s = of("latency_s") + _ROUNDING * np.maximum(finished_s, 1.0)
    for part in ("network_s", "queue_wait_s", "service_s"):
        part_s = np.nan_to_num(of(part), nan=0.0, posinf=np.inf, neginf=-np.inf)
        yield f"its {part} is negative", part_s < 0.0
        left_s -= part_s
    ok = tables.are("requests", "ok")
    yield "its parts are longer than its latency", ok & (left_s < 0.0)
    yield from _token_faults(tables, ok)


def _token_faults(tables: Tables, ok: NDArray[np.bool_]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    of = partial(tables.values, "requests")
    latency_s, ttft_s = of("latency_s"), of("ttft_s")
    latest_s = latency_s + _ROUNDING * np.maximum(of("finished_s"), 1.0)
    yield (
        "its first token came before it, or after its answer",
        ok & ((ttft_s < 0.0) | (ttft_s > latest_s)),
    )
    output, prompt, cached = of("output_tokens"), of("prompt_tokens"), of("cached_tokens")
    last_s = ttft_s + of("tpot_s") * (output - 1.0)
    yield "its last token came after its answer", ok & (output >= 0) & (last_s > latest_s)
    yield "more of its prompt was cached than there is", (prompt >= 0) & (cached > prompt)


def _attempt_faults(tables: Tables) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    of, rows = partial(tables.values, "attempts"), tables.request_rows
    started_s, finished_s = of("started_s"), of("finished_s")
    orphans = (rows < 0) | (rows >= tables.count("requests"))
    yield "it belongs to no request", orphans
    if not orphans.any():
        arrived_s = tables.values("requests", "arrived_s")[rows]
        left_s = tables.values("requests", "finished_s")[rows]
        yield "it started before its request arrived", started_s < arrived_s
        yield "it started after its request was finished", started_s > left_s
    yield "it finished before it started", finished_s < started_s
    unfinished = tables.are("attempts", "unfinished")
    yield "it is finished without an outcome, or the reverse", np.isnan(finished_s) != unfinished


def _joint_faults(tables: Tables) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    rows, requests = tables.request_rows, tables.count("requests")
    known = (rows >= 0) & (rows < requests)
    counted = np.bincount(rows[known], minlength=requests)
    yield "its attempts are not in their table", counted != tables.values("requests", "attempts")
    node, tried = tables.values("requests", "node"), tables.values("attempts", "node")
    served = np.zeros(requests, dtype=bool)
    answered = known & tables.are("attempts", "ok")
    same = tried[answered] == node[rows[answered]]
    served[rows[answered][same]] = True
    yield "no attempt on its node succeeded", tables.are("requests", "ok") & ~served


def _node_faults(tables: Tables) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    of = partial(tables.values, "node_totals")
    busy_s = of("busy_slot_s")
    most_s = busy_s * (1.0 + _ROUNDING) + _ROUNDING
    yield "more was wasted than used", of("wasted_slot_s") > most_s
    yield "the window was busier than the run", of("window_busy_slot_s") > most_s
    up_s = of("up_s") * (1.0 + _ROUNDING) + _ROUNDING
    yield "it was in use for longer than it was up", of("window_busy_s") > up_s
    node = tables.values("attempts", "node")
    ok = tables.are("attempts", "ok") & (node >= 0)
    service_s = np.nan_to_num(tables.values("attempts", "service_s")[ok], nan=0.0)
    served_s = np.bincount(node[ok], weights=service_s, minlength=len(busy_s))
    yield "it served longer than it was busy", served_s > most_s
