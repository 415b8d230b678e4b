"""What ran beside a request, against sums made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedsim.studies.calibrate import RequestLog
from fedsim.studies.calibrate.overlap import DECODE, FIRST, Pace, features, met_empty


def log_of(*requests: tuple[float, float, float, int, int]) -> RequestLog:
    """Return a log of requests: arrival, first token, last token, prompt and output tokens."""
    arrived, first, last, prompt, output = (
        np.array(column) for column in zip(*requests, strict=True)
    )
    zeros = np.zeros(len(requests), dtype=np.int64)
    return RequestLog(
        "log",
        arrived,
        first,
        last,
        prompt.astype(np.int64),
        output.astype(np.int64),
        zeros,
        zeros,
        ("",),
    )


TWO = log_of((-0.2, 0.0, 0.1, 100, 11), (0.03, 0.05, 0.1, 50, 6))
"""Steps of 10 ms: the first decodes alone for five of them, then the second beside it."""


class TestFeatures:
    """Sums over the steps of a request."""

    @pytest.mark.parametrize("pace", [None, Pace(0.01, 0.0, 0.0, 0.0, 0.0, 0.0)])
    def test_decoding_is_summed_over_all_that_overlap(self, pace):
        """Contexts are 101 … 110 of the first and 51 … 55 of the second."""
        decode, _ = features(TWO, pace)
        ran = dict(zip(DECODE, decode[0], strict=True))

        assert ran["steps"] == 10
        assert ran["sequences"] == pytest.approx(15)
        assert ran["context"] == pytest.approx(sum(range(101, 111)) + sum(range(51, 56)))
        assert (ran["prompt"], ran["attention"], ran["prefills"]) == (50, 50 * 25, 1)
        assert decode[1] == pytest.approx([5, 10, sum(range(106, 111)) + 265, 0, 0, 0])

    def test_the_wait_for_a_first_token_is_summed_likewise(self):
        """The first met an empty node; the second waited for two steps of the first."""
        _, first = features(TWO)

        assert dict(zip(FIRST, first[0], strict=True))["empty"] == 1
        assert first[0] == pytest.approx([1, 1, 0, 0, 100, 100 * 50, 1])
        assert first[1] == pytest.approx([1, 0, 2, 104 + 105, 50, 50 * 25, 1])

    def test_a_stall_has_no_tokens(self):
        """Where a prefill takes 50 ms, a known pace puts the other's tokens before and after it."""
        log = log_of((-0.2, 0.0, 0.15, 100, 11), (0.04, 0.10, 0.15, 50, 6))
        decode, _ = features(log, Pace(0.01, 0.0, 0.0, 0.001, 0.0, 0.0))

        assert decode[0][DECODE.index("sequences")] == pytest.approx(15)
        assert decode[1] == pytest.approx([5, 10, sum(range(106, 111)) + 265, 0, 0, 0])

    def test_nodes_do_not_mix(self):
        """The same requests on two nodes run alone."""
        apart = replace(TWO, node=np.array([0, 1]), nodes=("a", "b"))
        decode, _ = features(apart)

        assert decode[:, DECODE.index("sequences")] == pytest.approx([10, 5])
        assert met_empty(apart).tolist() == [True, True]
        assert met_empty(TWO).tolist() == [True, False]

    def test_cached_tokens_are_not_prefilled(self):
        """Of a prompt of 50 with 30 cached, 20 are computed, at contexts from 30 on."""
        _, first = features(replace(TWO, cached_tokens=np.array([0, 30])))

        assert first[1][FIRST.index("prompt")] == 20
        assert first[1][FIRST.index("attention")] == 20 * 40

    def test_requests_of_one_token_decode_nothing(self):
        """A log of them has no decoding at all."""
        decode, first = features(log_of((0.0, 0.1, 0.1, 10, 1), (0.2, 0.3, 0.3, 10, 1)))

        assert not decode.any()
        assert first[:, FIRST.index("sequences")].tolist() == [0, 0]
