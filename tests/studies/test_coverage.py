"""How often intervals hold the truth: the tables of docs/statistics.md, and whole comparisons."""

from __future__ import annotations

import numpy as np
import pytest

import fedsim
from fedsim.kernel.streams import generator
from fedsim.studies.statistics import estimate
from tools.coverage import PAGE, long_run_coverage, replaced, window_coverage, window_table
from tools.coverage import long_run_table as long_run_table_of

LOAD, SERVICE_S, WARMUP_S, DURATION_S = 0.8, 0.1, 25.0, 275.0


def mm1(name: str, rate: float, **changes) -> fedsim.Scenario:
    """Return one node with one slot, exponential services and Poisson arrivals."""
    return fedsim.load(
        {
            "name": name,
            "duration": f"{DURATION_S}s",
            "warmup": f"{WARMUP_S}s",
            "regions": {"home": {}},
            "pools": {
                "chat": {
                    "region": "home",
                    "count": 1,
                    "slots": 1,
                    "service": {"distribution": "exponential", "mean": f"{SERVICE_S}s"},
                }
            },
            "workload": {"chat": {"arrivals": {"process": "poisson", "rate": f"{rate}/s"}}},
        }
        | changes
    )


def expected_wait_s(runs: int) -> float:
    """Return the expected mean wait of the requests that arrive in the window, by Lindley."""
    rng = generator(1, "spot truth")
    rate = LOAD / SERVICE_S
    wait, now = np.zeros(runs), np.zeros(runs)
    total, count = np.zeros(runs), np.zeros(runs)
    while now.min() < DURATION_S:
        between = rng.standard_exponential(runs) / rate
        wait = np.maximum(wait - between, 0.0)
        now += between
        counts = (now >= WARMUP_S) & (now < DURATION_S)
        total += np.where(counts, wait, 0.0)
        count += counts
        wait += rng.standard_exponential(runs) * SERVICE_S
    return float((total / count).mean())


@pytest.mark.slow
def test_whole_comparisons_cover_the_window():
    """Of 20 comparisons of M/M/1, 16 or more hold the expected wait of the window.

    Three in a thousand sets of 20 have fewer at a coverage of 95 %.
    """
    scenario, truth = mm1("spot", LOAD / SERVICE_S), expected_wait_s(20_000)
    covered = 0
    for number in range(20):
        found = fedsim.compare(
            scenario, strategies=["round_robin"], replications=10, seed=1000 * number, workers=1
        )
        row = found.summary().iloc[0]
        low, high = row["queue_wait_mean_s_low"], row["queue_wait_mean_s_high"]
        covered += low <= truth <= high
        if not number:
            values = [
                fedsim.simulate(scenario, seed=seed).summary()["queue_wait_mean_s"].iloc[0]
                for seed in found.seeds
            ]
            by_hand = estimate(values, (0.0, np.inf))
            assert (low, high) == pytest.approx((by_hand.low, by_hand.high), rel=1e-12)
    assert covered >= 16


def shares(name: str) -> list[float]:
    """Return the percentages in the column "covered" of a table of the page."""
    page = PAGE.read_text(encoding="utf-8")
    table = page.split(f"<!-- {name}:")[1].split("<!-- end")[0].strip().splitlines()[1:]
    rows = [[cell.strip() for cell in row.split("|")] for row in table if row.startswith("|")]
    place = rows[0].index("covered")
    return [float(row[place].removesuffix(" %")) for row in rows[2:] if row[place]]


def test_published_coverage_is_near_95_percent():
    """Every row of the page is between 90 and 97 %, and their mean between 92 and 96 %."""
    *rows, mean = shares("coverage of windows")
    assert len(rows) == 24
    assert all(90.0 <= row <= 97.0 for row in rows)
    assert 92.0 <= mean <= 96.0
    assert mean == pytest.approx(np.mean(rows), abs=0.051)
    long_run = shares("coverage of the long run")
    assert len(long_run) == 8
    assert all(90.0 <= row <= 97.0 for row in long_run)


@pytest.mark.slow
def test_published_coverage_is_what_comes_out():
    """The tables of the page are those that ``python tools/coverage.py`` writes."""
    page = PAGE.read_text(encoding="utf-8")
    windows = window_table(list(window_coverage()))
    assert replaced(page, "coverage of windows", windows) == page
    long_run = long_run_table_of(list(long_run_coverage()))
    assert replaced(page, "coverage of the long run", long_run) == page
