"""Arrival processes in a scenario file: what each way to write one gives."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsim.scenario.emit import dump_yaml
from fedsim.scenario.load import load
from fedsim.workload.arrivals import (
    ClosedLoop,
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
from fedsim.workload.distributions import Exponential

ROOT = Path(__file__).resolve().parents[3]
FILE = """
duration: 20min
regions: {us: {}, eu: {}, ap: {}}
network: {between: {us/eu: 80ms, us/ap: 150ms, eu/ap: 200ms}}
pools:
  chat: {region: us, service: {distribution: constant, value: 1s}}
workload:
  chat:
    origins: {eu: 2, us: 5}
    arrivals: ARRIVALS
"""
HOUR_S = 3600.0
DAY = Diurnal(2.0, 14 * HOUR_S, 24 * HOUR_S)


def arrivals_of(tmp_path, text: str) -> Any:
    """Return the process that arrivals give, in a file and in what it resolves to."""
    path = tmp_path / "scenario.yaml"
    path.write_text(FILE.replace("ARRIVALS", text), encoding="utf-8")
    scenario = load(path)
    first = scenario.world.streams[0].traffic.arrivals
    again = tmp_path / "resolved.yaml"
    again.write_text(dump_yaml(scenario.resolved), encoding="utf-8")
    assert load(again).world.streams[0].traffic.arrivals == first
    return first


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{process: gamma, rate: 30/s, cv: 2.5}", GammaRenewal(30.0, 2.5)),
        ("{process: weibull, rate: 120/min, cv: 3}", WeibullRenewal(2.0, 3.0)),
        ("{process: constant, rate: 2/s}", Regular(2.0)),
        (
            "{process: mmpp, rates: [0/s, 50/s], sojourns: [1min, 10s]}",
            Mmpp((0.0, 50.0), (60.0, 10.0)),
        ),
        ("{process: diurnal, rate: 30/s}", Modulated(Poisson(30.0), (DAY,))),
        (
            "{process: diurnal, rate: 30/s, peak_to_trough: 4, period: 4min, cv: 2}",
            Modulated(GammaRenewal(30.0, 2.0), (Diurnal(4.0, 140.0, 240.0),)),
        ),
        (
            "{process: diurnal, rate: 30/s, peak_at: 20h}",
            Modulated(Poisson(30.0), (Diurnal(2.0, 20 * HOUR_S, 24 * HOUR_S),)),
        ),
        (
            "{process: steps, steps: [{at: 0s, rate: 10/s}, {at: 5min, rate: 0/s}], period: 10min}",
            Modulated(Poisson(1.0), (Steps((0.0, 300.0), (10.0, 0.0), 600.0),)),
        ),
        (
            "{process: spike, rate: 10/s, at: 5min, lasts: 1min, factor: 4}",
            Modulated(Poisson(10.0), (Spike(300.0, 60.0, 4.0),)),
        ),
        (
            "{process: mmpp, rates: [1/s, 5/s], sojourns: [9s, 1s], shape: [{curve: diurnal}]}",
            Modulated(Mmpp((1.0, 5.0), (9.0, 1.0)), (DAY,)),
        ),
        (
            "{process: spike, rate: 1/s, at: 0s, lasts: 1s, factor: 2, cv: 1,"
            " shape: [{curve: spike, at: 9s, lasts: 1s, factor: 0},"
            " {curve: steps, steps: [{at: 1s, factor: 2}]}]}",
            Modulated(
                Poisson(1.0),
                (Spike(0.0, 1.0, 2.0), Spike(9.0, 1.0, 0.0), Steps((1.0,), (2.0,))),
            ),
        ),
        (
            "{process: closed_loop, users: 7, think: {distribution: exponential, mean: 10s}}",
            ClosedLoop(7, Exponential(10.0)),
        ),
    ],
)
def test_process(tmp_path, text, expected):
    """Each process is what its words say, with the defaults that the docs give."""
    assert arrivals_of(tmp_path, text) == expected


def test_zones(tmp_path):
    """Offsets may be negative; an origin without one keeps the time of the run."""
    process = arrivals_of(tmp_path, "{process: diurnal, rate: 30/s, utc_offsets: {us: -5h}}")

    assert process.zones == (Zone(2.0), Zone(5.0, -5 * HOUR_S))


def test_rates_can_be_overridden(tmp_path):
    """A path names a value inside a step or a curve."""
    path = tmp_path / "scenario.yaml"
    text = "{process: steps, steps: [{at: 0s, rate: 10/s}, {at: 5min, rate: 20/s}]}"
    path.write_text(FILE.replace("ARRIVALS", text), encoding="utf-8")
    scenario = load(path, {"workload.chat.arrivals.steps.1.rate": "40/s"})

    process = scenario.world.streams[0].traffic.arrivals
    assert process.peak_rps(1200.0) == 40.0
    assert process.mean_rps(1200.0) == pytest.approx(32.5)


def test_day_of_traffic():
    """The scenario of a day has its mean and its peak where its comments say, and shifted origins.

    The spike multiplies by 1.8 what three shifted days add up to at the nineteenth minute.
    """
    scenario = load(ROOT / "scenarios" / "day-of-traffic.yaml")
    process: Any = scenario.world.streams[0].traffic.arrivals
    swing, turn = 0.6, 2.0 * math.pi / 24.0
    at_min = 19.0
    together = sum(
        weight * (1.0 + swing * math.cos(turn * (at_min + offset_min - 14.0)))
        for weight, offset_min in ((0.5, -5.0), (0.3, 1.0), (0.2, 5.5))
    )

    assert process.mean_rps(scenario.duration_s) == pytest.approx(30.0, rel=0.05)
    assert process.peak_rps(scenario.duration_s) == pytest.approx(54.0 * together, rel=0.01)
    shares = process.origin_shares(scenario.duration_s)(np.array([60.0 * at_min]))
    assert shares[0].argmax() == 0
    assert shares[0, 0] > 0.6
