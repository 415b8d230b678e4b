"""What a service objective asks for, and of which streams."""

from __future__ import annotations

import math

import pytest

from fedsim.errors import ResultsError
from fedsim.results.manifest import slo_from_json, slo_to_json
from fedsim.results.slo import Bounded, Part, Slo, Verdict, percentile_share


class TestPercentileShare:
    @pytest.mark.parametrize(
        ("name", "share"),
        [
            ("p5", 0.05),
            ("p50", 0.5),
            ("p05", 0.05),
            ("p99", 0.99),
            ("p999", 0.999),
            ("p9999", 0.9999),
        ],
    )
    def test_share(self, name: str, share: float) -> None:
        """Two digits are a percentage, further ones its decimals."""
        assert percentile_share(name) == share

    @pytest.mark.parametrize("name", ["99", "p", "p99.9", "P99", "mean"])
    def test_not_a_percentile(self, name: str) -> None:
        """Anything else is refused with an example."""
        with pytest.raises(ResultsError, match="is not a percentile; write p50, p99"):
            percentile_share(name)


class TestKeys:
    @pytest.mark.parametrize(
        ("key", "measure", "words"),
        [
            ("latency_p999", "latency_p999_s", "latency p99.9"),
            ("ttft_p99", "ttft_p99_s", "ttft p99"),
            ("queue_wait_p50", "queue_wait_p50_s", "queue wait p50"),
            ("success_rate", "success_rate", "success rate"),
            ("goodput", "goodput_share", "goodput"),
        ],
    )
    def test_of(self, key: str, measure: str, words: str) -> None:
        """A key bounds a measure, and has words for people."""
        bounded = Bounded.of(key)

        assert (bounded.measure, bounded.words) == (measure, words)

    @pytest.mark.parametrize("key", ["latency", "latency_worst", "p99", "throughput_rps"])
    def test_unknown_key_is_refused_at_once(self, key: str) -> None:
        """An objective that could never be judged is not made."""
        with pytest.raises(ResultsError, match=r"write ttft_p99, .* or success_rate, goodput"):
            Slo({key: 1.0})
        with pytest.raises(ResultsError):
            Slo(streams={"chat": {key: 1.0}})


class TestParts:
    SLO = Slo(
        {"success_rate": 0.99, "latency_p99": 30.0, "ttft_p99": 1.0},
        streams={"batch": {"latency_p99": 600.0, "queue_wait_p50": 9.0}},
    )

    def test_streams_replace_key_by_key(self) -> None:
        """A stream's own key covers it alone, and the common one covers the others."""
        chat, batch = ("chat",), ("batch",)

        assert list(self.SLO.parts(("chat", "batch"))) == [
            Part("ttft_p99", 1.0, None, (*chat, *batch)),
            Part("latency_p99", 30.0, None, chat),
            Part("latency_p99", 600.0, "batch", batch),
            Part("queue_wait_p50", 9.0, "batch", batch),
            Part("success_rate", 0.99, None, (*chat, *batch)),
        ]

    def test_a_common_bound_that_all_replace_covers_nothing(self) -> None:
        """It is no part of the objective."""
        parts = Slo({"latency_p99": 1.0}, streams={"a": {"latency_p99": 2.0}}).parts(["a"])

        assert list(parts) == [Part("latency_p99", 2.0, "a", ("a",))]

    def test_limit_of_one_request(self) -> None:
        """One request must meet the bound at the highest percentile, whatever its seconds."""
        slo = Slo(
            {"latency_p999": 9.0, "latency_p50": 1.0, "latency_p99": 12.0, "ttft_p90": 2.0},
            streams={"batch": {"latency_p999": 60.0}, "late": {"latency_p9999": 7.0}},
        )

        assert slo.limit_s("latency") == slo.limit_s("latency", "chat") == 9.0
        assert slo.limit_s("latency", "batch") == 60.0
        assert slo.limit_s("latency", "late") == 7.0
        assert slo.limit_s("ttft", "batch") == 2.0
        assert slo.limit_s("tpot") is None
        assert slo.limits_s("latency", ["chat", "batch"]) == {"": 9.0, "batch": 60.0}


class TestJson:
    def test_round_trip(self) -> None:
        """An objective survives its way through a manifest."""
        slo = Slo({"ttft_p99": 1.0, "goodput": 0.99}, 300.0, {"batch": {"latency_p99": 600.0}})

        assert slo_from_json(slo_to_json(slo)) == slo
        assert slo_from_json(slo_to_json(None)) is None

    def test_of_format_1(self) -> None:
        """Manifests of the first format had latency and success apart."""
        old = {"latency": {"p99": 4.0}, "success_rate": 0.99}

        assert slo_from_json(old) == Slo({"latency_p99": 4.0, "success_rate": 0.99})
        assert slo_from_json(old | {"success_rate": None}) == Slo({"latency_p99": 4.0})


class TestWords:
    @pytest.mark.parametrize(
        ("verdict", "text"),
        [
            (
                Verdict("latency_p99", "latency_p99_s", 8.0, 8.0, True),
                "latency p99 ≤ 8 s: held (8 s)",
            ),
            (
                Verdict("success_rate", "success_rate", 0.99999, 0.99996, False),
                "success rate ≥ 99.999 %: missed (99.996 %)",
            ),
            (
                Verdict(
                    *("ttft_p99", "ttft_p99_s", 1.0, math.nan, False),
                    stream="embed",
                    missing="no tokens",
                    without_tokens=("embed",),
                ),
                "ttft p99 of embed ≤ 1 s: not held, no tokens",
            ),
            (
                Verdict("ttft_p99", "ttft_p99_s", 1.0, 0.5, True, without_tokens=("embed",)),
                "ttft p99 ≤ 1 s: held (0.5 s); no tokens: embed",
            ),
            (
                Verdict(
                    *("goodput", "goodput_share", 0.9, 0.95, False),
                    every_s=60.0,
                    windows=12,
                    windows_held=10,
                ),
                "goodput ≥ 90 %: missed (95 %; in 10 of 12 windows of 60 s)",
            ),
        ],
    )
    def test_sentence(self, verdict: Verdict, text: str) -> None:
        """A verdict says what was asked for, of whom, and what came of it."""
        assert str(verdict) == text
