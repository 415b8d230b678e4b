"""Arrival processes: their blocks, their ends and their parameters."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fedsim.kernel.streams import generator
from fedsim.workload.arrivals import Poisson, TraceReplay
from fedsim.workload.traces.trace import Trace


def rng():
    """Return the process's stream at its start."""
    return generator(3, "workload/chat/arrivals")


def all_times(process, until_s, **options):
    """Return the times of all blocks in one list."""
    return [
        time_s for block in process.times(rng(), until_s, **options) for time_s in block.tolist()
    ]


def trace_of(*times_s):
    """Return a trace with these times and sizes that count up from 10 and 100."""
    count = len(times_s)
    return Trace(
        np.array(times_s, dtype=float), np.arange(10, 10 + count), np.arange(100, 100 + count)
    )


class TestPoisson:
    @pytest.mark.parametrize("block_size", [1, 7, 100, 4096])
    def test_block_size(self, block_size):
        """The size of the blocks changes no bit of any time."""
        process = Poisson(20.0)

        assert all_times(process, 10.0, block_size=block_size) == all_times(process, 10.0)

    def test_end(self):
        """A longer run begins with the arrivals of a shorter one."""
        short, long = all_times(Poisson(20.0), 10.0), all_times(Poisson(20.0), 500.0)

        assert long[: len(short)] == short
        assert short[-1] < 10.0 <= long[len(short)]
        assert long[0] > 0.0
        assert all(np.diff(long) >= 0.0)

    def test_end_between_blocks(self):
        """No block is empty, also when the end falls exactly on an arrival."""
        times_s = all_times(Poisson(1.0), 100.0)
        for end in (1, 7, 8):
            until_s = times_s[end]
            blocks = list(Poisson(1.0).times(rng(), until_s, block_size=4))
            assert all(len(block) for block in blocks)
            assert np.concatenate(blocks).tolist() == times_s[:end]

    def test_nothing_before_the_first(self):
        """A run that ends before the first arrival has none."""
        assert list(Poisson(1e-6).times(rng(), 1e-9)) == []
        assert list(Poisson(1.0).times(rng(), 0.0)) == []

    def test_rate_scales_the_times(self):
        """Twice the rate puts the n-th arrival at half its time: common random numbers."""
        once, twice = all_times(Poisson(4.0), 20.0), all_times(Poisson(8.0), 10.0)

        assert twice == pytest.approx([time_s / 2.0 for time_s in once], rel=1e-12)

    @pytest.mark.parametrize("rate_rps", [0.0, -1.0, math.inf, math.nan])
    def test_refuses_rates(self, rate_rps):
        """A rate that is no rate is refused."""
        with pytest.raises(
            ValueError, match="the rate of a poisson process must be greater than 0"
        ):
            Poisson(rate_rps)

    def test_has_no_trace(self):
        """Its times are drawn."""
        assert Poisson(2.0).trace is None
        assert Poisson(2.0).mean_rps(60.0) == Poisson(2.0).peak_rps(60.0) == 2.0


class TestTraceReplay:
    @pytest.mark.parametrize("block_size", [1, 2, 3, 4096])
    def test_times(self, block_size):
        """The rows arrive at their times, the first at 0, in blocks of any size."""
        replay = TraceReplay(trace_of(0.0, 1.0, 1.0, 5.0))

        assert all_times(replay, 100.0, block_size=block_size) == [0.0, 1.0, 1.0, 5.0]

    def test_speed(self):
        """Twice the speed halves the times and doubles the rate."""
        replay = TraceReplay(trace_of(0.0, 1.0, 4.0), speed=2.0)

        assert all_times(replay, 100.0) == [0.0, 0.5, 2.0]
        assert replay.mean_rps(4.0) == 0.75

    def test_is_cut(self):
        """What arrives at or after the end of the run is left out."""
        replay = TraceReplay(trace_of(0.0, 1.0, 5.0))

        assert all_times(replay, 5.0) == [0.0, 1.0]
        assert all_times(replay, 0.5) == [0.0]
        assert all_times(replay, 0.0) == []

    def test_mean_and_peak(self):
        """The mean is over the run, the peak over its busiest minute."""
        replay = TraceReplay(trace_of(0.0, 100.0, 130.0, 159.0, 160.0, 300.0))

        assert replay.mean_rps(400.0) == 6 / 400
        assert replay.mean_rps(160.0) == 4 / 160
        assert replay.peak_rps(400.0) == 3 / 60
        assert replay.peak_rps(30.0) == 1 / 30
        assert TraceReplay(replay.trace, speed=2.0).peak_rps(400.0) == 4 / 60
        assert TraceReplay(trace_of(5.0)).peak_rps(1.0) == 0.0

    def test_refuses_speeds(self):
        """A speed that is none is refused."""
        with pytest.raises(ValueError, match="the speed of a trace replay must be greater than 0"):
            TraceReplay(trace_of(0.0), speed=0.0)
