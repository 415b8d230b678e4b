"""Arrival processes: what holds for every rate, every product of curves and every time zone."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

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

UNTIL_S = 100.0

rates = st.floats(0.05, 5.0)
cvs = st.floats(0.1, 10.0)
steadies = st.one_of(
    st.builds(Poisson, rates),
    st.builds(GammaRenewal, rates, cvs),
    st.builds(WeibullRenewal, rates, cvs),
    st.builds(Regular, rates),
    st.builds(
        lambda one, other, calm_s, busy_s: Mmpp((one, other), (calm_s, busy_s)),
        st.one_of(st.just(0.0), rates),
        rates,
        st.floats(0.1, 50.0),
        st.floats(0.1, 50.0),
    ),
)
days = st.builds(Diurnal, st.floats(1.0, 1000.0), st.floats(0.0, 200.0), st.floats(5.0, 500.0))
spikes = st.builds(Spike, st.floats(0.0, 150.0), st.floats(0.001, 50.0), st.floats(0.0, 20.0))


@st.composite
def steps(draw):
    """Return any steps, with a period or without, now and then silent."""
    at_s = draw(st.lists(st.floats(0.0, 150.0), min_size=1, max_size=5, unique=True).map(sorted))
    levels = st.one_of(st.just(0.0), st.floats(0.01, 5.0))
    factors = draw(
        st.lists(levels, min_size=len(at_s), max_size=len(at_s)).filter(lambda each: max(each) > 0)
    )
    longer = draw(st.one_of(st.none(), st.floats(1.0, 100.0)))
    return Steps(tuple(at_s), tuple(factors), None if longer is None else at_s[-1] + longer)


curves = st.lists(st.one_of(days, spikes, steps()), min_size=1, max_size=3).map(tuple)
zones = st.lists(
    st.builds(Zone, st.floats(0.1, 10.0), st.floats(-200.0, 200.0)), min_size=1, max_size=3
).map(tuple)


def all_times(process, until_s, block_size=4096):
    """Return the times of all blocks in one list."""
    blocks = process.times(generator(5, "arrivals"), until_s, block_size)
    return [time_s for block in blocks for time_s in block.tolist()]


@given(steadies, curves, zones, st.integers(3, 60), st.floats(0.1, UNTIL_S))
def test_blocks_and_ends(steady, curves, zones, block_size, until_s):
    """Neither the size of the blocks nor the end of the run moves an arrival."""
    for process in (steady, Modulated(steady, curves, zones)):
        whole = all_times(process, UNTIL_S)
        part = all_times(process, until_s, block_size)

        assert whole == sorted(whole)
        assert part == [time_s for time_s in whole if time_s < until_s]


@given(curves, zones, st.lists(st.floats(0.0, 1.0, exclude_max=True), min_size=1, max_size=20))
@example((Diurnal(1e6, 50.0, 100.0),), (Zone(1.0),), [0.0, 0.25, 0.499, 0.5, 0.999])
def test_inverse(curves, zones, shares):
    """The integral at the time found for an integral is that integral, to rounding."""
    intensity = Intensity(curves, zones, UNTIL_S)
    integrals = np.sort(np.array(shares)) * intensity.total
    times_s = intensity.times_s(integrals)

    found = times_s < UNTIL_S
    back = intensity.integrals(times_s[found])
    scale = max(intensity.total, intensity.peak * UNTIL_S)
    assert np.all(np.abs(back - integrals[found]) <= 1e-12 * scale)
    assert np.all(integrals[~found] >= intensity.total * (1.0 - 1e-12))


@given(curves, zones)
def test_silence(curves, zones):
    """Where the intensity is 0 nothing arrives, and the peak is never exceeded."""
    process = Modulated(Regular(5.0), curves, zones)
    intensity = Intensity(curves, zones, UNTIL_S)
    values = intensity.values(np.array([0.0, *all_times(process, UNTIL_S)]))

    assert np.all(values[1:] > 0.0)
    assert np.all(values <= intensity.peak * (1.0 + 2e-4) + 1e-300)
    assert process.mean_rps(UNTIL_S) <= process.peak_rps(UNTIL_S) * (1.0 + 2e-4)


@given(curves, zones)
def test_integral(curves, zones):
    """The integral grows as the value says: by the mean of values over a short while."""
    intensity = Intensity(curves, zones, UNTIL_S)
    bounds_s = np.linspace(0.0, UNTIL_S, 4001)
    middles = intensity.values((bounds_s[1:] + bounds_s[:-1]) / 2.0)
    grown = np.diff(intensity.integrals(bounds_s))

    assert np.all(grown >= -1e-9)
    # The midpoint rule is off where a level jumps, which it does a few hundred times at most.
    wrong = np.abs(grown - middles * UNTIL_S / 4000.0) > 1e-4 * (intensity.peak + 1e-9)
    assert wrong.sum() <= 900


@given(curves, st.lists(st.floats(0.1, 10.0), min_size=2, max_size=3), st.floats(0.0, 99.0))
def test_shares_add_up(curves, weights, at_s):
    """The shares of the origins add up to 1 where anything arrives."""
    zones = tuple(Zone(weight, 40.0 * number) for number, weight in enumerate(weights))
    intensity = Intensity(curves, zones, UNTIL_S)
    at = np.array([at_s])
    if intensity.values(at)[0] > 0.0:
        shares = intensity.shares(at)
        assert np.all(shares >= 0.0)
        assert abs(shares.sum() - 1.0) < 1e-12
