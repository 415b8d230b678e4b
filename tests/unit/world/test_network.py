from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from fedsim.world.network import Network, NetworkConfig

ROUND_TRIPS_S = {("a", "b"): 0.08, ("b", "a"): 0.08, ("a", "c"): 0.2, ("c", "a"): 0.2}
ROUND_TRIPS_S |= {("b", "c"): 0.1, ("c", "b"): 0.1}
KEYS = np.random.default_rng(1).integers(0, 2**64, size=20_000, dtype=np.uint64).tolist()


def network(jitter=0.0):
    """Return three regions."""
    return Network(NetworkConfig(0.002, ROUND_TRIPS_S, jitter), ["a", "b", "c"])


def request(key, stretch=1.0):
    """Return a request with the luck of *key*."""
    return SimpleNamespace(key=key, stretch=stretch)


class TestLegs:
    def test_are_half_a_round_trip(self):
        """A message takes half a round trip, within a region and between two, in any attempt."""
        legs = network()
        for attempt in (1, 2, 3):
            assert legs.leg_s(0, 0, request(7), attempt) == 0.001
            assert legs.leg_s(0, 1, request(7), attempt) == 0.04
            assert legs.leg_s(2, 0, request(7), attempt) == 0.1
        assert legs.median_leg_s(1, 2) == 0.05

    def test_no_distance_has_no_jitter(self):
        """Where a round trip takes no time, jitter adds none."""
        legs = Network(NetworkConfig(0.0, {}, 0.5), ["a"])

        assert legs.leg_s(0, 0, request(7, legs.stretches([7])[0]), 1) == 0.0
        assert legs.leg_s(0, 0, request(7), 2) == 0.0


class TestJitter:
    @pytest.mark.parametrize("jitter", [0.05, 0.5])
    def test_is_the_95th_percentile_over_the_median(self, jitter):
        """The median round trip is the one configured, the 95th percentile 1 + jitter times it."""
        stretches = np.array(network(jitter).stretches(KEYS))
        assert [network(jitter).stretch(key) for key in KEYS[:9]] == pytest.approx(stretches[:9])
        error = 4.0 / math.sqrt(len(KEYS))  # of a share, in standard errors of at most 1/2

        assert np.mean(stretches < 1.0) == pytest.approx(0.5, abs=error)
        assert np.mean(stretches < 1.0 + jitter) == pytest.approx(0.95, abs=error)

    def test_belongs_to_the_request_and_the_attempt(self):
        """The stretch is the same wherever the attempt is sent, and other for another attempt."""
        legs = network(0.2)
        for key in KEYS[:50]:
            first = request(key, legs.stretches([key])[0])
            for attempt in (1, 2, 3):
                near, far = legs.leg_s(0, 0, first, attempt), legs.leg_s(1, 2, first, attempt)
                assert near / 0.001 == pytest.approx(far / 0.05)
            assert len({legs.leg_s(0, 1, first, attempt) for attempt in (1, 2, 3)}) == 3


class TestJitterOfPairs:
    @pytest.mark.parametrize("usual", [0.0, 0.05])
    def test_each_pair_has_its_own(self, usual):
        """A pair's 95th percentile is by its own jitter above its median, the others' by theirs."""
        pairs = {("a", "b"): 0.5, ("b", "a"): 0.5, ("a", "c"): 0.02, ("c", "a"): 0.02}
        config = NetworkConfig(0.002, ROUND_TRIPS_S, usual, jitter_between=pairs)
        legs = Network(config, ["a", "b", "c"])
        error = 4.0 / math.sqrt(len(KEYS))  # of a share, in standard errors of at most 1/2

        requests = [request(*each) for each in zip(KEYS, legs.stretches(KEYS), strict=True)]
        for (source, target), jitter in {(0, 1): 0.5, (2, 0): 0.02, (1, 2): usual}.items():
            times_s = np.array([legs.leg_s(source, target, each, 1) for each in requests])
            times = times_s / legs.median_leg_s(source, target)
            if jitter == 0.0:
                assert (times == 1.0).all()
                continue
            assert np.mean(times < 1.0) == pytest.approx(0.5, abs=error)
            assert np.mean(times < 1.0 + jitter) == pytest.approx(0.95, abs=error)

    def test_one_luck_for_all_ways(self):
        """What is slow to one region is slow to another, in any attempt."""
        pairs = {("a", "b"): 0.5, ("b", "a"): 0.5}
        legs = Network(
            NetworkConfig(0.002, ROUND_TRIPS_S, 0.05, jitter_between=pairs), ["a", "b", "c"]
        )
        requests = [request(key, legs.stretches([key])[0]) for key in KEYS[:200]]
        for attempt in (1, 2):
            near = np.array([legs.leg_s(0, 1, each, attempt) for each in requests])
            far = np.array([legs.leg_s(1, 2, each, attempt) for each in requests])
            assert np.array_equal(near.argsort(), far.argsort())


def test_a_region_may_have_its_own_round_trip():
    """Inside the regions that have a figure it counts, in the others the common one."""
    legs = Network(NetworkConfig(0.002, ROUND_TRIPS_S, 0.0, within_s={"b": 0.006}), ["a", "b", "c"])

    assert [legs.median_leg_s(place, place) for place in range(3)] == [0.001, 0.003, 0.001]
