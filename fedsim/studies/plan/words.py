"""Fleets and verdicts in words, for reports and charts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fedsim.document import percent, plain
from fedsim.scenario.schema.types import is_count_path
from fedsim.studies.plan.box import Point
from fedsim.studies.plan.cases import World
from fedsim.studies.plan.search import Found
from fedsim.studies.plan.verdict import Judgment
from fedsim.studies.points import headings

if TYPE_CHECKING:
    from fedsim.studies.plan.result import Plan

_SWITCHES = ("off", "on")
_UNITS = {"cost": "USD/h", "nodes": "nodes", "slots": "slots"}


def fleet_in_words(plan: Plan, point: Point) -> str:
    """Return a fleet in words, such as ``3 us-h100, 2 eu-a100, least_latency``."""
    short = headings([path for path in plan.spec.vary if not is_count_path(path)])
    words = []
    for path, value in plan.values(point).items():
        if is_count_path(path):
            words += [f"{value} {path.split('.')[1]}"] if value else []
        elif isinstance(value, str) and value not in _SWITCHES:
            words.append(value)
        else:
            shown = _SWITCHES[int(value)] if isinstance(value, bool) else value
            words.append(f"{short[path]} {shown}")
    return ", ".join(words) or "no nodes"


def nodes_in_words(pools: Sequence[str], world: World) -> str:
    """Return the nodes of a world in words, such as ``3 us-h100, 2 eu-a100``."""
    counts = zip(world.counts, pools, strict=True)
    return ", ".join(f"{count} {pool}" for count, pool in counts if count)


def amount_in_words(plan: Plan, place: int) -> str:
    """Return what is minimized, of a fleet, with its unit."""
    minimize, found = plan.spec.minimize, plan.findings
    amount = found.amount(place)
    if found.is_scaled(place):
        text = f"{plain(amount, 4)} {_UNITS[minimize]}"
        unknown = math.isnan(found.measured(place, "nodes_paid_mean"))
        return f"at least {text}" if unknown else f"{text} on average"
    return f"{plain(amount, 4) if minimize == 'cost' else f'{amount:g}'} {_UNITS[minimize]}"


def value_in_words(value: float, *, share: bool) -> str:
    """Return a value of a bound, in seconds or percent."""
    return f"{percent(value)} %" if share else f"{plain(value)} s"


def judgment_in_words(judgment: Judgment) -> str:
    """Return what decides, such as ``latency p95 2.31 s, limit 2 s``."""
    if judgment.reason and judgment.state != "undecided":
        return judgment.reason
    if judgment.measure == "interruption":
        return (
            f"{plain(judgment.value)} requests failed at the loss, limit {judgment.limit:g}"
            + _undecided(judgment)
        )
    share = not judgment.measure.endswith("_s")
    limit = f"{100.0 * judgment.limit:g} %" if share else f"{judgment.limit:g} s"
    value = value_in_words(judgment.value, share=share)
    return f"{judgment.name} {value}, limit {limit}" + _undecided(judgment)


def _undecided(judgment: Judgment) -> str:
    if judgment.state != "undecided":
        return ""
    ends = f"{100.0 * judgment.low:+.1f} to {100.0 * judgment.high:+.1f} %"
    why = judgment.reason or f"from {ends} of the limit"
    more = f"; about {judgment.needed:,} replications would decide" if judgment.needed else ""
    return f" (not decided: {why}{more})"


def found_in_words(found: Found) -> str:
    """Return what became of a fleet, such as ``violated with eu absent: latency p95 …``."""
    where = f", with {found.case}" if found.case else ""
    if found.verdict == "strategy binds":
        return found.reason
    if found.verdict in {"over a limit", "unserved"}:
        return f"{found.reason}{where}"
    if found.judgment is None:
        return found.verdict
    what = judgment_in_words(found.judgment)
    known = f"; {found.reason}" if found.reason and found.reason != what else ""
    return f"{what}{where}{known}"
