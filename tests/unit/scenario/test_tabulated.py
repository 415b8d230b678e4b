"""A tabulated gamma distribution is the exact one to a small part of each value."""

from __future__ import annotations

import numpy as np
import pytest

from fedsim.scenario.tabulated import TabulatedGamma, tabulated
from fedsim.workload.distributions import Constant, Gamma, Lognormal
from fedsim.workload.sizes import Sizes
from fedsim.workload.tokens import Tokens

EVENLY = (np.arange(10_000) + 0.5) / 10_000


@pytest.mark.parametrize("cv", [0.01, 0.3, 0.6, 1.0, 2.0, 5.0])
def test_close_to_the_exact_quantiles(cv):
    """For any shape, in both tails too."""
    exact = Gamma.from_mean_cv(3.0, cv)
    table = tabulated(exact)

    assert isinstance(table, TabulatedGamma)
    assert table.quantiles(EVENLY) == pytest.approx(exact.quantiles(EVENLY), rel=1e-4)
    assert table.quantile(0.3) == pytest.approx(exact.quantile(0.3), rel=1e-4)
    assert (table.mean, table.cv) == (exact.mean, exact.cv)


def test_all_else_stays():
    """Gamma distributions are found within other values, which otherwise stay what they are."""
    lognormal = Lognormal(0.0, 1.0)
    sizes = Sizes(tokens=Tokens(Gamma(2.0, 100.0), lognormal))
    found = tabulated(sizes)

    assert isinstance(found.tokens, Tokens)
    assert isinstance(found.tokens.prompt, TabulatedGamma)
    assert found.tokens.output is lognormal
    assert tabulated((Constant(1.0), None)) == (Constant(1.0), None)
    plain = Sizes(tokens=Tokens(lognormal, lognormal))
    assert tabulated(plain) is plain
