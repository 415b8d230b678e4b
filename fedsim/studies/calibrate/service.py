"""Fits a distribution to measured service times, and says how well it fits other times."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedsim.scenario.units import DURATION
from fedsim.studies.calibrate.families import FAMILIES, Fitted
from fedsim.workload.distributions import Constant, Distribution, Lognormal
from fedsim.workload.logs.cells import LogError, log_name, read_cells
from fedsim.workload.logs.columns import Column, LogColumns
from fedsim.workload.logs.failures import left_out, without_failures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

LEAST_TIMES = 40
"""Fewer service times are refused."""

_NOT_ONE = 0.01
_SAME = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class FamilyFit:
    """A family fitted to one part of the times and compared with the other.

    Attributes:
        fitted: The distribution.
        log_likelihood: Mean logarithmic density of the held-out times.
        distance: The greatest difference between the shares below any time, held out and fitted:
            the Kolmogorov-Smirnov distance.
        probability: The probability of so great a distance if the held-out times came from the
            distribution.
    """

    fitted: Fitted
    log_likelihood: float
    distance: float
    probability: float


@dataclass(frozen=True, slots=True, eq=False)
class ServiceFit:
    """What ``calibrate_service`` found.

    Attributes:
        name: The log's name.
        fits: The families, the one with the greatest held-out likelihood first; none where all
            times are equal.
        observed_s: The held-out times in ascending order.
        fitted_count: Number of times that were fitted.
        distribution: The best one.
        left_out: What was left out of the file, as sentences.
    """

    name: str
    fits: tuple[FamilyFit, ...]
    observed_s: NDArray[np.float64]
    fitted_count: int
    distribution: Distribution
    left_out: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<ServiceFit of {self.name:.40}: {self.family}, {self.fitted_count:,} times fitted>"

    @property
    def family(self) -> str:
        """What a scenario calls the best distribution."""
        return self.fits[0].fitted.family if self.fits else "constant"

    def summary(self) -> DataFrame:
        """Return a row per family, the best first."""
        import pandas as pd

        return pd.DataFrame(
            {
                "log_likelihood": fit.log_likelihood,
                "ks_distance": fit.distance,
                "ks_probability": fit.probability,
                "mean_s": fit.fitted.distribution.mean,
                "cv": fit.fitted.distribution.cv,
                "p99_s": fit.fitted.distribution.quantile(0.99),
            }
            for fit in self.fits
        ).set_axis(pd.Index([fit.fitted.family for fit in self.fits], name="family"))

    def warnings(self) -> list[str]:
        """Return what speaks against the best distribution, as sentences."""
        found = list(self.left_out)
        if self.fits and self.fits[0].probability < _NOT_ONE:
            fit = self.fits[0]
            found.append(
                f"The held-out times do not come from the {self.family} distribution: the shares "
                f"below a time differ by up to {100.0 * fit.distance:.1f} points, which chance "
                f"alone would do with probability {fit.probability:.1g}. It is the best of these "
                "families, not a good one; compare the percentiles, or use distribution: empirical."
            )
        return found

    def snippet(self) -> str:
        """Return the distribution as a pool of a scenario would have it."""
        return f"service: {_settings(self.family, self.distribution)}\n"

    def plot(self, *, ax: Axes | None = None) -> Figure:
        """Draw the held-out times and the fitted distributions."""
        from fedsim.charts.calibration import service_fit

        return service_fit(
            self.observed_s,
            {fit.fitted.family: fit.fitted.share_below for fit in self.fits},
            subtitle=f"{self.name} · fitted to {self.fitted_count:,} times · shown "
            f"n = {len(self.observed_s):,} others",
            ax=ax,
        )


def read_service_times(
    path: str | PathLike[str], columns: Mapping[str, Column] | None = None
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Read service times, in the order of the file.

    Args:
        path: A CSV, JSON lines or Parquet file with a service time, or start and end, per row.
        columns: Columns by field, where they do not have one of the known names.

    Returns:
        The times in seconds, and what was left out, as sentences.

    Raises:
        LogError: The file cannot be read, a column is missing, or times are not more than 0.
    """
    cells, failures = without_failures(read_cells(path), columns or {})
    found = LogColumns(cells, columns or {})
    found.require("service", "start")
    if "service" in found:
        times_s = found.times_s("service")
    else:
        found.require("end")
        times_s = found.times_s("end") - found.times_s("start")
    known = np.isfinite(times_s)
    wrong = np.flatnonzero(known & ~(times_s > 0.0)).tolist()
    if wrong:
        problems = [
            (cells.lines[row], f"The service time is {times_s[row]:g} s, not more than 0.")
            for row in wrong
        ]
        raise LogError(cells.file, problems, "Correct or remove such rows.")
    return times_s[known], failures + left_out(int((~known).sum()), ", without a service time")


def calibrate_service(
    path: str | PathLike[str], *, columns: Mapping[str, Column] | None = None
) -> ServiceFit:
    """Fit distributions to every second service time of a log, and compare them on the others.

    Args:
        path: A CSV, JSON lines or Parquet file with a service time, or start and end, per row.
        columns: Columns by field, where they do not have one of the known names.

    Raises:
        LogError: The file cannot be used, or it holds too few times.
    """
    times_s, left_out = read_service_times(path, columns)
    if len(times_s) < LEAST_TIMES:
        message = f"It has {len(times_s):,} service times; a fit needs {LEAST_TIMES} at least."
        raise LogError(str(path), [(None, message)], "Several hundred are better; log for longer.")
    name = log_name(path)
    fitted, held_out = times_s[::2], np.sort(times_s[1::2])
    if np.ptp(times_s) <= _SAME * times_s.max():
        constant = Constant(float(times_s.mean()))
        return ServiceFit(name, (), held_out, len(fitted), constant, left_out)
    fits = [_compared(fit(fitted), held_out) for fit in FAMILIES.values()]
    fits.sort(key=lambda fit: (-round(fit.log_likelihood, 4), fit.fitted.parameters))
    best = fits[0].fitted.distribution
    return ServiceFit(name, tuple(fits), held_out, len(fitted), best, left_out)


def _compared(fitted: Fitted, held_out: NDArray[np.float64]) -> FamilyFit:
    from scipy.special import kolmogorov

    count = len(held_out)
    below = fitted.share_below(held_out)
    ranks = np.arange(count + 1) / count
    distance = float(max((ranks[1:] - below).max(), (below - ranks[:-1]).max()))
    # The limit law with the correction of Stephens (1970) for a finite sample.
    root = math.sqrt(count)
    probability = float(kolmogorov((root + 0.12 + 0.11 / root) * distance))
    likelihood = float(fitted.log_density(held_out).mean())
    return FamilyFit(fitted, likelihood, distance, probability)


def _settings(family: str, distribution: Distribution) -> str:
    """Return a distribution in the words of a scenario, with four significant digits."""
    if isinstance(distribution, Constant):
        return f"{{distribution: constant, value: {_duration(distribution.value)}}}"
    words = f"{{distribution: {family}, "
    if isinstance(distribution, Lognormal):
        median, p99 = distribution.quantile(0.5), distribution.quantile(0.99)
        return f"{words}median: {_duration(median)}, p99: {_duration(p99)}}}"
    words += f"mean: {_duration(distribution.mean)}"
    return f"{words}}}" if family == "exponential" else f"{words}, cv: {distribution.cv:.4g}}}"


def _duration(seconds: float) -> str:
    return DURATION.format(float(f"{seconds:.4g}"))
