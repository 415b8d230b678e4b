"""What the scenario file says of retries, hedges and admission, as the gateway gets it."""

from __future__ import annotations

import pytest

import fedsim
from fedsim.federation.budgets import BudgetConfig
from fedsim.federation.hedging import HedgeConfig
from fedsim.federation.limits import ConcurrencyConfig
from fedsim.federation.retries import RetryConfig
from fedsim.federation.shedding import SheddingConfig
from fedsim.federation.throttling import ThrottleConfig
from tests.small_scenario import TEXT


def federation(tmp_path, **keys):
    """Return the gateways' settings of the small scenario with keys of its own."""
    path = tmp_path / "small.yaml"
    path.write_text(TEXT, encoding="utf-8")
    changes = {f"federation.{key}": value for key, value in keys.items()}
    return fedsim.load(path, changes).federation.config


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ("30%", RetryConfig(budget=BudgetConfig(0.3))),
        ("off", RetryConfig(budget=None)),
        ({}, RetryConfig()),
        (
            {"ratio": "10%", "floor": 3, "window": "1min"},
            RetryConfig(3, 0.1, 10.0, "full", BudgetConfig(0.1, 3, 60.0)),
        ),
    ],
)
def test_retry_budgets(tmp_path, budget, expected):
    """A budget is a ratio, its settings, or off."""
    assert federation(tmp_path, retries={"budget": budget}).retries == expected


@pytest.mark.parametrize(
    ("hedge", "expected"),
    [
        ("off", None),
        ({}, HedgeConfig("p95")),
        ({"after": "p99", "budget": "off"}, HedgeConfig("p99", budget=None)),
        ({"after": "500ms", "budget": "5%"}, HedgeConfig(after_s=0.5, budget=0.05)),
    ],
)
def test_hedges(tmp_path, hedge, expected):
    """A hedge goes out after a time or a percentile."""
    assert federation(tmp_path, hedge=hedge).hedge == expected


def test_admission(tmp_path):
    """Throttling, limits and shedding are off unless they are given."""
    off = federation(tmp_path)
    assert (off.throttle, off.concurrency, off.shedding, off.hedge) == (None, None, None, None)

    on = federation(
        tmp_path,
        throttle={"accepts": 1.5, "window": "30s"},
        concurrency={"algorithm": "aimd", "initial": 5, "slow": "2s"},
        shedding={"step": "10%"},
    )
    assert on.throttle == ThrottleConfig(1.5, 30.0)
    assert on.concurrency == ConcurrencyConfig("aimd", 5, 1, 200, 2.0)
    assert on.shedding == SheddingConfig(0.1, None)


def test_the_resolved_file_loads_again(tmp_path):
    """A scenario with all of it, written out, gives the same federation."""
    path = tmp_path / "small.yaml"
    path.write_text(TEXT, encoding="utf-8")
    keys = {
        "federation.hedge": {"after": "500ms"},
        "federation.retries": {"budget": {"ratio": "10%"}, "jitter": "equal"},
        "federation.concurrency": {"algorithm": "vegas"},
        "federation.shedding": {"limit": 7},
        "federation.throttle": {},
    }
    scenario = fedsim.load(path, keys)
    again = tmp_path / "again.yaml"
    again.write_text(scenario.to_yaml(), encoding="utf-8")

    assert fedsim.load(again).federation == scenario.federation
