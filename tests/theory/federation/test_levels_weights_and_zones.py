"""What becomes of levels, weights and zones when a whole federation runs, with its panic mode."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

import fedsim

LEVELS = """\
duration: 6min
warmup: 150s
regions: {r: {}}
pools:
  p0: {region: r, count: 5, slots: 8, service: &s {distribution: constant, value: 200ms}}
  p1: {region: r, count: 5, slots: 8, service: *s, priority: 1}
  p2: {region: r, count: 5, slots: 8, service: *s, priority: 2}
workload: {chat: {arrivals: {process: poisson, rate: 20/s}}}
federation: {circuit_breaker: off, retries: off}
faults:
  - {kind: crash, pool: p0, at: 2min, lasts: 10min}
  - {kind: crash, node: p1-0, at: 2min, lasts: 10min}
  - {kind: crash, node: p1-1, at: 2min, lasts: 10min}
  - {kind: crash, node: p2-0, at: 2min, lasts: 10min}
  - {kind: crash, node: p2-1, at: 2min, lasts: 10min}
"""
"""Of three levels of five nodes the first is dead, and two nodes of each other one."""

WEIGHTS = """\
duration: 1min
warmup: 0s
regions: {r: {}}
pools:
  big: {region: r, count: 1, weight: 9, slots: 64, service: {distribution: constant, value: 1ms}}
  small: {region: r, count: 1, weight: 1, slots: 64, service: {distribution: constant, value: 1ms}}
workload: {chat: {arrivals: {process: poisson, rate: 10/s}}}
federation: {gateways: {r: 100}, policies: {}}
"""
"""A hundred gateways, of which each has a handful of requests."""

ZONES = """\
duration: 5min
warmup: 30s
regions: {a: {}, b: {}, c: {}, d: {}}
network: {between: {a/b: 2ms, a/c: 2ms, a/d: 2ms, b/c: 2ms, b/d: 2ms, c/d: 2ms}}
pools:
  a: {region: a, count: 1, slots: 8, service: &s {distribution: constant, value: 100ms}}
  b: {region: b, count: 4, slots: 8, service: *s}
  d: {region: d, count: 3, slots: 8, service: *s}
workload:
  chat: {origins: {a: 0.4, b: 0.3, c: 0.3}, arrivals: {process: poisson, rate: 40/s}}
federation: {strategy: envoy_zone_aware, policies: {}, gateways: {a: 4, b: 3, c: 3}}
"""
"""Gateways in a, b and c, nodes in a, b and d."""


def attempts(tmp_path: Path, text: str, overrides: Mapping[str, object]) -> pd.DataFrame:
    """Return the attempts of a run after its warm-up, with the pool of each."""
    file = tmp_path / "scenario.yaml"
    file.write_text(text, encoding="utf-8")
    scenario = fedsim.load(file, {"seed": 4, **overrides})
    run = fedsim.simulate(scenario)
    found = run.attempts[run.attempts["started_s"] >= scenario.warmup_s]
    return found.assign(pool=found["node"].str.partition("-")[0])


def assert_shares(found: pd.Series, expected: Mapping[str, float], z: float = 3.5) -> None:
    """Check shares of draws that do not depend on each other."""
    shares, count = found.value_counts(normalize=True), len(found)
    assert set(shares.index[shares > 0]) == set(expected)
    for name, share in expected.items():
        error = math.sqrt(share * (1.0 - share) / count)
        assert shares[name] == pytest.approx(share, abs=z * error)


@pytest.mark.parametrize("strategy", ["envoy_priority", "envoy_locality_weighted"])
@pytest.mark.parametrize("panic", ["off", {"threshold": "50%"}])
def test_no_level_panics_while_all_together_carry_the_load(tmp_path, strategy, panic):
    """Health 0, 84 and 84 makes 100: 84 and 16 % of the requests, with panic mode or without.

    Only six of fifteen nodes are left, which for a strategy without levels is panic.
    """
    changes = {"federation.strategy": strategy, "federation.panic": panic}
    found = attempts(tmp_path, LEVELS, changes)

    assert (found["outcome"] == "ok").all()
    assert_shares(found["pool"], {"p1": 0.84, "p2": 0.16})


def test_without_levels_panic_uses_all_nodes(tmp_path):
    """The same under random: six of fifteen are left, and every node gets a fifteenth."""
    changes = {"federation.strategy": "random", "federation.panic": {"threshold": "50%"}}
    found = attempts(tmp_path, LEVELS, changes)

    assert_shares(found["node"], dict.fromkeys(sorted(found["node"].unique()), 1 / 15))


@pytest.mark.parametrize(
    "strategy",
    [
        "smooth_weighted_round_robin",
        "envoy_weighted_round_robin",
        "envoy_least_request",
        "envoy_locality_weighted",
        "least_connections",
    ],
)
def test_light_nodes_get_their_share_of_many_gateways(tmp_path, strategy):
    """Each of a hundred gateways begins anywhere in its cycle: 90 and 10 %."""
    found = attempts(tmp_path, WEIGHTS, {"federation.strategy": strategy})

    assert_shares(found["pool"], {"big": 0.9, "small": 0.1})


def test_a_zone_without_nodes_goes_by_the_room_of_others(tmp_path):
    """C's requests go to b and d by 2,000 and 3,750, and every node gets an eighth of all."""
    found = attempts(tmp_path, ZONES, {})
    of_c = found[found["gateway"].str.startswith("c/")]

    assert_shares(of_c["pool"], {"b": 2000 / 5750, "d": 3750 / 5750})
    assert_shares(found["node"], dict.fromkeys(sorted(found["node"].unique()), 1 / 8), z=4.5)
