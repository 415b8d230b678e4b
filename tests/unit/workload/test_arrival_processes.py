"""Renewal, modulated and curved arrivals: their blocks, ends, curves and parameters."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from fedsim.kernel.streams import generator
from fedsim.workload.arrivals import (
    Diurnal,
    GammaRenewal,
    Mmpp,
    Modulated,
    Poisson,
    Regular,
    Spike,
    Steps,
    WeibullRenewal,
    Zone,
)
from fedsim.workload.arrivals.intensity import Intensity

DAY = Diurnal(peak_to_trough=3.0, peak_at_s=14.0, period_s=24.0)
ZONES = (Zone(5.0, -5.0), Zone(3.0, 1.0), Zone(2.0, 9.0))
PROCESSES = [
    GammaRenewal(20.0, 3.0),
    GammaRenewal(20.0, 0.2),
    WeibullRenewal(20.0, 3.0),
    Regular(20.0),
    Mmpp((2.0, 50.0), (3.0, 1.0)),
    Mmpp((0.0, 50.0, 10.0), (3.0, 1.0, 2.0)),
    Modulated(Poisson(20.0), (DAY,)),
    Modulated(GammaRenewal(20.0, 3.0), (DAY, Spike(3.0, 2.0, 5.0)), ZONES),
    Modulated(Mmpp((2.0, 50.0), (3.0, 1.0)), (Steps((0.0, 5.0), (1.0, 0.5)),)),
    Modulated(Regular(20.0), (Steps((0.0, 4.0), (1.0, 0.0), 6.0),)),
]


def all_times(process, until_s, **options):
    """Return the times of all blocks in one list."""
    rng = generator(3, "workload/chat/arrivals")
    return [time_s for block in process.times(rng, until_s, **options) for time_s in block.tolist()]


def curve_values(curves, times_s, until_s=1000.0):
    """Return the values of a product of curves."""
    return Intensity(curves, (Zone(1.0),), until_s).values(np.array(times_s, dtype=float))


@pytest.mark.parametrize("process", PROCESSES, ids=repr)
class TestEveryProcess:
    @pytest.mark.parametrize("block_size", [1, 7, 100])
    def test_block_size(self, process, block_size):
        """The size of the blocks changes no bit of any time, and bounds every block."""
        rng = generator(3, "workload/chat/arrivals")
        blocks = list(process.times(rng, 50.0, block_size))

        assert np.concatenate(blocks).tolist() == all_times(process, 50.0)
        assert all(0 < len(block) <= block_size for block in blocks)

    def test_end(self, process):
        """A longer run begins with the arrivals of a shorter one."""
        short, long = all_times(process, 21.3), all_times(process, 3000.0)

        assert long[: len(short)] == short
        assert short[-1] < 21.3 <= long[len(short)]
        assert long[0] > 0.0
        assert all(np.diff(long) >= 0.0)

    def test_nothing_before_the_first(self, process):
        """A run that ends before the first arrival has none."""
        assert all_times(process, 1e-9) == []

    def test_has_no_trace(self, process):
        """Its times are drawn."""
        assert process.trace is None

    def test_pickles(self, process):
        """It holds no state."""
        copy = pickle.loads(pickle.dumps(process))

        assert copy == process
        assert all_times(copy, 10.0) == all_times(process, 10.0)

    def test_mean_is_below_the_peak(self, process):
        """No mean is above the peak."""
        assert 0.0 < process.mean_rps(30.0) <= process.peak_rps(30.0)


@pytest.mark.parametrize(
    ("once", "twice"),
    [
        (GammaRenewal(4.0, 2.0), GammaRenewal(8.0, 2.0)),
        (WeibullRenewal(4.0, 2.0), WeibullRenewal(8.0, 2.0)),
        (Regular(4.0), Regular(8.0)),
    ],
)
def test_rate_scales_the_times(once, twice):
    """Twice the rate puts the n-th arrival at half its time: common random numbers."""
    before, after = all_times(once, 50.0), all_times(twice, 25.0)

    assert after == pytest.approx([time_s / 2.0 for time_s in before], rel=1e-12)


class TestMmpp:
    def test_rates(self):
        """The mean weighs each state by its sojourn; the peak is the busiest state."""
        process = Mmpp((5.0, 50.0), (60.0, 10.0))

        assert process.mean_rps(1.0) == pytest.approx(800.0 / 70.0)
        assert process.peak_rps(1.0) == 50.0

    def test_takes_turns(self):
        """The states follow each other in their order: here silence, then a crowd, then a few."""
        process = Mmpp((0.0, 1000.0, 10.0), (10.0, 10.0, 10.0))
        gaps_s = np.diff(all_times(process, 3000.0))
        silences = np.flatnonzero(gaps_s[1:-1] > 3.0) + 1

        assert len(silences) > 50
        assert np.median(gaps_s[silences + 1]) < 0.01
        assert np.median(gaps_s[silences - 1]) > 0.02

    @pytest.mark.parametrize(
        ("rates_rps", "sojourns_s", "message"),
        [
            ((5.0,), (60.0,), "a rate and a sojourn for each of at least two states, not 1 rates"),
            ((5.0, 50.0), (60.0,), "not 2 rates and 1 sojourns"),
            ((5.0, -1.0), (60.0, 10.0), "the rate of an mmpp must be at least 0"),
            ((5.0, 50.0), (60.0, 0.0), "the sojourn of an mmpp must be greater than 0"),
            ((0.0, 0.0), (60.0, 10.0), "the greatest_rate of an mmpp must be greater than 0"),
        ],
    )
    def test_refusals(self, rates_rps, sojourns_s, message):
        """States that are none are refused."""
        with pytest.raises(ValueError, match=message):
            Mmpp(rates_rps, sojourns_s)


class TestDiurnal:
    def test_values(self):
        """The mean is 1, the peak is at its time, the trough half a period later."""
        values = curve_values((DAY,), [14.0, 2.0, 8.0, 20.0, 38.0])

        assert values == pytest.approx([1.5, 0.5, 1.0, 1.0, 1.5])
        process = Modulated(Poisson(30.0), (DAY,))
        assert process.mean_rps(24.0) == pytest.approx(30.0)
        assert process.peak_rps(24.0) == pytest.approx(45.0, rel=1e-4)
        assert process.peak_rps(6.0) == pytest.approx(30.0 * (1.0 - 0.5 * 0.5), rel=1e-4)

    def test_peak_is_inside_the_run(self):
        """What begins after the run is no peak of it, however soon after."""
        process = Modulated(Poisson(30.0), (DAY, Spike(24.0 + 1e-6, 1.0, 9.0)))

        assert process.peak_rps(24.0) == pytest.approx(45.0, rel=1e-4)
        assert process.peak_rps(24.1) > 150.0

    def test_flat(self):
        """A ratio of 1 leaves a process as it is, to the last digits."""
        flat = Modulated(Poisson(20.0), (Diurnal(1.0, 14.0, 24.0),))

        assert all_times(flat, 100.0) == pytest.approx(all_times(Poisson(20.0), 100.0), rel=1e-13)

    @pytest.mark.parametrize("ratio", [0.5, math.inf, math.nan])
    def test_refusals(self, ratio):
        """A ratio below 1, or one that leaves nothing at the trough, is refused."""
        with pytest.raises(ValueError, match="the peak_to_trough of a diurnal curve must lie"):
            Diurnal(ratio, 14.0)


class TestSteps:
    def test_values(self):
        """A step holds from its time on; before the first, its level holds too."""
        steps = Steps((1.0, 4.0, 5.0), (2.0, 0.0, 3.0))

        assert curve_values((steps,), [0.0, 1.0, 3.9, 4.0, 5.0, 900.0]).tolist() == [
            *(2.0, 2.0, 2.0),
            *(0.0, 3.0, 3.0),
        ]

    def test_period(self):
        """With a period the steps begin anew, before time 0 as well."""
        steps = Steps((0.0, 4.0), (1.0, 2.0), period_s=10.0)

        assert curve_values((steps,), [0.0, 5.0, 9.5, 10.5, 14.5]).tolist() == [1, 2, 2, 1, 2]
        earlier = Intensity((steps,), (Zone(1.0, -5.0),), 100.0)
        assert earlier.values(np.array([0.0, 4.9, 5.1, 9.1])).tolist() == [2, 2, 1, 2]

    def test_silence(self):
        """While the level is 0 nothing arrives, not even what is due at its beginning."""
        steps = Steps((0.0, 10.0, 20.0), (1.0, 0.0, 1.0))
        lower, upper = Intensity((steps,), (Zone(1.0),), 30.0).times_s(
            np.array([np.nextafter(10.0, 0.0), 10.0])
        )

        assert (lower < 10.0, upper) == (True, 20.0)

    def test_end_of_all(self):
        """A last level of 0 ends the stream, however long the run is."""
        process = Modulated(Poisson(5.0), (Steps((0.0, 10.0), (1.0, 0.0)),))

        assert all_times(process, 1e6) == all_times(Poisson(5.0), 10.0)
        assert process.mean_rps(1000.0) == pytest.approx(0.05)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (((), ()), "steps need a level for each of at least one time, not 0 levels"),
            (((0.0, 1.0), (1.0,)), "not 1 levels for 2 times"),
            (((0.0, 1.0, 1.0), (1.0, 2.0, 3.0)), "the times of steps must ascend"),
            (((-1.0, 1.0), (1.0, 2.0)), "the time of a step must be at least 0"),
            (((0.0,), (-1.0,)), "the level of a step must be at least 0"),
            (((0.0, 1.0), (0.0, 0.0)), "the greatest_level of steps must be greater than 0"),
            (((0.0, 5.0), (1.0, 2.0), 5.0), "the period of steps must be greater than their last"),
        ],
    )
    def test_refusals(self, arguments, message):
        """Steps that are none are refused."""
        with pytest.raises(ValueError, match=message):
            Steps(*arguments)


class TestSpike:
    def test_values(self):
        """It multiplies the rate for a while."""
        spike = Spike(5.0, 2.0, 4.0)

        assert curve_values((spike,), [0.0, 5.0, 6.9, 7.0]).tolist() == [1.0, 4.0, 4.0, 1.0]

    def test_is_at_one_moment_everywhere(self):
        """Zones shift days and steps, and not spikes."""
        spike = Spike(5.0, 2.0, 4.0)

        shifted = Intensity((spike,), ZONES, 100.0).values(np.array([4.0, 5.0, 6.0, 8.0]))
        assert shifted == pytest.approx([1.0, 4.0, 4.0, 1.0])

    def test_refusals(self):
        """A spike of no length, or below nothing, is refused."""
        with pytest.raises(ValueError, match="the length of a spike must be greater than 0"):
            Spike(5.0, 0.0, 2.0)
        with pytest.raises(ValueError, match="the factor of a spike must be at least 0"):
            Spike(5.0, 1.0, -2.0)


class TestProducts:
    def test_are_products(self):
        """Curves multiply, also days of other lengths and of the same."""
        curves = (DAY, Diurnal(2.0, 60.0, 168.0), Spike(30.0, 5.0, 3.0), DAY)
        at_s = [0.0, 31.0, 77.7, 500.0]

        expected = np.prod([curve_values((curve,), at_s) for curve in curves], axis=0)
        assert curve_values(curves, at_s) == pytest.approx(expected)

    def test_shares(self):
        """The shares of zones are those of their parts of the intensity."""
        process = Modulated(Poisson(1.0), (DAY,), ZONES)
        shares = Intensity(process.curves, ZONES, 100.0).shares(np.array([0.0, 13.0]))
        parts = [
            zone.weight * curve_values((DAY,), np.array([24.0, 37.0]) + zone.offset_s)
            for zone in ZONES
        ]

        assert shares == pytest.approx((np.array(parts) / np.sum(parts, axis=0)).T)
