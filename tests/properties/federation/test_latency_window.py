"""A window's quantiles are those of the samples that it holds, whatever came before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsim.federation.latency import LatencyWindow

samples = st.lists(
    st.tuples(st.floats(0.0, 30.0), st.floats(1e-6, 1e3) | st.sampled_from([0.5, 1.0])),
    min_size=1,
    max_size=60,
)


@given(
    samples=samples, window_s=st.floats(0.5, 90.0), limit=st.integers(1, 40), share=st.floats(0, 1)
)
def test_quantiles_equal_numpy(samples, window_s, limit, share):
    """Median and quantiles are numpy's over the newest samples that are young enough."""
    window = LatencyWindow(window_s, limit)
    now_s = 0.0
    kept: list[tuple[float, float]] = []
    for wait_s, latency_s in samples:
        now_s += wait_s
        window.add(now_s, latency_s)
        kept.append((now_s, latency_s))
        kept = [sample for sample in kept if sample[0] + window_s > now_s][-limit:]

        latencies = [latency_s for _, latency_s in kept]
        assert window.count(now_s) == len(latencies)
        assert window.median_s == pytest.approx(np.percentile(latencies, 50), rel=1e-12)
        assert window.quantile(0.99) == pytest.approx(np.percentile(latencies, 99), rel=1e-12)
        assert window.quantile(share) == pytest.approx(np.quantile(latencies, share), rel=1e-12)
