"""The values of the runs of a variant that are worth believing, or why there are none.

Estimates are of the expected value of a window, or of the long run. Tables, charts, knees and
rankings all take them from here, so that none shows what another withholds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsim.errors import ResultsError
from fedsim.results.belief import belief, needed, percentile_of
from fedsim.results.measures import MEASURES
from fedsim.scenario.spec import Scenario
from fedsim.scenario.units import DURATION
from fedsim.studies.observed import PARTS
from fedsim.studies.records import ALL, MEASURE_PLACES, Record
from fedsim.studies.steady import OF_WINDOWS, long_run
from fedsim.workload.arrivals import Modulated

SATURATED = "the fleet was saturated, so that it would say how long the window is"

_FLEET = MEASURE_PLACES["cost_usd_per_hour"]


@dataclass(frozen=True, slots=True, eq=False)
class Believed:
    """The values of the runs of one variant, over all requests.

    Attributes:
        values: A row per run, a column per measure of ``MEASURES``; NaN for none. Their mean over
            runs is the estimate.
        withheld: Why there is no estimate of a measure although runs have values of it, by measure.
        deleted_s: The time that is left out at the beginning of every run for the long run, in
            seconds; NaN for a window, and where nothing of the long run is known.
    """

    values: NDArray[np.float64]
    withheld: Mapping[str, str]
    deleted_s: float = math.nan

    def value(self, measure: str) -> NDArray[np.float64]:
        """Return a measure by run."""
        values: NDArray[np.float64] = self.values[:, MEASURE_PLACES[measure]]
        return values


def estimated(records: Sequence[Record], scenario: Scenario) -> Believed:
    """Return the values of the runs of one variant, however few requests they rest on.

    Args:
        records: The runs.
        scenario: Says whether the long run is asked for, and which window was measured.
    """
    rows = np.array([each.measures[ALL].values[0] for each in records])
    rows = rows.reshape(len(records), len(MEASURES))
    if not records or not scenario.study.steady_state:
        return Believed(rows, {})
    window_s = scenario.duration_s - scenario.warmup_s
    found = long_run([each.observed for each in records if each.observed is not None], window_s)
    known = {name for name in MEASURES if not np.isnan(rows[:, MEASURE_PLACES[name]]).all()}
    values = found.values.copy()
    values[:, _FLEET] = rows[:, _FLEET]
    refused = {name: reason for name, reason in found.refused.items() if name in known}
    settled = not np.isnan(found.values).all()
    deleted_s = scenario.warmup_s + window_s * found.cut / PARTS if settled else math.nan
    return Believed(values, refused, deleted_s)


def believed(records: Sequence[Record], scenario: Scenario, *, saturated: bool) -> Believed:
    """Return the values of the runs of one variant that are worth believing.

    Args:
        records: The runs.
        scenario: Says whether the long run is asked for, and which window was measured.
        saturated: Whether the variant was saturated.
    """
    found = estimated(records, scenario)
    values, reasons = worth_believing(found.values, saturated=saturated)
    return replace(found, values=values, withheld={**found.withheld, **reasons})


def worth_believing(
    rows: NDArray[np.float64], *, saturated: bool
) -> tuple[NDArray[np.float64], dict[str, str]]:
    """Return measures without the percentiles that are not worth believing, and why not.

    Args:
        rows: A row per run, a column per measure of ``MEASURES``; NaN for none.
        saturated: Whether the variant was saturated.
    """
    values, reasons = rows.copy(), {}
    successes = rows[:, MEASURE_PLACES["requests"]] * rows[:, MEASURE_PLACES["success_rate"]]
    count = float(np.nansum(successes))
    for name, place in MEASURE_PLACES.items():
        share = percentile_of(name)
        if share is None or np.isnan(rows[:, place]).all():
            continue
        if saturated:
            reasons[name] = SATURATED
        elif belief(count, share) == "none":
            reasons[name] = (
                f"it needs {needed(share):,} successful requests over all replications, and there "
                f"are {count:,.0f}"
            )
        if name in reasons:
            values[:, place] = math.nan
    return values, reasons


def require_windows(scenario: Scenario, by: str) -> None:
    """Check that there are estimates by group; raises ``ResultsError`` for the long run."""
    if scenario.study.steady_state and by != ALL:
        msg = f"the long run (study.steady_state) is that of all requests, and not by {by}"
        raise ResultsError(msg)


def not_steady(scenario: Scenario) -> list[str]:
    """Return a warning where the long run is asked of a scenario that changes over time."""
    found = [
        f"{fault.kind.name} of {fault.subject} strikes once"
        for fault in scenario.world.faults
        if fault.scripted
    ]
    for stream in scenario.world.streams:
        arrivals, name = stream.traffic.arrivals, stream.traffic.name
        if isinstance(arrivals, Modulated) or arrivals.trace is not None:
            found.append(
                f"the rate of {name} follows {'a curve' if arrivals.trace is None else 'a trace'}"
            )
    if not scenario.study.steady_state or not found:
        return []
    return [
        f"The long run is asked for, and the scenario is not the same at all times: "
        f"{'; '.join(found)}. Estimates are of what is left of the window after the warm-up."
    ]


def reasons(withheld: Mapping[str, str]) -> Iterable[str]:
    """Yield each reason once, with the measures that it holds for.

    That a variant was saturated, and that the long run is not one of nodes, is said elsewhere.
    """
    measures: dict[str, list[str]] = {}
    for name, reason in withheld.items():
        if reason not in {SATURATED, OF_WINDOWS}:
            measures.setdefault(reason, []).append(name)
    for reason, names in measures.items():
        yield f"{', '.join(names)}: {reason}"


def target(
    windows_s: Iterable[float],
    replications: Iterable[int],
    confidence: float,
    deleted_s: Iterable[float] | None = None,
) -> str:
    """Return what estimates are of, such as ``mean of a window of 18min, 10 replications, 95 %``.

    Args:
        windows_s: The length of the window of each variant, in seconds.
        replications: The number of runs of each.
        confidence: The coverage of intervals.
        deleted_s: The time that is left out of the runs of each for the long run, or NaN; None for
            estimates of windows.
    """
    counts = sorted(set(replications))
    text = f"{_ends(counts, str)} replication{'' if counts[-1] == 1 else 's'}"
    if counts[-1] > 1:
        text += f", {100.0 * confidence:g} %"
    if deleted_s is None:
        lengths = sorted(set(windows_s))
        a_window = "a window" if len(lengths) == 1 else "windows"
        return f"mean of {a_window} of {_ends(lengths, DURATION.format)}, {text}"
    cuts = sorted({round(each, 3) for each in deleted_s if not math.isnan(each)})
    deleted = f", warm-up {_ends(cuts, DURATION.format)} deleted" if cuts else ""
    return f"in the long run, {text}{deleted}"


def _ends(values: Sequence[Any], text: Callable[[Any], str]) -> str:
    return " to ".join(dict.fromkeys(text(end) for end in (values[0], values[-1])))
