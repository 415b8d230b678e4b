"""Distributions fitted by maximum likelihood, and what is said of their fit."""

from __future__ import annotations

import numpy as np
import pytest

import fedsim
from fedsim.kernel.streams import Streams
from fedsim.studies.calibrate import LogError, calibrate_service, parse_columns
from fedsim.studies.calibrate.families import FAMILIES, Fitted
from fedsim.workload.distributions import (
    Distribution,
    Exponential,
    Gamma,
    Hyperexponential,
    Lognormal,
    Weibull,
)

SCENARIO = """\
duration: 1min
regions: {here: {}}
workload: {chat: {capability: generate, arrivals: {process: poisson, rate: 1/s}}}
pools:
  chat:
    region: here
    """

TRUE: dict[str, Distribution] = {
    "exponential": Exponential(0.8),
    "lognormal": Lognormal.from_mean_cv(0.8, 0.7),
    "gamma": Gamma.from_mean_cv(0.8, 0.5),
    "weibull": Weibull.from_mean_cv(0.8, 0.4),
    "hyperexponential": Hyperexponential.from_mean_cv(0.8, 2.0),
}


def sample(family: str, count: int = 4000) -> np.ndarray:
    """Return times of a distribution of the family."""
    return TRUE[family].quantiles(Streams(3).generator(f"tests/service/{family}").random(count))


@pytest.fixture(params=FAMILIES)
def family(request):
    """Each family in turn."""
    return request.param


class TestFamilies:
    """Estimators, densities and shares below."""

    def test_the_estimate_is_close_to_the_truth(self, family):
        """Mean and cv of 4,000 times lie within 3.5 standard errors, at most 6 %, of the truth."""
        found = FAMILIES[family](sample(family)).distribution
        true = TRUE[family]

        assert found.mean == pytest.approx(true.mean, rel=3.5 * true.cv / np.sqrt(4000))
        assert found.cv == pytest.approx(true.cv, rel=0.06)

    def test_share_below_is_the_inverse_of_the_quantile(self, family):
        """Both are of the same distribution."""
        fitted = FAMILIES[family](sample(family))
        shares = np.linspace(0.01, 0.99, 25)

        assert fitted.share_below(fitted.distribution.quantiles(shares)) == pytest.approx(shares)

    def test_density_is_the_slope_of_the_share_below(self, family):
        """By central differences."""
        fitted = FAMILIES[family](sample(family))
        times = fitted.distribution.quantiles(np.linspace(0.05, 0.95, 19))
        step = 1e-5
        slope = (fitted.share_below(times + step) - fitted.share_below(times - step)) / (2 * step)

        assert np.exp(fitted.log_density(times)) == pytest.approx(slope, rel=1e-5)

    def test_no_other_member_is_more_likely(self, family):
        """The estimates of a scaled and of a stretched sample fit the sample worse."""
        times = sample(family)
        best, other = FAMILIES[family](times), FAMILIES[family](times * 1.02)

        assert other.distribution.mean == pytest.approx(1.02 * best.distribution.mean, rel=1e-4)
        assert _likelihood(best, times) > _likelihood(other, times)
        spread = FAMILIES[family](times**1.02)
        assert _likelihood(best, times) > _likelihood(spread, times)


def _likelihood(fitted: Fitted, times: np.ndarray) -> float:
    return float(fitted.log_density(times).sum())


class TestCalibration:
    """The command's part for service times."""

    def _log(self, folder, times):
        path = folder / "log.csv"
        starts = np.arange(len(times)) * 10.0
        lines = [
            f"{start:.9f},{start + time:.9f}" for start, time in zip(starts, times, strict=True)
        ]
        path.write_text("start_s,end_s\n" + "\n".join(lines) + "\n")
        return path

    def test_the_true_family_is_picked(self, tmp_path, family):
        """Of 4,000 times half are enough, and nothing speaks against it."""
        fit = calibrate_service(self._log(tmp_path, sample(family)))

        assert fit.family == family
        assert fit.warnings() == []
        assert (fit.fitted_count, len(fit.observed_s)) == (2000, 2000)

    def test_the_snippet_is_a_service_that_a_scenario_takes(self, tmp_path, family):
        """A pool has it as it stands."""
        fit = calibrate_service(self._log(tmp_path, sample(family)))
        (tmp_path / "scenario.yaml").write_text(SCENARIO + fit.snippet())
        loaded = fedsim.load(tmp_path / "scenario.yaml")

        assert f"distribution: {family}" in loaded.to_yaml()

    def test_what_no_family_describes_is_said(self, tmp_path):
        """Times with two peaks far apart fit none."""
        draws = Streams(3).generator("tests/service/peaks")
        times = np.where(draws.random(1000) < 0.5, 0.1, 2.0) * (1.0 + 0.1 * draws.random(1000))
        fit = calibrate_service(self._log(tmp_path, times))

        assert "The held-out times do not come from" in fit.warnings()[0]
        assert fit.fits[0].distance > 0.2

    def test_equal_times_are_constant(self, tmp_path):
        """There is nothing to fit."""
        fit = calibrate_service(self._log(tmp_path, np.full(100, 0.25)))

        assert fit.snippet() == "service: {distribution: constant, value: 250ms}\n"

    def test_a_column_of_service_times_will_do(self, tmp_path):
        """In the unit that its name or the mapping says."""
        path = tmp_path / "log.csv"
        path.write_text("took\n" + "\n".join(f"{time:.6f}" for time in 1000 * sample("gamma", 200)))
        fit = calibrate_service(path, columns=parse_columns(["service=took:ms"]))

        assert fit.distribution.mean == pytest.approx(0.8, rel=0.15)

    def test_times_that_are_not_positive_are_named(self, tmp_path):
        """With their line."""
        times = sample("gamma", 100)
        times[7] = -1.0

        with pytest.raises(LogError, match=r"log.csv:9: The service time is -1 s, not more than 0"):
            calibrate_service(self._log(tmp_path, times))

    def test_too_few_times_are_refused(self, tmp_path):
        """Ten determine no tail."""
        with pytest.raises(LogError, match="It has 10 service times; a fit needs 40"):
            calibrate_service(self._log(tmp_path, sample("gamma", 10)))
