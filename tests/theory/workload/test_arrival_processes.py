"""Renewal, modulated and curved arrivals against closed forms and against thinning."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import gammainc, kolmogorov

from fedsim.kernel.streams import Streams, generator
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
from fedsim.workload.traffic import Traffic
from tests.theory.workload.uniformity import P_LEAST, Z_MOST, chi_square_p, correlation_z, ks_p

BATCHES = 25


def times_s(process, until_s, seed=1):
    """Return the arrival times of a process."""
    rng = generator(seed, "workload/chat/arrivals")
    return np.concatenate([*process.times(rng, until_s), np.empty(0)])


def counts_in(process, window_s, windows, seed=1):
    """Return the numbers of arrivals in consecutive windows, a row per batch of windows."""
    until_s = window_s * windows * BATCHES
    counts, _ = np.histogram(times_s(process, until_s, seed), windows * BATCHES, (0.0, until_s))
    return counts.reshape(BATCHES, windows).astype(float)


def z_of(estimates, expected):
    """Return how far the mean of independent estimates is off, in standard errors."""
    error = np.std(estimates, ddof=1) / math.sqrt(len(estimates))
    return (np.mean(estimates) - expected) / error


def dispersion_z(process, window_s, windows, expected):
    """Return how far the index of dispersion of counts is off, in standard errors.

    The mean that it divides by is the exact one, so that the estimates have no bias to speak of.
    """
    counts = counts_in(process, window_s, windows)
    mean = process.mean_rps(1.0) * window_s
    return z_of(((counts - mean) ** 2).mean(axis=1) / mean, expected)


def gamma_cdf(gaps, cv):
    """Return the distribution function of gamma gaps of mean 1."""
    return gammainc(cv**-2.0, gaps * cv**-2.0)


def gamma_rest_cdf(gaps, cv):
    """Return that of what is left of such a gap at any time: the integral of the survival."""
    longer = gammainc(cv**-2.0 + 1.0, gaps * cv**-2.0)
    return gaps * (1.0 - gamma_cdf(gaps, cv)) + longer


def weibull_parameters(process):
    """Return shape and scale of Weibull gaps of mean 1."""
    shape = process._gaps.shape
    return shape, 1.0 / math.gamma(1.0 + 1.0 / shape)


def weibull_cdf(gaps, process):
    """Return the distribution function of Weibull gaps of mean 1."""
    shape, scale = weibull_parameters(process)
    return -np.expm1(-((gaps / scale) ** shape))


def weibull_rest_cdf(gaps, process):
    """Return that of what is left of such a gap at any time."""
    shape, scale = weibull_parameters(process)
    longer = gammainc(1.0 + 1.0 / shape, (gaps / scale) ** shape)
    return gaps * (1.0 - weibull_cdf(gaps, process)) + longer


def rescaled(uniforms, least=0.05):
    """Return those above *least*, spread over the unit interval.

    The shortest of bursty gaps are shorter than a digit of the times that they lie between.
    """
    return (uniforms[uniforms > least] - least) / (1.0 - least)


class TestRenewal:
    RATE_RPS = 20.0

    @pytest.mark.parametrize("cv", [0.3, 1.0, 2.5])
    def test_gamma_gaps(self, cv):
        """The gaps are gamma distributed with this cv, and independent."""
        gaps = self.RATE_RPS * np.diff(times_s(GammaRenewal(self.RATE_RPS, cv), 3000.0))
        uniforms = rescaled(gamma_cdf(gaps, cv))

        assert ks_p(uniforms) > P_LEAST
        assert abs(correlation_z(uniforms[:-1], uniforms[1:])) < Z_MOST

    @pytest.mark.parametrize("cv", [0.3, 1.0, 2.5])
    def test_weibull_gaps(self, cv):
        """The gaps are Weibull distributed with this cv, and independent."""
        process = WeibullRenewal(self.RATE_RPS, cv)
        gaps = self.RATE_RPS * np.diff(times_s(process, 3000.0))
        uniforms = rescaled(weibull_cdf(gaps, process))

        assert ks_p(uniforms) > P_LEAST
        assert abs(correlation_z(uniforms[:-1], uniforms[1:])) < Z_MOST
        assert process._gaps.cv == pytest.approx(cv, rel=1e-9)

    @pytest.mark.parametrize("cv", [0.3, 2.5])
    def test_first_arrival(self, cv):
        """The first arrival comes after what is left of a gap that time 0 falls into."""
        weibull = WeibullRenewal(self.RATE_RPS, cv)
        for process, cdf in (
            (GammaRenewal(self.RATE_RPS, cv), lambda gaps: gamma_rest_cdf(gaps, cv)),
            (weibull, lambda gaps: weibull_rest_cdf(gaps, weibull)),
            (Regular(self.RATE_RPS), lambda gaps: gaps),
        ):
            firsts = np.array(
                [next(process.times(generator(seed, "x"), 1e9))[0] for seed in range(2000)]
            )
            assert ks_p(cdf(self.RATE_RPS * firsts)) > P_LEAST

    @pytest.mark.parametrize("make", [GammaRenewal, WeibullRenewal])
    def test_count_from_the_start(self, make):
        """The expected count is the rate times the time also right after the start."""
        process = make(self.RATE_RPS, 3.0)
        counts = [len(times_s(process, 1.0, seed)) for seed in range(3000)]

        assert abs(z_of(counts, self.RATE_RPS)) < Z_MOST

    @pytest.mark.parametrize("cv", [0.5, 2.0])
    def test_gamma_dispersion(self, cv):
        """Counts vary as those of a stationary renewal process: Cox, Renewal Theory, 4.5.

        Their variance is cv^2 m + 1/6 + cv^4/2 - s/3 for a mean of m, where s = 2 cv^4 is the third
        central moment of the gaps over the cube of their mean.
        """
        window_s = 10.0
        mean = self.RATE_RPS * window_s
        variance = cv**2 * mean + 1.0 / 6.0 + cv**4 / 2.0 - 2.0 * cv**4 / 3.0

        process = GammaRenewal(self.RATE_RPS, cv)
        assert abs(dispersion_z(process, window_s, 200, variance / mean)) < Z_MOST

    @pytest.mark.parametrize("cv", [0.5, 2.0])
    def test_weibull_dispersion(self, cv):
        """The same, with the third central moment of Weibull gaps."""
        process = WeibullRenewal(self.RATE_RPS, cv)
        shape, scale = weibull_parameters(process)
        third = scale**3 * math.gamma(1.0 + 3.0 / shape) - 3.0 * cv**2 - 1.0
        window_s = 10.0
        mean = self.RATE_RPS * window_s
        variance = cv**2 * mean + 1.0 / 6.0 + cv**4 / 2.0 - third / 3.0

        assert abs(dispersion_z(process, window_s, 200, variance / mean)) < Z_MOST

    def test_regular(self):
        """Equal gaps, whose sums do not drift, give counts that differ by one at most."""
        arrived_s = times_s(Regular(7.0), 10000.0)

        assert np.diff(arrived_s) == pytest.approx(1.0 / 7.0, rel=1e-9)
        assert len(arrived_s) == 70000


class TestMmpp:
    PROCESS = Mmpp((5.0, 50.0), (6.0, 1.0))

    @pytest.mark.parametrize("window_s", [0.1, 1.0, 10.0])
    def test_dispersion(self, window_s):
        """Counts vary as Heffes and Lucantoni (1986) found for two states."""
        (low, high), (calm_s, busy_s) = self.PROCESS.rates_rps, self.PROCESS.sojourns_s
        busier, calmer = 1.0 / calm_s, 1.0 / busy_s
        turnover = busier + calmer
        span = turnover * window_s
        limit = 2.0 * (low - high) ** 2 * busier * calmer
        limit /= turnover**2 * (low * calmer + high * busier)
        expected = 1.0 + limit * (1.0 + np.expm1(-span) / span)

        windows = round(400.0 / window_s)
        assert abs(dispersion_z(self.PROCESS, window_s, windows, expected)) < Z_MOST

    def test_mean(self):
        """The mean rate is that of the states, weighted by their sojourns."""
        process = Mmpp((1.0, 10.0, 100.0, 0.0), (4.0, 3.0, 2.0, 1.0))
        counts = counts_in(process, 200.0, 20).mean(axis=1)

        assert process.mean_rps(1.0) == pytest.approx(23.4)
        assert abs(z_of(counts, 200.0 * 23.4)) < Z_MOST

    def test_count_from_the_start(self):
        """The process is stationary from the start: no state is the usual first one."""
        counts = [len(times_s(self.PROCESS, 0.5, seed)) for seed in range(1000)]

        assert abs(z_of(counts, 0.5 * self.PROCESS.mean_rps(1.0))) < Z_MOST

    def test_silence(self):
        """In a state without arrivals there are none: the long gaps are its sojourns and a bit."""
        process = Mmpp((0.0, 1000.0), (5.0, 5.0))
        gaps_s = np.diff(times_s(process, 20000.0))
        long_s = gaps_s[gaps_s > 0.05] - 0.05

        # What is left of an exponential sojourn after 50 ms is exponential, up to the millisecond
        # or two until an arrival.
        assert ks_p(-np.expm1(-long_s / 5.0)) > P_LEAST
        assert 0.9 < len(long_s) / 2000.0 < 1.1


HOUR_S = 3600.0
DAY = Diurnal(peak_to_trough=4.0, peak_at_s=14 * HOUR_S)
SPIKE = Spike(at_s=20 * HOUR_S, lasts_s=HOUR_S, factor=2.5)
STEPS = Steps((0.0, 7 * HOUR_S, 22 * HOUR_S), (0.25, 1.0, 0.0), period_s=24 * HOUR_S)
ZONES = (Zone(5.0, -5 * HOUR_S), Zone(3.0, HOUR_S), Zone(2.0, 9 * HOUR_S))
UNTIL_S = 48 * HOUR_S
CURVES = {
    "day": (DAY,),
    "day and spike": (DAY, SPIKE),
    "steps": (STEPS,),
    "all": (DAY, STEPS, SPIKE, Diurnal(1.5, 30 * HOUR_S, 168 * HOUR_S)),
}


def value_at(curve, times_s):
    """Return a curve's value by its definition, one time after the other."""
    if isinstance(curve, Diurnal):
        swing = (curve.peak_to_trough - 1.0) / (curve.peak_to_trough + 1.0)
        turn = 2.0 * np.pi / curve.period_s
        return 1.0 + swing * np.cos(turn * (times_s - curve.peak_at_s))
    if isinstance(curve, Spike):
        inside = (curve.at_s <= times_s) & (times_s < curve.at_s + curve.lasts_s)
        return np.where(inside, curve.factor, 1.0)
    clock_s = times_s % curve.period_s
    conditions = [clock_s >= at_s for at_s in reversed(curve.at_s)]
    return np.select(conditions, list(reversed(curve.factors)))


