"""Little's law and conservation: that the checks of every run see what they should."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from fedsim.federation.retries import RetryConfig
from fedsim.results import conservation
from fedsim.results.tables import NAMES, Tables
from fedsim.workload.distributions import Exponential
from tests import laws
from tests.simulated import Federation, run_world, small_world

SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def outcome():
    """Return a run with waits, losses, retries and prices."""
    config = small_world(
        Exponential(1.0),
        5.0,
        200.0,
        nodes=3,
        slots=2,
        queue_limit=3,
        cost_usd_per_hour=3.0,
        nodes_every_s=0.5,
    )
    return run_world(config, Federation(retries=RetryConfig()))


class TestLittlesLaw:
    @pytest.mark.parametrize("seed", SEEDS)
    def test_requests(self, seed):
        """Mean number in the system = arrival rate × mean stay, as fractions, to the last bit."""
        outcome = run_world(small_world(Exponential(1.0), 0.8, 1000.0, seed=seed))
        requests, length_s = outcome.requests, Fraction(outcome.end_s)

        area_s = conservation.littles_law(requests, outcome.end_s).area_s

        pairs = zip(requests["arrived_s"].tolist(), requests["finished_s"].tolist(), strict=True)
        stays_s = [Fraction(left_s) - Fraction(arrived_s) for arrived_s, left_s in pairs]
        rate_rps = len(stays_s) / length_s
        assert area_s / length_s == rate_rps * (sum(stays_s) / len(stays_s))

    def test_busy_slots(self, outcome):
        """Mean number in service = rate of services × mean service time, at each node."""
        attempts = outcome.attempts[outcome.attempts["outcome"] == "ok"]
        sums_s = attempts.groupby("node", observed=False)["service_s"].sum()

        assert sums_s.to_numpy() == pytest.approx(outcome.tables.node_totals["busy_slot_s"])

    def test_samples(self, outcome):
        """Without a network, the nodes hold whoever the requests table says has not left yet."""
        attempts, samples = outcome.attempts, outcome.tables.nodes
        samples = samples[samples["time_s"] < attempts["finished_s"].max()]
        for node, seen in samples.groupby("node", observed=True):
            here = attempts[(attempts["node"] == node) & (attempts["outcome"] == "ok")]
            came = np.searchsorted(np.sort(here["started_s"]), seen["time_s"], side="right")
            left = np.searchsorted(np.sort(here["finished_s"]), seen["time_s"], side="right")
            assert np.array_equal(came - left, seen["running"] + seen["queued"])


class TestTheChecks:
    """Each law is broken in turn, by as little as possible, and found to be."""

    @staticmethod
    def with_changed(outcome, name, column, row, value):
        """Return the tables with one value changed."""
        frames = {each: outcome.tables[each].copy() for each in NAMES}
        frames[name].loc[row, column] = value
        return Tables({each: partial(frames.__getitem__, each) for each in NAMES})

    def test_the_tables_as_they_are(self, outcome):
        """The tables that a run leaves obey the laws."""
        laws.check(outcome.world, outcome.world._observer)

    @pytest.mark.parametrize("ulps", [1, -1])
    def test_a_stay_that_is_off_by_one_bit(self, outcome, ulps):
        """Little's law and the census find one bit in one request's finish."""
        finish_s = outcome.requests["finished_s"][500]
        value = float(np.nextafter(finish_s, ulps * np.inf))
        tables = self.with_changed(outcome, "requests", "finished_s", 500, value)

        with pytest.raises(AssertionError):
            laws.littles_law(outcome.world, tables, outcome.world._observer)
        with pytest.raises(AssertionError):
            laws.nobody_is_lost(tables, outcome.world._observer)

    def test_a_service_that_is_too_short(self, outcome):
        """Slots are accounted for, and so are the parts of an attempt."""
        row = int(np.flatnonzero(outcome.attempts["outcome"] == "ok")[100])
        short_s = outcome.attempts["service_s"][row] - 1e-6
        tables = self.with_changed(outcome, "attempts", "service_s", row, short_s)

        with pytest.raises(AssertionError):
            laws.slots_are_accounted_for(tables)
        with pytest.raises(AssertionError):
            laws.parts_make_up_attempts(tables)

    def test_a_request_that_is_too_cheap(self, outcome):
        """What requests cost is what the slots cost."""
        tables = self.with_changed(outcome, "requests", "cost_usd", 500, 0.0)

        with pytest.raises(AssertionError):
            laws.slots_are_accounted_for(tables)

    def test_a_counter_that_was_forgotten(self, outcome):
        """A node or a router that still counts somebody when the world is empty is found."""
        world = outcome.world
        node, fleet = world.nodes[0], world.gateways[0][1].router.fleet

        laws.nothing_is_left(world)
        node.queued += 1
        with pytest.raises(AssertionError, match=node.name):
            laws.nothing_is_left(world)
        node.queued -= 1
        fleet.in_flight[1] += 1
        with pytest.raises(AssertionError):
            laws.nothing_is_left(world)
        fleet.in_flight[1] -= 1
