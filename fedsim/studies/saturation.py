"""Whether a fleet was saturated: more came than it can serve, and more and more waited."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedsim.results.tables import Tables
from fedsim.scenario.capacity import capability_table
from fedsim.scenario.offered_load import OfferedLoad
from fedsim.scenario.spec import Scenario
from fedsim.studies.statistics import estimate

LOOKS = 20
"""Number of times in the window at which the requests in the system are counted."""

_CONFIDENCE = 0.98
"""That of the two-sided interval of growth: growth is shown with 99 %."""


def in_system(tables: Tables, warmup_s: float, duration_s: float) -> tuple[int, ...]:
    """Return the number of requests that had arrived and not ended, at equal steps of the window.

    Args:
        tables: The run.
        warmup_s: The beginning of the window, in seconds.
        duration_s: Its end.
    """
    at_s = np.linspace(warmup_s, duration_s, LOOKS)
    arrived_s = np.sort(tables.values("requests", "arrived_s"))
    finished_s = tables.values("requests", "finished_s")
    finished_s = np.sort(finished_s[~np.isnan(finished_s)])
    counts: NDArray[np.intp] = np.searchsorted(arrived_s, at_s, "right") - np.searchsorted(
        finished_s, at_s, "right"
    )
    return tuple(counts.tolist())


def grows(counts: ArrayLike) -> bool:
    """Return whether the requests in the system grow over the window.

    The slopes of the least-squares lines of the replications are independent, so that their mean
    has the interval of any measure; growth is shown where it is above 0 with a confidence of 99 %.

    Args:
        counts: A row per replication, of numbers at equal steps; one row shows nothing.
    """
    found = np.asarray(counts, dtype=np.float64)
    steps = np.arange(found.shape[1]) - (found.shape[1] - 1) / 2.0
    slopes = found @ steps / float(steps @ steps)
    return estimate(slopes, confidence=_CONFIDENCE).low > 0.0


def is_overloaded(scenario: Scenario) -> bool:
    """Return whether as much or more is offered than all nodes together can serve."""
    rows = capability_table(OfferedLoad(scenario))
    return any(row.offered_rps >= row.capacity_rps for row in rows if row.offered_rps > 0.0)
