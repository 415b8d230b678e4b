"""How large the requests of clients are, by some quantiles and the mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrived import Integers
from fedsim.workload.counts import TOKENS_MAX

Floats = NDArray[np.float64]

LEVELS = np.array(
    (0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1)
)
"""The shares below which the quantiles of a table lie."""

_POWER_MOST = 50.0


@dataclass(frozen=True, slots=True, eq=False)
class LengthTables:
    """Distributions of token counts, of each of which some quantiles and the mean are known.

    Between two quantiles a and b the value is ``a + (b - a) * s ** p`` at the share s of the way,
    with the one p for the whole table that gives it its mean. A straight line, p = 1, would make
    the published means of answers up to 10 % too large: most requests of an interval lie at its
    lower end.

    Attributes:
        quantiles: The quantiles at ``LEVELS``, a row per table, ascending.
        means: The mean of each table.
    """

    quantiles: Floats
    means: Floats

    @property
    def powers(self) -> Floats:
        """The p of each table, between 0.02 and 50."""
        widths = np.diff(LEVELS)
        least = self.quantiles[:, :-1] @ widths
        most = self.quantiles[:, 1:] @ widths
        above = np.maximum(self.means - least, 1e-9)
        powers: Floats = np.maximum(most - least, 1e-9) / above - 1.0
        return np.clip(powers, 1.0 / _POWER_MOST, _POWER_MOST)

    def counts(self, rows: Integers, uniforms: Floats, powers: Floats) -> Integers:
        """Return a draw from the table of each of *rows*, a whole number of at least 1.

        Args:
            rows: Number of a table for each draw.
            uniforms: A uniform in [0, 1) for each.
            powers: What ``powers`` gives.
        """
        places = np.searchsorted(LEVELS, uniforms, side="right") - 1
        share = (uniforms - LEVELS[places]) / (LEVELS[places + 1] - LEVELS[places])
        low, high = self.quantiles[rows, places], self.quantiles[rows, places + 1]
        drawn = np.rint(low + share ** powers[rows] * (high - low))
        counts: Integers = np.clip(drawn, 1, TOKENS_MAX).astype(np.int64)
        return counts


@dataclass(frozen=True, slots=True, eq=False)
class ClientLengths:
    """How large requests are, by window of six hours and client.

    Attributes:
        rows: Number of the table of each window (row) and client (column), or -1 for none.
        prompt: Tables of prompt tokens.
        output: Tables of output tokens, as many.
    """

    rows: NDArray[np.int64]
    prompt: LengthTables
    output: LengthTables
