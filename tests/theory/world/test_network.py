"""Time on the network: exact without jitter, lognormal with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedsim.workload.distributions import Exponential
from fedsim.workload.traffic import Traffic
from fedsim.world.config import RegionConfig
from fedsim.world.network import NetworkConfig
from tests.simulated import HERE, draws_of, run_world, small_world
from tests.theory.replications import Z_MOST, Estimate

SEEDS = (1, 2, 3)
BATCH = 1000


class TestWithoutJitter:
    def test_latency(self):
        """Where nobody waits, latency is round trip plus service, to the last bit."""
        config = small_world(Exponential(1.0), 5.0, 400.0, slots=1000, round_trip_s=0.08)
        draws = draws_of(config)

        requests = run_world(config).requests

        begins_s = draws.arrived_s + 0.08 / 2.0
        finish_s = begins_s + draws.service_s + 0.08 / 2.0
        assert np.array_equal(requests["finished_s"], finish_s)
        assert np.array_equal(requests["latency_s"], finish_s - draws.arrived_s)
        assert (requests["network_s"] == 0.08).all()

    def test_regions(self):
        """Every origin pays the round trip from its own region to the node's."""
        plain = small_world(Exponential(1.0), 5.0, 400.0, slots=1000)
        (pool,), (stream,) = plain.pools, plain.streams
        round_trips_s = {(HERE, "there"): 0.1, ("there", HERE): 0.1}
        traffic = Traffic("chat", ((HERE, 1.0), ("there", 3.0)), stream.traffic.arrivals)
        config = replace(
            plain,
            regions=(RegionConfig(HERE), RegionConfig("there")),
            network=NetworkConfig(0.01, round_trips_s, 0.0),
            streams=(replace(stream, traffic=traffic),),
            pools=(pool, replace(pool, name="other", region="there")),
        )

        requests = run_world(config).requests

        near = requests["origin"].astype(str) == requests["region"].astype(str)
        assert 0.3 < near.mean() < 0.7
        assert np.array_equal(requests["network_s"], np.where(near, 0.01, 0.1))
        parts_s = requests["network_s"] + requests["service_s"]
        assert np.abs(requests["latency_s"] - parts_s).max() < 1e-9

    def test_waits_begin_on_arrival_at_the_node(self):
        """A network in front of a queue delays its input and output, and changes no wait."""
        plain = small_world(Exponential(1.0), 0.8, 1000.0)
        far = replace(plain, network=NetworkConfig(0.5, {}, 0.0))

        waits_s = run_world(far).requests["queue_wait_s"]

        assert np.abs(waits_s - run_world(plain).requests["queue_wait_s"]).max() < 1e-9


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("jitter", [0.05, 0.5])
def test_jitter(jitter, seed):
    """The 95th percentile of a round trip is 1 + jitter times its median, the one configured.

    So half of the round trips are below it and 95 % below 1 + jitter times it; and the ratio of
    the two percentiles has that value in an interval of 3 % or less.
    """
    config = small_world(
        Exponential(0.01), 1000.0, 12.0, slots=1000, round_trip_s=0.2, jitter=jitter, seed=seed
    )

    requests = run_world(config).requests

    trips = requests["network_s"].to_numpy() / 0.2
    for bound, share in ((1.0, 0.5), (1.0 + jitter, 0.95)):
        error = np.sqrt(share * (1.0 - share) / len(trips))
        assert abs((trips < bound).mean() - share) < Z_MOST * error
    ratio = ratio_of_percentiles(trips)
    assert abs(ratio.z(1.0 + jitter)) < Z_MOST
    assert ratio.half_width < 0.03 * (1.0 + jitter)


def ratio_of_percentiles(trips):
    """Return the 95th percentile over the median; its error comes from batches."""
    batches = trips[: len(trips) // BATCH * BATCH].reshape(-1, BATCH)
    median, high = np.quantile(batches, [0.5, 0.95], axis=1)
    ratio = float(np.quantile(trips, 0.95) / np.quantile(trips, 0.5))
    spread = float((high / median).std(ddof=1))
    return Estimate(ratio, spread / len(batches) ** 0.5, len(batches) - 1)
