"""Hedges on independent servers: how many there are, and what they do to the tail."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from fedsim.federation.hedging import HedgeConfig
from fedsim.workload.distributions import Exponential, Lognormal
from tests.simulated import Federation, run_world, small_world


class ExponentialLaw:
    """Service times with a mean of 1 s."""

    world = Exponential(1.0)

    def sf(self, x_s):
        """Return the probability of more than *x_s*."""
        return math.exp(-x_s)

    def ppf(self, share):
        """Return the quantile of *share*."""
        return -math.log(1.0 - share)


class LognormalLaw:
    """Service times with a mean of 1 s and a coefficient of variation of 1.5."""

    world = Lognormal.from_mean_cv(1.0, 1.5)
    sigma = math.sqrt(math.log(1.0 + 1.5**2))

    def sf(self, x_s):
        """Return the probability of more than *x_s*."""
        return 1.0 - ndtr(math.log(x_s) / self.sigma + 0.5 * self.sigma) if x_s > 0.0 else 1.0

    def ppf(self, share):
        """Return the quantile of *share*."""
        return math.exp(self.sigma * (ndtri(share) - 0.5 * self.sigma))


def world(law):
    """Return a world in which nobody ever waits, and the network takes no time."""
    return small_world(law.world, 40.0, 300.0, round_trip_s=0.0, nodes=4, slots=10_000)


@pytest.fixture(params=[ExponentialLaw, LognormalLaw])
def law(request):
    """Return a distribution of service times."""
    return request.param()


def z_of_share(count, total, share):
    """Return how many standard errors a share lies from what it should be."""
    return (count / total - share) / math.sqrt(share * (1.0 - share) / total)


@pytest.mark.parametrize("after", [0.5, 0.95])
def test_the_tail(law, after):
    """P(T > x) = (1 - F(x)) (1 - F(x - t)) beyond the hedge's time t, and 1 - F(x) before."""
    after_s = float(law.ppf(after))
    config = HedgeConfig(after_s=after_s, budget=None)

    outcome = run_world(world(law), Federation(parts={"hedge": config}))

    latencies_s = outcome.requests["latency_s"].to_numpy()
    for share in (0.3, 0.9, 0.96, 0.99, 0.999):
        x_s = float(law.ppf(share))
        exceeds = law.sf(x_s) * law.sf(max(x_s - after_s, 0.0))
        z = z_of_share((latencies_s > x_s).sum(), len(latencies_s), exceeds)
        assert abs(z) < 3.5, share
    hedges = outcome.attempts["hedge"].sum()
    assert abs(z_of_share(hedges, len(latencies_s), 1.0 - after)) < 3.5


def test_at_the_p95(law):
    """After the percentile of its own latencies a gateway sends about 5 % more, and no more."""
    config = HedgeConfig("p95", budget=0.1)

    outcome = run_world(world(law), Federation(parts={"hedge": config}))

    requests, hedges = outcome.requests, outcome.attempts[outcome.attempts["hedge"]]
    share = len(hedges) / (len(requests) - 100)
    assert share == pytest.approx(0.05, abs=0.01)
    started_s = (
        hedges["started_s"]
        - requests.set_index("request_id")["arrived_s"].loc[hedges["request_id"]].to_numpy()
    )
    assert started_s.median() == pytest.approx(law.ppf(0.95), rel=0.1)
    plain = run_world(world(law)).requests["latency_s"]
    assert requests["latency_s"].quantile(0.999) < 0.75 * plain.quantile(0.999)


def test_the_loser_s_work_is_wasted_and_paid():
    """The loser's slot time up to the abort, one leg after the answer, is counted and charged."""
    config = small_world(
        Exponential(1.0),
        20.0,
        100.0,
        nodes=4,
        slots=10_000,
        round_trip_s=0.1,
        cost_usd_per_hour=3.6,
    )
    hedge = HedgeConfig(after_s=1.0, budget=None)

    outcome = run_world(config, Federation(parts={"hedge": hedge}))

    attempts, totals = outcome.attempts, outcome.tables.node_totals
    lost = attempts[attempts["outcome"] == "cancelled"]
    hedged = attempts.groupby("request_id")["hedge"].transform("any")
    assert len(lost) == hedged.sum() / 2 > 100
    assert totals["wasted_slot_s"].sum() == pytest.approx(lost["service_s"].sum())
    answers = attempts[attempts["outcome"] == "ok"].set_index("request_id")["finished_s"]
    answered_s = answers.loc[lost["request_id"]].to_numpy()
    assert np.allclose(lost["finished_s"], answered_s)
    served = lost["service_s"].notna()
    aborted_s = lost["started_s"] + 0.05 + lost["service_s"]
    assert (aborted_s <= answered_s + 0.05 + 1e-9)[served].all()
    paid_usd = outcome.requests["cost_usd"].sum()
    assert paid_usd == pytest.approx(totals["busy_slot_s"].sum() / 3600.0 / 10_000 * 3.6)
