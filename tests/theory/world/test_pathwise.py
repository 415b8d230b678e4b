"""Waits, request by request, against recursions over the same draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fedsim.federation.breaker import BreakerConfig
from fedsim.federation.contracts import LoadBalanceStrategy
from fedsim.federation.gateway import TimeoutConfig
from fedsim.federation.health import HealthConfig
from fedsim.federation.policies import HealthPolicy, LocalityPolicy
from fedsim.federation.retries import RetryConfig
from fedsim.results.digest import digest
from fedsim.studies.queueing import kiefer_wolfowitz, lindley, with_losses
from fedsim.workload.distributions import Constant, Exponential, Lognormal, Uniform
from fedsim.world.config import RegionConfig
from fedsim.world.faults.config import FaultConfig
from fedsim.world.faults.gray import Errors, Slowdown
from fedsim.world.faults.stopping import Crash, Outage
from fedsim.world.network import NetworkConfig
from tests.simulated import HERE, Federation, draws_of, run_world, small_world

SERVICES = [Exponential(1.0), Constant(1.0), Lognormal.from_mean_cv(1.0, 2.0), Uniform(0.0, 2.0)]
APART_S = 1e-9


@pytest.mark.parametrize("service", SERVICES, ids=lambda item: type(item).__name__)
@pytest.mark.parametrize("load", [0.3, 0.9, 1.1])
class TestOneNode:
    def test_one_slot(self, service, load):
        """The waits at a node with one slot follow Lindley's recursion, in an overload too."""
        config = small_world(service, load, 1500.0)

        waits_s = run_world(config).requests["queue_wait_s"]

        assert np.abs(waits_s - lindley(draws_of(config))).max() < APART_S

    @pytest.mark.parametrize("slots", [2, 8])
    def test_many_slots(self, service, load, slots):
        """The waits at a node with several slots follow Kiefer and Wolfowitz's recursion."""
        config = small_world(service, load * slots, 2000.0 / slots, slots=slots)

        waits_s = run_world(config).requests["queue_wait_s"]

        assert np.abs(waits_s - kiefer_wolfowitz(draws_of(config), slots)).max() < APART_S

    def test_queue_limit(self, service, load):
        """With a queue limit the same requests are turned away, and the others wait as long."""
        config = small_world(service, load * 4, 500.0, slots=4, queue_limit=4)

        requests = run_world(config).requests

        expected_s = with_losses(draws_of(config), slots=4, room=8)
        lost = np.isnan(expected_s)
        assert (requests["outcome"] == np.where(lost, "no_capacity", "ok")).all()
        assert requests["queue_wait_s"].isna().equals(pd.Series(lost))
        assert np.abs(requests["queue_wait_s"][~lost] - expected_s[~lost]).max() < APART_S


class TestTheRecursions:
    def test_agree(self):
        """One slot is a special case of several, and no limit is a special case of a limit."""
        draws = draws_of(small_world(Exponential(1.0), 0.8, 1000.0))
        waits_s = lindley(draws)

        assert np.abs(waits_s - kiefer_wolfowitz(draws, 1)).max() < APART_S
        assert np.abs(waits_s - with_losses(draws, 1, room=10**9)).max() < APART_S

    def test_by_hand(self):
        """Three requests with one slot, with two, and with one slot and nowhere to wait."""
        visits = [(1.0, 4.0), (2.0, 3.0), (3.0, 1.0)]

        assert lindley(visits).tolist() == [0.0, 3.0, 5.0]
        assert kiefer_wolfowitz(visits, 2).tolist() == [0.0, 0.0, 2.0]
        assert np.array_equal(with_losses(visits, 1, 1), [0.0, np.nan, np.nan], equal_nan=True)


