"""The normal quantiles are scipy's, bit for bit: digests rest on them."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from fedsim.workload.inverse_normal import inverse_normal


def test_same_bits_as_scipy():
    """In the middle, in both tails, and where the formulas change."""
    rng = np.random.default_rng(1)
    bend = 0.13533528323661269189
    u = np.concatenate(
        [
            rng.random(300_000),
            10.0 ** -rng.uniform(0.0, 300.0, 20_000),
            1.0 - 10.0 ** -rng.uniform(0.0, 15.0, 20_000),
            [bend, np.nextafter(bend, 1.0), 1.0 - bend, 0.5, np.exp(-32.0), 5e-324, 1.0 - 2.0**-53],
        ]
    )

    assert np.array_equal(inverse_normal(u), ndtri(u))


def test_no_values():
    """Nothing comes of nothing."""
    assert inverse_normal(np.array([])).shape == (0,)
