"""Service objectives and their verdicts."""

from __future__ import annotations

import math

import pytest

from fedsim.errors import ResultsError
from fedsim.results.slo import Slo, percentile_share, verdicts
from tests.fake_world import FakeWorld


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


class TestSlo:
    def test_unknown_percentile_is_refused_at_once(self) -> None:
        """An objective that could never be judged is not made."""
        with pytest.raises(ResultsError):
            Slo({"worst": 1.0})

    def test_limit_of_one_request(self) -> None:
        """One request must meet the limit at the highest percentile, whatever its seconds."""
        assert Slo({"p999": 9.0, "p50": 1.0, "p99": 5.0}).latency_limit_s == 9.0
        assert Slo(success_rate=0.9).latency_limit_s is None


class TestVerdicts:
    def test_held_at_the_bound(self) -> None:
        """A value equal to its bound holds it."""
        found = verdicts(Slo({"p99": 8.0}, 0.999), 0.999, {"p99": 8.0})

        assert [verdict.held for verdict in found] == [True, True]
        assert str(found[0]) == "latency_p99_s at most 8 s: held (8 s)"
        assert str(found[1]) == "success_rate at least 0.999: held (0.999)"

    def test_not_measured(self) -> None:
        """Where no request succeeded, nothing is held."""
        found = verdicts(Slo({"p99": 8.0}, 0.0), math.nan, {"p99": math.nan})

        assert not any(verdict.held for verdict in found)
        assert str(found[0]) == "latency_p99_s at most 8 s: missed (not measured)"

    def test_of_a_run(self) -> None:
        """A run judges percentiles that its summary does not show."""
        run = FakeWorld(duration_s=60.0).run(slo=Slo({"p42": 1e-9}, 0.0))

        latency, success = run.verdicts()

        assert latency.objective == "latency_p42_s"
        assert not latency.held
        assert success.held

    def test_no_objective(self) -> None:
        """A run without an objective has no verdicts."""
        assert FakeWorld(duration_s=5.0).run(slo=None).verdicts() == []
