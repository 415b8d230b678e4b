"""Deadlines, retries and backoff in the world: times worked out from the configuration."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsim.federation.budgets import BudgetConfig
from fedsim.federation.gateway import TimeoutConfig
from fedsim.federation.retries import RetryConfig
from fedsim.studies.queueing import attempts_per_request
from fedsim.workload.distributions import Constant, Exponential
from fedsim.world.faults.config import FaultConfig
from fedsim.world.faults.gray import Errors
from fedsim.world.faults.stopping import Outage
from tests.simulated import Federation, run_world, small_world
from tests.theory.workload.uniformity import P_LEAST, ks_p

ROUND_TRIP_S = 0.04
OUTAGE = FaultConfig(Outage(), region="here", at_s=0.0, lasts_s=1e6)


def by_request(attempts, column):
    """Return a column of the attempts table with a row per request, a column per attempt."""
    return attempts.pivot_table(column, "request_id", "attempt", sort=False).to_numpy()


class TestBackoff:
    @pytest.mark.parametrize(
        ("longest_s", "waits_s"),
        [(10.0, [0.1, 0.2, 0.4]), (0.15, [0.1, 0.15, 0.15])],
    )
    def test_without_jitter(self, longest_s, waits_s):
        """A retry starts a round trip and the backoff after the attempt before, to the last bit."""
        config = small_world(
            Constant(1.0), 2.0, 100.0, nodes=5, round_trip_s=ROUND_TRIP_S, faults=[OUTAGE]
        )
        retries = RetryConfig(3, 0.1, longest_s, jitter="none", budget=None)

        outcome = run_world(config, Federation(retries=retries))

        started_s = by_request(outcome.attempts, "started_s")
        finished_s = by_request(outcome.attempts, "finished_s")
        assert started_s.shape == (len(outcome.requests), 4)
        assert np.array_equal(started_s[:, 0], outcome.requests["arrived_s"])
        assert np.array_equal(finished_s, (started_s + ROUND_TRIP_S / 2.0) + ROUND_TRIP_S / 2.0)
        assert np.array_equal(started_s[:, 1:], finished_s[:, :-1] + waits_s)
        assert np.array_equal(finished_s[:, -1], outcome.requests["finished_s"])
        assert (outcome.requests["outcome"] == "node_unreachable").all()

    def test_elsewhere(self):
        """Every retry goes to a node that has not failed yet."""
        config = small_world(Constant(1.0), 2.0, 100.0, nodes=5, faults=[OUTAGE])
        retries = RetryConfig(3, jitter="none", budget=None)

        attempts = run_world(config, Federation(retries=retries)).attempts

        assert (attempts.groupby("request_id")["node"].nunique() == 4).all()

    def test_full_jitter(self):
        """Full jitter waits a share of the backoff that is uniform, of each retry on its own."""
        config = small_world(Constant(1.0), 20.0, 100.0, nodes=5, faults=[OUTAGE])
        retries = RetryConfig(3, 0.1, jitter="full", budget=None)

        attempts = run_world(config, Federation(retries=retries)).attempts

        waits_s = by_request(attempts, "started_s")[:, 1:]
        waits_s = waits_s - by_request(attempts, "finished_s")[:, :-1]
        for share in (waits_s / [0.1, 0.2, 0.4]).T:
            assert ks_p(share) > P_LEAST

    def test_full_nodes(self):
        """A node that is full is left for another at once."""
        config = small_world(
            Exponential(1.0), 3.0, 500.0, nodes=3, queue_limit=0, round_trip_s=ROUND_TRIP_S
        )

        outcome = run_world(config, Federation(retries=RetryConfig(1, budget=None)))

        retried = outcome.attempts.groupby("request_id")["attempt"].transform("max") == 2
        attempts = outcome.attempts[retried]
        first = attempts[attempts["attempt"] == 1].set_index("request_id")
        second = attempts[attempts["attempt"] == 2].set_index("request_id").loc[first.index]
        assert len(first) > 300
        assert (first["outcome"] == "no_capacity").all()
        assert np.array_equal(second["started_s"], first["finished_s"])
        assert (second["node"].astype(str) != first["node"].astype(str)).all()

    def test_budget(self):
        """In no 10 s are there more retries than 10 and the budget's share of the requests."""
        config = small_world(Constant(1.0), 20.0, 100.0, nodes=5, faults=[OUTAGE])

        outcome = run_world(
            config, Federation(retries=RetryConfig(budget=BudgetConfig(0.2), jitter="none"))
        )

        attempts = outcome.attempts[outcome.attempts["attempt"] > 1]
        backoff_s = 0.1 * 2.0 ** (attempts["attempt"] - 2)
        granted_s = np.sort(attempts["started_s"] - backoff_s)
        retries = up_to_10_s_before(granted_s, granted_s)
        requests = up_to_10_s_before(granted_s, outcome.requests["arrived_s"])
        assert (retries <= 1 + 10 + 0.2 * requests).all()
        assert len(granted_s) > 0.2 * len(outcome.requests)


def up_to_10_s_before(now_s, times_s):
    """Return how many of *times_s* lie in the 10 s up to each of *now_s*."""
    rounding_s = 1e-9
    until = np.searchsorted(times_s, now_s + rounding_s)
    return until - np.searchsorted(times_s, now_s - 10.0 - rounding_s)


