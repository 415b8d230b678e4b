"""The order of strategies, and what a difference in latency is worth."""

from __future__ import annotations

import math

import pytest

from fedsim.errors import ResultsError
from fedsim.studies.ranking import judged, ranked
from fedsim.studies.statistics import Difference, paired_difference

MEANS = {
    "slow": {"goodput_share": 0.90, "success_rate": 1.00, "latency_p99_s": 9.0},
    "fast": {"goodput_share": 0.95, "success_rate": 1.00, "latency_p99_s": 4.0},
    "sheds": {"goodput_share": 0.80, "success_rate": 0.80, "latency_p99_s": 1.0},
}


def fails_more(strategy):
    """Whether a strategy fails more than the best."""
    return strategy == "sheds"


def test_goodput_ranks():
    """Strategies are ranked by goodput, more being better."""
    order = ranked(list(MEANS), MEANS, "goodput_share", fails_more)
    assert order == ["fast", "slow", "sheds"]


def test_latency_ranks_only_those_that_fail_no_more():
    """A strategy that fails its slow requests is last by latency, though its tail is short."""
    order = ranked(list(MEANS), MEANS, "latency_p99_s", fails_more)
    assert order == ["fast", "slow", "sheds"]


def test_equal_goodput_is_decided_by_success_and_latency():
    """Of equal goodputs the higher success rate comes first, then the shorter tail."""
    means = {
        name: {"goodput_share": 0.9, "success_rate": success, "latency_p99_s": p99_s}
        for name, success, p99_s in [("a", 0.9, 3.0), ("b", 0.9, 2.0), ("c", 0.95, 9.0)]
    }
    assert ranked(list(means), means, "goodput_share", fails_more) == ["c", "b", "a"]


def test_no_value_comes_last():
    """A strategy without a value, for lack of a success, is ranked last."""
    means = {"none": dict.fromkeys(MEANS["slow"], math.nan), **MEANS}
    assert ranked(list(means), means, "goodput_share", fails_more)[-1] == "none"


def test_measures_without_a_direction_cannot_rank():
    """Neither more nor less traffic across regions is better, so it ranks nothing."""
    with pytest.raises(ResultsError, match="neither more nor less of it is better"):
        ranked(list(MEANS), MEANS, "cross_region_share", fails_more)
    with pytest.raises(ResultsError, match="there is no measure 'latency'"):
        ranked(list(MEANS), MEANS, "latency", fails_more)


def differing(mean: float) -> Difference:
    """Return a difference that is shown."""
    return paired_difference([mean, 1.01 * mean, 0.99 * mean], [0.0, 0.0, 0.0])


def test_a_shorter_tail_of_fewer_successes_is_not_comparable():
    """Latency is not better where the success rate is worse, nor worse where it is better."""
    shorter, longer = differing(-2.0), differing(2.0)
    fewer, more = differing(-0.1), differing(0.1)
    assert judged("latency_p99_s", shorter, shorter.p, fewer) == "not comparable"
    assert judged("latency_p99_s", longer, longer.p, more) == "not comparable"
    assert judged("latency_p99_s", shorter, shorter.p, more) == "better"
    assert judged("latency_p99_s", longer, longer.p, fewer) == "worse"
    assert judged("cost_usd_per_hour", shorter, shorter.p, fewer) == "better"
    assert judged("latency_p99_s", longer, 0.06, fewer) == "no difference shown"