def zone_values(curves, zones, times_s):
    """Return each zone's part of the intensity, by definition, as rows."""
    total = sum(zone.weight for zone in zones)
    rows = []
    for zone in zones:
        row = np.full(len(times_s), zone.weight / total)
        for curve in curves:
            row *= value_at(curve, times_s + (0.0 if isinstance(curve, Spike) else zone.offset_s))
        rows.append(row)
    return np.array(rows)


def integrals_of(curves, zones, at_s, step_s=1.0):
    """Return the intensity's integral up to each time, by the midpoint rule and interpolation."""
    grid_s = np.arange(0.0, UNTIL_S + step_s / 2.0, step_s)
    values = zone_values(curves, zones, (grid_s[1:] + grid_s[:-1]) / 2.0).sum(axis=0)
    return np.interp(at_s, grid_s, np.concatenate(((0.0,), np.cumsum(values * step_s))))


@pytest.mark.parametrize("zones", [(Zone(1.0),), ZONES], ids=["one zone", "three zones"])
@pytest.mark.parametrize("curves", CURVES.values(), ids=CURVES.keys())
class TestCurves:
    RATE_RPS = 0.5

    def test_rescaled_gaps(self, curves, zones):
        """In the time that is the curve's integral, the process is the steady one again."""
        for steady, cdf in (
            (Poisson(self.RATE_RPS), lambda gaps: -np.expm1(-gaps)),
            (GammaRenewal(self.RATE_RPS, 2.0), lambda gaps: gamma_cdf(gaps, 2.0)),
        ):
            arrived_s = times_s(Modulated(steady, curves, zones), UNTIL_S)
            gaps = self.RATE_RPS * np.diff(integrals_of(curves, zones, arrived_s))
            assert ks_p(rescaled(cdf(gaps))) > P_LEAST

    def test_thinning(self, curves, zones):
        """The Poisson process is the one that thinning gives, hour by hour and as a whole."""
        process = Modulated(Poisson(self.RATE_RPS), curves, zones)
        inverted_s = times_s(process, UNTIL_S)
        rng = generator(7, "thinning")
        most = 1.01 * process.peak_rps(UNTIL_S)
        proposed_s = np.sort(rng.random(rng.poisson(most * UNTIL_S)) * UNTIL_S)
        values = self.RATE_RPS * zone_values(curves, zones, proposed_s).sum(axis=0)
        assert values.max() <= most
        thinned_s = proposed_s[rng.random(len(proposed_s)) * most < values]

        assert two_samples_p(inverted_s, thinned_s) > P_LEAST
        assert abs(len(inverted_s) - len(thinned_s)) < Z_MOST * math.sqrt(2.0 * len(thinned_s))
        counts = [np.histogram(each, 48, (0.0, UNTIL_S))[0] for each in (inverted_s, thinned_s)]
        busy = np.add(*counts) > 0
        assert chi_square_p(*two_rows(counts, busy)) > P_LEAST

    def test_mean(self, curves, zones):
        """The mean over the run is the integral, and so is the mean number of arrivals."""
        process = Modulated(GammaRenewal(self.RATE_RPS, 2.0), curves, zones)
        expected = self.RATE_RPS * float(integrals_of(curves, zones, UNTIL_S)[()])
        assert process.mean_rps(UNTIL_S) * UNTIL_S == pytest.approx(expected, rel=1e-9)

        counts = [len(times_s(process, UNTIL_S, seed)) for seed in range(40)]
        assert abs(z_of(counts, expected)) < Z_MOST
        # Long windows of a renewal process have a dispersion of cv^2.
        variance = np.var(counts, ddof=1)
        assert abs(variance / (4.0 * expected) - 1.0) < Z_MOST * math.sqrt(2.0 / 39.0)

    def test_peak(self, curves, zones):
        """The peak is the greatest value of the run."""
        at_s = np.linspace(0.0, UNTIL_S, 500_001)[:-1]
        expected = zone_values(curves, zones, at_s).sum(axis=0).max()

        process = Modulated(Poisson(10.0), curves, zones)
        assert process.peak_rps(UNTIL_S) == pytest.approx(10.0 * expected, rel=1e-4)


