"""Whether counts can be chance."""

from __future__ import annotations

from collections.abc import Sequence

from scipy.special import chdtrc


def p_of_even(counts: Sequence[int]) -> float:
    """Return the p-value of *counts*, of all cells, if each cell is as likely: a chi-square test.

    Counts more even than chance, as turns make them, give a value near 1.
    """
    mean = sum(counts) / len(counts)
    return float(chdtrc(len(counts) - 1, sum((count - mean) ** 2 for count in counts) / mean))