class TestAmplification:
    """Nodes that fail a share p of the attempts, each by itself."""

    @pytest.mark.parametrize(("probability", "limit"), [(0.1, 1), (0.3, 3), (0.7, 3), (0.5, 8)])
    def test_without_a_budget(self, probability, limit):
        """A request takes (1 - p^(k+1)) / (1 - p) attempts with k retries, within the interval."""
        retries = RetryConfig(limit, 0.01, jitter="full", budget=None)

        attempts = self.attempts(probability, retries)

        numbers = np.arange(1, limit + 2)
        weights = probability ** (numbers - 1) * np.where(numbers <= limit, 1 - probability, 1.0)
        mean = attempts_per_request(probability, limit)
        assert np.sum(numbers * weights) == pytest.approx(mean)
        deviation = np.sqrt(np.sum(numbers**2 * weights) - mean**2)
        z = (attempts.mean() - mean) / (deviation / np.sqrt(len(attempts)))
        assert len(attempts) > 5000
        assert abs(z) < 3.5

    @given(
        st.floats(0.05, 1.0),
        st.integers(1, 8),
        st.sampled_from([0.0, 0.1, 0.5]),
        st.sampled_from([0, 3, 20]),
        st.sampled_from([1.0, 10.0]),
    )
    @settings(max_examples=15)
    def test_under_a_budget(self, probability, limit, share, floor, window_s):
        """Whatever fails, there are no more retries than the budget has room for."""
        retries = RetryConfig(limit, 0.01, 10.0, "full", BudgetConfig(share, floor, window_s))

        attempts = self.attempts(probability, retries, 20.0, 20.0)

        windows = math.ceil(40.0 / window_s)  # what arrives in 20 s is over long before 40 s
        assert attempts.sum() - len(attempts) <= windows * (floor + 1) + share * len(attempts)

    def attempts(self, probability, retries, rate_rps=60.0, duration_s=100.0):
        """Return the number of attempts of each request."""
        errors = FaultConfig(Errors(probability), region="here", at_s=0.0, lasts_s=1e6)
        config = small_world(Constant(0.01), rate_rps, duration_s, nodes=10, faults=[errors])
        return run_world(config, Federation(retries=retries)).requests["attempts"].to_numpy()


class TestDeadlines:
    def test_of_an_attempt(self):
        """An attempt is given up at its deadline to the last bit, and the next one follows."""
        config = small_world(Constant(2.0), 2.0, 50.0, slots=1000, round_trip_s=ROUND_TRIP_S)
        federation = Federation(
            timeout=TimeoutConfig(attempt_s=0.5, request_s=None),
            retries=RetryConfig(2, 0.1, jitter="none", budget=None),
        )

        outcome = run_world(config, federation)

        started_s = by_request(outcome.attempts, "started_s")
        finished_s = by_request(outcome.attempts, "finished_s")
        assert np.array_equal(finished_s, started_s + 0.5)
        assert np.array_equal(started_s[:, 1:], finished_s[:, :-1] + [0.1, 0.2])
        assert (outcome.requests["outcome"] == "timeout").all()
        assert np.array_equal(outcome.requests["finished_s"], finished_s[:, -1])

    def test_frees_the_slot_one_leg_later(self):
        """The node works on a request until the abort reaches it, no longer and no shorter."""
        config = small_world(Constant(2.0), 2.0, 50.0, slots=1000, round_trip_s=ROUND_TRIP_S)

        outcome = run_world(config, Federation(timeout=TimeoutConfig(0.5, None)))

        totals = outcome.tables.node_totals
        expected_s = 0.5 * len(outcome.requests)
        assert totals["wasted_slot_s"].sum() == pytest.approx(expected_s, rel=1e-9)
        assert totals["busy_slot_s"].sum() == pytest.approx(expected_s, rel=1e-9)

    def test_while_the_answer_travels(self):
        """An answer that comes too late was worked on in vain, too."""
        config = small_world(Constant(0.49), 2.0, 50.0, slots=1000, round_trip_s=ROUND_TRIP_S)

        outcome = run_world(config, Federation(timeout=TimeoutConfig(0.5, None)))

        assert (outcome.requests["outcome"] == "timeout").all()
        expected_s = 0.49 * len(outcome.requests)
        totals = outcome.tables.node_totals
        assert totals["wasted_slot_s"].sum() == pytest.approx(expected_s, rel=1e-9)

    def test_of_a_request(self):
        """A request ends at its own deadline to the last bit, whatever attempt it is in.

        One that fails so late that the next backoff would outlast it ends there and then.
        """
        config = small_world(Exponential(2.0), 2.0, 200.0, slots=1000, round_trip_s=ROUND_TRIP_S)
        federation = Federation(
            timeout=TimeoutConfig(attempt_s=0.5, request_s=1.25),
            retries=RetryConfig(5, 0.25, jitter="full", budget=None),
        )

        outcome = run_world(config, federation)

        requests = outcome.requests.set_index("request_id")
        failed = requests[requests["outcome"] == "timeout"]
        last = outcome.attempts.drop_duplicates("request_id", keep="last").set_index("request_id")
        last = last.loc[failed.index]
        at_deadline = failed["finished_s"] == failed["arrived_s"] + 1.25
        at_once = last["finished_s"] == last["started_s"] + 0.5
        assert np.array_equal(failed["finished_s"], last["finished_s"])
        assert (at_deadline ^ at_once).all()
        assert at_deadline.sum() > 50
        assert at_once.sum() > 50
        assert len(failed) < len(requests) - 100
        assert (requests["finished_s"] <= requests["arrived_s"] + 1.25).all()

    def test_that_nobody_misses(self):
        """Deadlines that are never reached change no record."""
        config = small_world(Exponential(1.0), 0.7, 1000.0, round_trip_s=ROUND_TRIP_S)

        without = run_world(config)
        within = run_world(config, Federation(timeout=TimeoutConfig(1000.0, 2000.0)))

        assert without.requests.equals(within.requests)
        assert without.attempts.equals(within.attempts)
