"""Predicted against measured times of requests, and what their errors say of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedsim.studies.calibrate.log import Floats, RequestLog

if TYPE_CHECKING:
    from pandas import DataFrame

MEASURES = {"ttft_s": "TTFT", "tpot_s": "time per output token", "latency_s": "end to end"}
"""What is compared, by the name of a property of ``RequestLog``, and in words."""

STATISTICS = ("mean", "p50", "p90", "p99")

POOR = 0.15
"""A mean error of single requests, or an error of a mean or percentile, that is worth a warning."""

USELESS = 0.5
"""A mean error of single requests with which nothing can be predicted."""

_PERCENTILES = (50.0, 90.0, 99.0)
_FEWEST = 5


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """Predicted and measured times of some requests.

    Attributes:
        measured: The log.
        predicted: The same requests with simulated times.
        rows: The requests that count.
    """

    measured: RequestLog
    predicted: RequestLog
    rows: NDArray[np.bool_]

    def pairs(self, measure: str) -> tuple[Floats, Floats]:
        """Return measured and predicted times where both are known and more than 0."""
        measured, predicted = getattr(self.measured, measure), getattr(self.predicted, measure)
        known = self.rows & (measured > 0.0) & (predicted > 0.0)
        return measured[known], predicted[known]

    def error(self, measure: str) -> float:
        """Return the mean absolute error of single requests relative to the measured time."""
        measured, predicted = self.pairs(measure)
        return float(np.mean(np.abs(predicted / measured - 1.0))) if len(measured) else float("nan")

    def table(self) -> DataFrame:
        """Return a row per measure and statistic: measured, predicted, and relative error."""
        import pandas as pd

        rows = []
        for measure in MEASURES:
            both = self.pairs(measure)
            if len(both[0]) < _FEWEST:
                continue
            for statistic, measured, predicted in zip(
                STATISTICS, _statistics(both[0]), _statistics(both[1]), strict=True
            ):
                rows.append((measure, statistic, measured, predicted, predicted / measured - 1.0))
        columns = ["measure", "statistic", "measured_s", "predicted_s", "relative_error"]
        return pd.DataFrame(rows, columns=columns)

    def requests(self) -> DataFrame:
        """Return a row per request that counts: what it asked for, measured and predicted times."""
        import pandas as pd

        columns: dict[str, object] = {
            "arrived_s": self.measured.arrived_s,
            "node": np.array(self.measured.nodes)[self.measured.node],
            "prompt_tokens": self.measured.prompt_tokens,
            "cached_tokens": self.measured.cached_tokens,
            "output_tokens": self.measured.output_tokens,
        }
        for measure in MEASURES:
            columns[f"{measure[:-2]}_measured_s"] = getattr(self.measured, measure)
            columns[f"{measure[:-2]}_predicted_s"] = getattr(self.predicted, measure)
        return pd.DataFrame(columns)[self.rows].reset_index(drop=True)

    def warnings(self) -> list[str]:
        """Return what the engine gets wrong, as sentences; none where it is a good model."""
        found = []
        for measure, words in MEASURES.items():
            error = self.error(measure)
            if error > POOR:
                found.append(
                    f"The {words} of single requests is off by {100.0 * error:.0f} % in the mean."
                )
        table = self.table()
        found += [
            f"The {row.statistic} of the {MEASURES[str(row.measure)]} is predicted as "
            f"{row.predicted_s:.3g} s and was {row.measured_s:.3g} s."
            for row in table[table["relative_error"].abs() > POOR].itertuples()
        ]
        return found


def _statistics(times_s: Floats) -> Sequence[float]:
    return [float(times_s.mean()), *np.percentile(times_s, _PERCENTILES).tolist()]
