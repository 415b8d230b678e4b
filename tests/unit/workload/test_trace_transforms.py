"""What may be done to a trace: cutting, spreading, thinning and multiplying."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fedsim.workload.describe import counts_in
from fedsim.workload.traces.trace import Blocks, Labels, Trace
from fedsim.workload.traces.transform import at_rate, cut, spread

COUNT = 20_000
RATE_RPS = 5.0


@pytest.fixture(scope="module")
def bursty():
    """Return a trace of batches of Poisson times: 4 requests at a time, every one with blocks."""
    batches = np.cumsum(rng().standard_exponential(COUNT // 4) * 4.0 / RATE_RPS)
    times_s = np.repeat(batches - batches[0], 4)
    numbers = np.arange(COUNT)
    blocks = Blocks(np.repeat(numbers // 2, 2) + 7, 2 * np.arange(COUNT + 1), 16)
    labels = Labels(numbers % 3, ("a", "b", "c"))
    return Trace(times_s, numbers, numbers % 17, blocks, labels, labels)


def rng(seed=1):
    """Return a generator."""
    return np.random.default_rng(seed)


def idc(times_s, window_s):
    """Return the variance of counts over their mean."""
    counts = counts_in(times_s, window_s)
    return counts.var() / counts.mean()


class TestSpread:
    def test_stays_in_the_bucket_and_in_order(self):
        """Each request is moved by less than a bucket, and never beyond the next recorded time."""
        times_s = np.repeat([0.0, 3.0, 5.999, 30.0, 31.0], 1000)
        trace = Trace(times_s, np.arange(5000), np.arange(5000))
        moved = spread(trace, 3.0)
        widths = np.repeat([3.0, 2.999, 3.0, 1.0, 3.0], 1000)

        assert np.all(np.diff(moved.times_s) >= 0.0)
        assert np.all((moved.times_s >= times_s) & (moved.times_s < times_s + widths))
        assert np.array_equal(moved.prompt_tokens, trace.prompt_tokens)

    def test_is_uniform(self):
        """The places inside a bucket are uniform, by the test of Kolmogorov and Smirnov."""
        count = 10_000
        trace = Trace(np.zeros(count), np.zeros(count, int), np.zeros(count, int))
        places = spread(trace, 3.0).times_s / 3.0
        distance = np.abs(places - (np.arange(count) + 0.5) / count).max()

        assert distance * math.sqrt(count) < 2.0  # exceeded once in 1,500 draws

    def test_repeats_itself(self, bursty):
        """A trace is spread in one way alone."""
        assert np.array_equal(spread(bursty).times_s, spread(bursty).times_s)


class TestCut:
    def test_rows(self, bursty):
        """The requests in the interval are left, with all that belongs to them."""
        part = cut(bursty, 100.0, 200.0)
        rows = part.prompt_tokens

        assert np.array_equal(part.times_s + 100.0, bursty.times_s[rows])
        assert part.times_s[-1] < 100.0
        assert part.times_s[0] >= 0.0
        assert len(rows) == np.count_nonzero((bursty.times_s >= 100.0) & (bursty.times_s < 200.0))
        prompts = part.prompts(slice(0, 9))
        assert prompts is not None
        assert part.tenants is not None
        assert [each.blocks for each in prompts] == [
            (row // 2 + 7, row // 2 + 7) for row in rows[:9].tolist()
        ]
        assert np.array_equal(part.tenants.codes, rows % 3)

    def test_nothing_left(self, bursty):
        """A part without any request is refused."""
        with pytest.raises(ValueError, match=r"no request from 1e\+06 s on: choose a part of its"):
            cut(bursty, 1e6)
        with pytest.raises(ValueError, match="no request from 0 s to 0 s"):
            cut(bursty, 0.0, 0.0)


class TestRate:
    @pytest.mark.parametrize("factor", [0.1, 0.5, 1.0, 1.7, 2.0, 3.25])
    def test_count(self, bursty, factor):
        """The number of requests is the factor times as large, up to the luck of thinning."""
        scaled = at_rate(bursty, factor, rng())
        kept = factor - math.floor(factor)
        deviation = math.sqrt(COUNT * kept * (1.0 - kept))

        assert abs(len(scaled) - factor * COUNT) <= 3.5 * deviation + 1e-6
        assert np.all(np.diff(scaled.times_s) >= 0.0)
        assert scaled.span_s <= bursty.span_s + 1.0

    def test_one_changes_nothing(self, bursty):
        """At a factor of 1 the trace is itself."""
        assert np.array_equal(at_rate(bursty, 1.0, rng()).times_s, bursty.times_s)

    def test_thinning_is_nested(self, bursty):
        """What is kept at one factor is kept at every greater one."""
        few, many = (
            set(at_rate(bursty, each, rng()).prompt_tokens.tolist()) for each in (0.2, 0.6)
        )

        assert few < many

    def test_thinning_makes_bursts_milder(self, bursty):
        """IDC - 1 falls by the factor: exact for independent thinning of any process."""
        excess = idc(bursty.times_s, 10.0) - 1.0
        thinned = at_rate(bursty, 0.5, rng())

        assert idc(thinned.times_s, 10.0) - 1.0 == pytest.approx(0.5 * excess, rel=0.12)

    def test_copies_have_bursts_of_their_own(self, bursty):
        """IDC stays as it is, as for independent sources; copies in step would double it."""
        doubled = at_rate(bursty, 2.0, rng())

        assert idc(doubled.times_s, 10.0) == pytest.approx(idc(bursty.times_s, 10.0), rel=0.12)

    def test_copies_share_no_blocks(self, bursty):
        """The share of blocks that were there before stays the same."""
        blocks = at_rate(bursty, 3.0, rng()).blocks

        assert blocks is not None
        assert len(np.unique(blocks.hashes)) == 3 * len(np.unique(bursty.blocks.hashes))

    @pytest.mark.parametrize("factor", [0.0, -1.0, math.inf, math.nan])
    def test_refused(self, bursty, factor):
        """A factor is positive and finite."""
        with pytest.raises(ValueError, match="rate_factor of a trace must be greater than 0"):
            at_rate(bursty, factor, rng())

    def test_what_all_share_stays_where_it_is(self):
        """Twice a trace with a spike has one spike of twice the height, and none elsewhere."""
        steady, spike = np.linspace(0.0, 900.0, 1800, False), np.linspace(413.0, 473.0, 900, False)
        times_s = np.sort(np.concatenate((steady, spike)))
        trace = Trace(times_s, np.arange(2700), np.arange(2700))
        for seed in range(5):
            counts = counts_in(at_rate(trace, 2.0, rng(seed)).times_s, 1.0)

            assert counts[413:473].sum() == pytest.approx(2 * 1020, rel=0.03)
            assert counts[:400].sum() == pytest.approx(2 * 800, rel=0.03)
            assert counts[480:].sum() == pytest.approx(2 * 840, rel=0.03)

    def test_seeds_differ(self, bursty):
        """What thinning leaves out, and where the copies come, is drawn; the trace stays."""
        for factor in (0.5, 2.0):
            first, again, other = (at_rate(bursty, factor, rng(seed)).times_s for seed in (1, 1, 2))

            assert np.array_equal(first, again)
            assert not np.array_equal(first, other)
        copies = at_rate(bursty, 2.0, rng(7)).times_s
        assert np.isin(bursty.times_s, copies).all()