def two_samples_p(one, other):
    """Return the p-value of Kolmogorov and Smirnov's test that two samples have one law."""
    both = np.sort(np.concatenate((one, other)))
    shares = [
        np.searchsorted(np.sort(each), both, side="right") / len(each) for each in (one, other)
    ]
    size = len(one) * len(other) / len(both)
    return float(kolmogorov(math.sqrt(size) * np.abs(shares[0] - shares[1]).max()))


def two_rows(counts, busy):
    """Return the cells of a table of two rows, and their shares if rows and columns are apart."""
    table = np.array(counts)[:, busy]
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    return table.ravel(), (expected / table.sum()).ravel()


class TestOrigins:
    """Where requests come from over two days of three time zones."""

    def test_shares_by_the_hour(self):
        """In every hour the origins have the shares of their own curves, and in all their own."""
        process = Modulated(GammaRenewal(1.0, 2.0), (DAY, SPIKE), ZONES)
        weights = (("us", 5.0), ("eu", 3.0), ("ap", 2.0))
        blocks = list(Traffic("chat", weights, process).blocks(Streams(1), UNTIL_S))
        arrived_s = np.concatenate([block.times_s for block in blocks])
        origins = np.concatenate([block.origins for block in blocks])
        hours = (arrived_s // HOUR_S).astype(int)

        p_values = []
        for hour in range(48):
            here = hours == hour
            at_s = arrived_s[here]
            parts = zone_values((DAY, SPIKE), ZONES, at_s)
            shares = (parts / parts.sum(axis=0)).mean(axis=1)
            p_values.append(chi_square_p(np.bincount(origins[here], minlength=3), shares))
        assert min(p_values) > P_LEAST
        assert ks_p(np.array(p_values)) > P_LEAST
        awake = [np.bincount(origins[hours % 24 == hour])[0] for hour in (7, 19)]
        assert awake[1] > 3.5 * awake[0]  # 2 and 14 o'clock in the first zone

    def test_origins_leave_the_times(self):
        """The times are those of the process alone, in blocks of any size."""
        process = Modulated(GammaRenewal(1.0, 2.0), (DAY,), ZONES)
        weights = (("us", 5.0), ("eu", 3.0), ("ap", 2.0))
        blocks = Traffic("chat", weights, process).blocks(Streams(1), UNTIL_S, block_size=100)

        assert [time_s for block in blocks for time_s in block.times_s] == times_s(
            process, UNTIL_S
        ).tolist()


def test_burstiness_goes_with_the_curve():
    """With a curve, the counts of windows vary cv^2 times as much as their means, high or low."""
    process = Modulated(GammaRenewal(10.0, 3.0), (Diurnal(4.0, 300.0, 600.0),))
    arrived_s = times_s(process, 600.0 * 400)
    counts, _ = np.histogram(
        arrived_s % 600.0 + 600.0 * (arrived_s // 600.0), 4000, (0.0, 240000.0)
    )
    at_the_hour = counts.reshape(400, 10).astype(float)

    means, variances = at_the_hour.mean(axis=0), at_the_hour.var(axis=0, ddof=1)
    assert means.max() / means.min() > 3.0
    # Sixty seconds have 240 arrivals and more, so that 9 is near.
    errors = variances / means * math.sqrt(2.0 / 399.0)
    assert np.all(np.abs(variances / means - 9.0) < Z_MOST * errors + 0.5)