@pytest.mark.parametrize(
    "strategy",
    [LoadBalanceStrategy.ROUND_ROBIN, LoadBalanceStrategy.WEIGHTED_RANDOM],
    ids=lambda item: item.value,
)
@pytest.mark.parametrize("slots", [1, 3])
def test_each_node_of_several(strategy, slots):
    """Whatever a strategy sends to a node waits there as the recursion says."""
    config = small_world(
        Lognormal.from_mean_cv(1.0, 2.0), 3.2 * slots, 500.0 / slots, nodes=4, slots=slots
    )

    requests = run_world(config, Federation(strategy)).requests

    draws = draws_of(config)
    for node in requests["node"].cat.categories:
        rows = np.flatnonzero(requests["node"] == node)
        waits_s = requests["queue_wait_s"].to_numpy()[rows]
        assert len(waits_s) > 100
        assert np.abs(waits_s - kiefer_wolfowitz(draws.take(rows), slots)).max() < APART_S


def test_latency_without_a_network():
    """The client is answered at the instant at which service ends."""
    config = small_world(Exponential(1.0), 0.8, 1000.0)
    requests = run_world(config).requests
    draws = draws_of(config)

    assert np.array_equal(requests["arrived_s"], draws.arrived_s)
    parts_s = requests["queue_wait_s"] + draws.service_s
    assert np.abs(requests["latency_s"] - parts_s).max() < APART_S
    assert (requests["network_s"] == 0.0).all()


class TestStockSteps:
    """SimPy's own ``step`` in place of our run loop."""

    def test_plain_queue(self):
        """A queue gives the same records, bit for bit."""
        config = small_world(Exponential(1.0), 3.0, 500.0, slots=4, nodes_every_s=1.0)

        self.assert_equal(config, Federation())

    @pytest.mark.parametrize("strategy", LoadBalanceStrategy, ids=lambda item: item.value)
    def test_everything_at_once(self, strategy):
        """So does a world with a network, faults, deadlines, retries, breakers and probes."""
        plain = small_world(
            Lognormal.from_mean_cv(0.3, 1.0),
            20.0,
            100.0,
            nodes=3,
            slots=2,
            queue_limit=3,
            round_trip_s=0.01,
            jitter=0.2,
            nodes_every_s=1.0,
            faults=[
                FaultConfig(Outage(), node="node-0", at_s=20.0, lasts_s=15.0),
                FaultConfig(Crash(), pool="node", mtbf_s=40.0, mttr_s=5.0),
                FaultConfig(Slowdown(3.0), node="node-1", at_s=30.0, lasts_s=20.0),
                FaultConfig(Errors(0.5), pool="there", at_s=50.0, lasts_s=10.0),
            ],
        )
        pool = plain.pools[0]
        config = replace(
            plain,
            regions=(RegionConfig(HERE), RegionConfig("there")),
            network=NetworkConfig(0.01, {(HERE, "there"): 0.08, ("there", HERE): 0.08}, 0.2),
            pools=(pool, replace(pool, name="there", region="there")),
        )
        federation = Federation(
            strategy,
            policies=lambda: (HealthPolicy(), LocalityPolicy()),
            timeout=TimeoutConfig(1.0, 3.0),
            retries=RetryConfig(),
            breaker=BreakerConfig(3, 5.0),
            health=HealthConfig(interval_s=2.0, timeout_s=0.5),
        )

        attempts = self.assert_equal(config, federation).attempts

        kinds = {"ok", "timeout", "node_unreachable", "internal", "no_capacity"}
        assert kinds <= set(attempts["outcome"])
        assert attempts["attempt"].max() > 2

    def assert_equal(self, config, federation):
        """Assert that both ways of running give equal tables, and return one of the runs."""
        fast = run_world(config, federation)
        stock = run_world(config, federation, by_stock_steps=True)

        for name in ("requests", "attempts", "nodes", "events", "node_totals"):
            pd.testing.assert_frame_equal(fast.tables[name], stock.tables[name], check_exact=True)
        assert digest(fast.tables) == digest(stock.tables)
        return fast
