"""What must hold of the tables of every run: nothing is lost, and time never runs back.

``problems`` is a few passes over the columns, cheap enough for every run. ``littles_law`` is exact
and costs some microseconds a request, for tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
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
    requests, attempts = tables.requests, tables.attempts
    rows = tables.request_rows
    return [
        *_rows("requests", _request_faults(requests)),
        *_rows("attempts", _attempt_faults(requests, attempts, rows)),
        *_rows("requests", _joint_faults(requests, attempts, rows)),
        *_rows("node_totals", _node_faults(tables.node_totals, attempts)),
    ]


def _rows(table: str, faults: Iterator[tuple[str, NDArray[np.bool_]]]) -> Iterator[str]:
    for sentence, faulty in faults:
        where = np.flatnonzero(faulty)
        if len(where):
            yield f"{len(where)} rows of {table}, the first {where[0]}: {sentence}"


def _request_faults(requests: DataFrame) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    arrived_s = requests["arrived_s"].to_numpy()
    finished_s = requests["finished_s"].to_numpy()
    yield "the id is not unique", requests["request_id"].duplicated().to_numpy()
    yield "there is no outcome", requests["outcome"].isna().to_numpy()
    yield "it arrived before its predecessor", np.diff(arrived_s, prepend=0.0) < 0.0
    yield "it finished before it arrived", finished_s < arrived_s
    unfinished = (requests["outcome"] == "unfinished").to_numpy()
    yield "it is finished without an outcome, or the reverse", np.isnan(finished_s) != unfinished
    left_s = requests["latency_s"].to_numpy() + _ROUNDING * np.maximum(finished_s, 1.0)
    for part in ("network_s", "queue_wait_s", "service_s"):
        part_s = requests[part].fillna(0.0).to_numpy()
        yield f"its {part} is negative", part_s < 0.0
        left_s -= part_s
    ok = (requests["outcome"] == "ok").to_numpy()
    yield "its parts are longer than its latency", ok & (left_s < 0.0)
    yield from _token_faults(requests, ok)


def _token_faults(
    requests: DataFrame, ok: NDArray[np.bool_]
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    latency_s, ttft_s = requests["latency_s"].to_numpy(), requests["ttft_s"].to_numpy()
    latest_s = latency_s + _ROUNDING * np.maximum(requests["finished_s"].to_numpy(), 1.0)
    yield (
        "its first token came before it, or after its answer",
        ok & ((ttft_s < 0.0) | (ttft_s > latest_s)),
    )
    output = requests["output_tokens"].to_numpy(np.float64, na_value=np.nan)
    last_s = ttft_s + requests["tpot_s"].to_numpy() * (output - 1.0)
    yield "its last token came after its answer", ok & (last_s > latest_s)
    prompt = requests["prompt_tokens"].to_numpy(np.float64, na_value=np.nan)
    cached = requests["cached_tokens"].to_numpy(np.float64, na_value=np.nan)
    yield "more of its prompt was cached than there is", cached > prompt


def _attempt_faults(
    requests: DataFrame, attempts: DataFrame, rows: NDArray[np.integer[Any]]
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    started_s, finished_s = attempts["started_s"].to_numpy(), attempts["finished_s"].to_numpy()
    orphans = (rows < 0) | (rows >= len(requests))
    yield "it belongs to no request", orphans
    if not orphans.any():
        arrived_s = requests["arrived_s"].to_numpy()[rows]
        left_s = requests["finished_s"].to_numpy()[rows]
        yield "it started before its request arrived", started_s < arrived_s
        yield "it started after its request was finished", started_s > left_s
    yield "it finished before it started", finished_s < started_s
    unfinished = (attempts["outcome"] == "unfinished").to_numpy()
    yield "it is finished without an outcome, or the reverse", np.isnan(finished_s) != unfinished


def _joint_faults(
    requests: DataFrame, attempts: DataFrame, rows: NDArray[np.integer[Any]]
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    known = (rows >= 0) & (rows < len(requests))
    counted = np.bincount(rows[known], minlength=len(requests))
    yield "its attempts are not in their table", counted != requests["attempts"].to_numpy()
    node = requests["node"].cat.codes.to_numpy()
    tried = attempts["node"].cat.codes.to_numpy()
    served = np.zeros(len(requests), dtype=bool)
    answered = known & (attempts["outcome"] == "ok").to_numpy()
    same = tried[answered] == node[rows[answered]]
    served[rows[answered][same]] = True
    ok = (requests["outcome"] == "ok").to_numpy()
    yield "no attempt on its node succeeded", ok & ~served


def _node_faults(totals: DataFrame, attempts: DataFrame) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    busy_s = totals["busy_slot_s"].to_numpy()
    most_s = busy_s * (1.0 + _ROUNDING) + _ROUNDING
    yield "more was wasted than used", totals["wasted_slot_s"].to_numpy() > most_s
    yield "the window was busier than the run", totals["window_busy_slot_s"].to_numpy() > most_s
    up_s = totals["up_s"].to_numpy() * (1.0 + _ROUNDING) + _ROUNDING
    yield "it was in use for longer than it was up", totals["window_busy_s"].to_numpy() > up_s
    node = attempts["node"].cat.codes.to_numpy()
    ok = (attempts["outcome"] == "ok").to_numpy() & (node >= 0)
    served_s = np.bincount(
        node[ok], weights=attempts["service_s"].fillna(0.0).to_numpy()[ok], minlength=len(totals)
    )
    yield "it served longer than it was busy", served_s > most_s
