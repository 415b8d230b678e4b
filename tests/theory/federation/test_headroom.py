"""The headroom of a pool of equal slots is what the formula of Erlang gives, turned round."""

from __future__ import annotations

import math
from heapq import heapreplace

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import chdtri, stdtrit

import fedsim
from fedsim.studies.queueing import erlang_c

SCENARIO = """\
name: pool
seed: 3
duration: {duration_s:g}s
warmup: {warmup_s:g}s
drain: 10min
regions: {{us: {{}}}}
network: {{within_region: 0ms}}
pools:
  a:
    region: us
    count: 1
    slots: {slots}
    queue_limit: 100000
    service: {{distribution: exponential, mean: 1s}}
workload: {{chat: {{arrivals: {{process: poisson, rate: {rate:g}/s}}}}}}
federation: {{strategy: least_connections, timeout: off, health: off, circuit_breaker: off}}
slo: {{latency_p95: {limit_s:g}s}}
study: {{replications: 8, confidence: 99%}}
"""
WARMUP_S = 500.0


def stay_tail(rate: float, slots: int, stay_s: float) -> float:
    """Return the share of stays above *stay_s* of M/M/c with a mean service of 1 s.

    A stay is a service, and with the probability of Erlang's C an exponential wait before it.
    """
    waits, decay = erlang_c(rate, slots), slots - rate
    if abs(decay - 1.0) < 1e-9:
        decay += 1e-6
    both = (decay * math.exp(-stay_s) - math.exp(-decay * stay_s)) / (decay - 1.0)
    return (1.0 - waits) * math.exp(-stay_s) + waits * both


def percentile_s(rate: float, slots: int, share: float = 0.95) -> float:
    """Return the percentile of the stay in a queue that has run for ever."""
    return float(brentq(lambda at_s: stay_tail(rate, slots, at_s) - 1.0 + share, 0.01, 100.0))


def window_p95_s(draws: np.random.Generator, rate: float, slots: int, window_s: float) -> float:
    """Return p95 of the stays of one window, by the recursion of Kiefer and Wolfowitz (1955)."""
    free_s, stays_s, now_s = [0.0] * slots, [], 0.0
    while now_s < WARMUP_S + window_s:
        now_s += draws.exponential(1.0 / rate)
        end_s = max(now_s, free_s[0]) + draws.exponential(1.0)
        heapreplace(free_s, end_s)
        if now_s >= WARMUP_S:
            stays_s.append(end_s - now_s)
    return float(np.percentile(stays_s, 95.0))


@pytest.mark.slow
@pytest.mark.parametrize(("slots", "limit_s"), [(4, 4.0), (12, 3.5)])
def test_agrees_with_erlang(tmp_path, slots, limit_s):
    """The rate at which p95 is at the limit lies in the interval, as wide as windows make it.

    The interval is that of 99 %: at 95 % the lower end would be too high in one of twenty studies
    that are right. With h the half-width of the mean p95 of 8 windows, as a share of the limit, the
    mean at the lower end is below the limit by h, or by up to 2 h, since steps below h are not
    bisected; at the upper end it is above by as much. Over 8 windows a spread is between
    √(χ²(7) / 7) of the true one. So p95 grows by 2 h to 4 h times that, from one end to the other;
    dividing by how fast p95 grows with the rate, which Erlang gives, leaves the width.
    """
    truth = brentq(lambda rate: stay_tail(rate, slots, limit_s) - 0.05, 0.1, slots - 1e-6)
    rate, window_s = slots / 3.0, 10_000.0 / slots
    text = SCENARIO.format(
        duration_s=WARMUP_S + window_s, warmup_s=WARMUP_S, slots=slots, rate=rate, limit_s=limit_s
    )
    path = tmp_path / "pool.yaml"
    path.write_text(text, encoding="utf-8")
    found = fedsim.headroom(fedsim.load(path), workers=1)
    assert found.status == "found"
    assert found.held * rate <= truth <= found.violated * rate
    draws = np.random.default_rng(slots)
    windows = [window_p95_s(draws, truth, slots, window_s) for _ in range(150)]
    half_width = stdtrit(7, 0.99) * np.std(windows, ddof=1) / math.sqrt(8) / limit_s
    steps = [math.log(percentile_s(truth * each, slots)) for each in (0.99, 1.01)]
    width = half_width * math.log(1.01 / 0.99) / (steps[1] - steps[0])
    least, most = np.sqrt(chdtri(7, [0.995, 0.005]) / 7.0)
    assert 2.0 * least * width <= math.log(found.violated / found.held) <= 4.0 * most * width
