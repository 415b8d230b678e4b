"""Draw the picture of docs/strategies.md, and print its numbers: what the age of reports costs.

``python docs/strategy_pictures.py`` runs ``scenarios/stale-reports.yaml`` at many intervals of the
probes. The same scenario and seeds give the same picture.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

import fedsim
from fedsim.charts.figure import BLUE, GREY, VERMILLION, Chart, new_chart, tidy

ROOT = Path(__file__).resolve().parent.parent
SCENARIO = ROOT / "scenarios" / "stale-reports.yaml"
PICTURE = ROOT / "docs" / "pictures" / "stale-reports.png"
DPI = 80
INTERVALS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0)
SEEDS = (5, 6, 7)
TICKS_X = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
TICKS_Y = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
CHANCE_S = 10.0
"""Mean time in the system of an M/M/1 queue at 90 % load whose services take 1 s."""


def stay_s(strategy: str, interval_s: float) -> float:
    """Return the mean time in the system in seconds, over all seeds."""
    scenario = fedsim.load(SCENARIO, {"federation.health.interval": f"{interval_s:g}s"})
    runs = [fedsim.simulate(scenario, seed=seed, strategy=strategy) for seed in SEEDS]
    return float(np.mean([run.summary()["latency_mean_s"] for run in runs]))


def crossing(stays_s: list[float], mark_s: float) -> float:
    """Return the interval in seconds at which the stay passes *mark_s*, between those simulated."""
    return float(np.interp(mark_s, stays_s, INTERVALS_S))


def draw(stays_s: list[float], two_s: float) -> Chart:
    """Return the chart."""
    chart = new_chart(
        "An old report is worse than none",
        f"stale-reports, {len(SEEDS)} seeds, 16 nodes at 90 % load, services of 1 s",
        3.2,
    )
    axes = chart.subplots()
    axes.plot(INTERVALS_S, stays_s, "o-", color=VERMILLION, lw=2.0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(TICKS_X, [f"{tick:g}" for tick in TICKS_X])
    axes.set_yticks(TICKS_Y, [f"{tick:g}" for tick in TICKS_Y])
    axes.minorticks_off()
    axes.set_xlabel("seconds between two probes of a node")
    axes.set_ylabel("mean time in the system, s")
    for level_s, text, colour in ((CHANCE_S, "random", GREY), (two_s, "power_of_two", BLUE)):
        axes.axhline(level_s, color=colour, lw=1.5, ls="--")
        axes.text(INTERVALS_S[0], 1.06 * level_s, text, color=colour)
    axes.text(1.2, 3.5, "join_shortest_queue, as reported", color=VERMILLION)
    tidy(axes)
    return chart


def main() -> None:
    """Run, print and draw."""
    stays_s = [stay_s("join_shortest_queue", interval_s) for interval_s in INTERVALS_S]
    two_s = stay_s("power_of_two", 1.0)
    for interval_s, each_s in zip(INTERVALS_S, stays_s, strict=True):
        print(f"{interval_s:5.1f} s between probes: {each_s:6.2f} s")
    print(f"power_of_two: {two_s:.2f} s, as reports of {crossing(stays_s, two_s):.1f} s")
    print(f"random: {CHANCE_S:.2f} s, as reports of {crossing(stays_s, CHANCE_S):.1f} s")
    draw(stays_s, two_s).savefig(PICTURE, dpi=DPI, metadata={"Software": None})


if __name__ == "__main__":
    main()
