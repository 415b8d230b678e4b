"""Means over replications of all measures at once, within what each of them can be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fedsim.results.belief import failure_bound
from fedsim.results.measures import MEASURES
from fedsim.studies.records import MEASURE_PLACES
from fedsim.studies.statistics import Estimates, estimates

_LOWEST, _HIGHEST = np.array([measure.bounds for measure in MEASURES.values()]).T
_NO_FAILURES = np.array([name in {"success_rate", "goodput_share"} for name in MEASURES])
"""Where a value of 1 says that none of the requests failed; its interval has the bound of that."""


def measured(rows: NDArray[np.float64], confidence: float) -> Estimates:
    """Return the mean of each measure over replications, with its interval.

    Args:
        rows: A replication each, a column per measure of ``MEASURES``; NaN for none.
        confidence: The coverage of each interval, above 0 and below 1.
    """
    found = estimates(rows, _LOWEST, _HIGHEST, confidence)
    requests = np.nansum(rows[:, MEASURE_PLACES["requests"]])
    whole = _NO_FAILURES & (found.mean == 1.0) & (found.count > 1)
    bound = failure_bound(max(float(requests), 1.0), confidence)
    return replace(found, low=np.where(whole, 1.0 - bound, found.low))
