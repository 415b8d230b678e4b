"""What ``fedsim check`` says of the load of pools of every kind."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fedsim.cli import app
from tests.conftest import ROOT

KINDS = (
    "engine-chat",
    "speech-recognition",
    "speech-synthesis",
    "embeddings",
    "image-generation",
    "three-regions",
    "minimal",
)


def check(*words: str) -> Any:
    """Run ``fedsim check`` in this process."""
    return CliRunner().invoke(app, ["check", *words], prog_name="fedsim")


@pytest.mark.parametrize("name", KINDS)
def test_table_has_load_and_capacity_within_80_columns(name: str, monkeypatch: pytest.MonkeyPatch):
    """Of every pool: requests per second, the most it can do, and its share at mean and peak."""
    monkeypatch.setenv("COLUMNS", "80")
    done = check(str(ROOT / "scenarios" / f"{name}.yaml"))

    assert done.exit_code == 0, done.output
    table = done.stdout.partition("Pools (load")[2].partition("\n\n")[0].splitlines()
    assert all(len(line) <= 80 for line in table)
    assert re.search(r"nodes +req/s +max req/s +load % +peak %", table[1])


def test_json_has_what_the_table_has():
    """Scripts get the same figures, unrounded."""
    found = json.loads(check(str(ROOT / "scenarios" / "engine-chat.yaml"), "--json").stdout)
    (us, eu) = found["pools"]
    (generate,) = found["capabilities"]

    assert (us["kind"], us["slots"], eu["slots"]) == ("engine", 2 * 256, 4 * 64)
    assert us["offered_rps"] + eu["offered_rps"] == pytest.approx(40)
    assert us["load"] == pytest.approx(us["offered_rps"] / us["capacity_rps"])
    assert generate["capacity_rps"] == pytest.approx(us["capacity_rps"] + eu["capacity_rps"])


WEIGHED = """\
duration: 10s
regions: {lab: {}}
pools:
  big:
    {region: lab, count: 1, weight: 4, priority: 1, slots: 8,
     service: {distribution: constant, value: 1s}}
  small: {region: lab, count: 1, slots: 8, service: {distribution: constant, value: 1s}}
workload: {chat: {arrivals: {process: poisson, rate: 1/s}}}
"""


def weighed(tmp_path: Path, *overrides: str) -> list[str]:
    """Return the beginnings of the warnings about pools of unequal weights and levels."""
    file = tmp_path / "weighed.yaml"
    file.write_text(WEIGHED, encoding="utf-8")
    sets = [word for override in overrides for word in ("--set", override)]
    done = check(str(file), "--json", *sets)
    assert done.exit_code == 0, done.output
    warnings = [warning.partition(":")[0] for warning in json.loads(done.stdout)["warnings"]]
    return [warning for warning in warnings if warning.startswith("pools.")]


@pytest.mark.parametrize(
    ("strategy", "ignored"),
    [
        ("round_robin", ["weight", "priority"]),
        ("least_connections", ["priority"]),
        ("envoy_weighted_round_robin", ["priority"]),
        ("envoy_priority", []),
    ],
)
def test_says_which_weights_and_levels_have_no_effect(
    strategy: str, ignored: list[str], tmp_path: Path
):
    """A key that the strategy does not go by is named, with the strategy; others are not."""
    assert weighed(tmp_path, f"federation.strategy={strategy}") == [
        f"pools.big.{key} has no effect under {strategy}" for key in ignored
    ]


def test_compared_strategies_have_keys_without_effect_as_well(tmp_path: Path):
    """Each of them is named; a router of somebody else's is not judged."""
    compared = "compare.strategies=[random, envoy_priority, round_robin]"
    said = [f"pools.big.{key} has no effect under " for key in ("weight", "priority")]

    assert weighed(tmp_path, compared, "federation.strategy=envoy_priority") == [
        said[0] + "random, round_robin",
        said[1] + "random, round_robin",
    ]
    (tmp_path / "first_router.py").write_text(
        "class First:\n    async def route(self, request):\n        raise NotImplementedError\n",
        encoding="utf-8",
    )
    assert weighed(tmp_path, "federation.router=first_router:First") == []
    assert weighed(tmp_path, "federation.preset=apr") == [each + "the preset apr" for each in said]


def test_warnings_are_printed(tmp_path: Path):
    """On a terminal they follow the faults, and the scenario is right all the same."""
    file = tmp_path / "weighed.yaml"
    file.write_text(WEIGHED, encoding="utf-8")
    done = check(str(file), "--set", "federation.strategy=random")

    assert done.exit_code == 0
    assert "pools.big.weight has no effect under random: use one of" in " ".join(
        done.stdout.split()
    )
    assert "Warnings" not in check(str(ROOT / "scenarios" / "minimal.yaml")).stdout


def test_what_never_fits_is_status_2(tmp_path: Path):
    """A request that no cache can hold is said, though the load alone would do."""
    file = tmp_path / "large.yaml"
    file.write_text(
        """\
duration: 1min
regions: {us: {}}
pools:
  small: {region: us, engine: {profile: llama-3.1-8b/bf16/h100_sxm/tp1, kv_capacity: 1000}}
  large: {region: us, engine: {profile: llama-3.1-8b/bf16/h100_sxm/tp1}}
workload:
  chat:
    arrivals: {process: poisson, rate: 1/s}
    tokens:
      prompt: {distribution: constant, value: 2000}
      output: {distribution: constant, value: 9}
""",
        encoding="utf-8",
    )
    done = check(str(file))

    assert done.exit_code == 2
    assert "can never be served by the pool small" in done.stderr
    assert "The load of" not in done.stderr


def test_policies_next_to_a_router_of_ones_own_are_reported_as_idle(tmp_path, monkeypatch):
    """Only our router and the adapters apply policies by themselves."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "alone_in_a_test.py").write_text("class Alone:\n    pass\n")
    minimal = str(ROOT / "scenarios" / "minimal.yaml")
    own = check(minimal, "--set", "federation.router=alone_in_a_test:Alone")
    idle = "policies have no effect unless it asks them"

    assert own.exit_code == 0, own.output
    assert idle in " ".join(own.stdout.split())
    assert idle not in " ".join(check(minimal).stdout.split())


@pytest.mark.parametrize(
    "place", ["health", "circuit_breaker", "router", "strategy", "middleware", "compare"]
)
def test_every_plugin_that_a_scenario_names_is_looked_for(place):
    """A class that does not exist is found out by the check, wherever it is named."""
    value = "[no_such_module:X]" if place == "middleware" else "no_such_module:X"
    override = f"federation.{place}={value}"
    if place == "compare":
        override = "compare={strategies: [round_robin], routers: [no_such_module:X]}"
    done = check(str(ROOT / "scenarios" / "minimal.yaml"), "--set", override)

    assert done.exit_code == 2
    assert "plug-in no_such_module:X: importing no_such_module failed" in done.stderr


STARTS_SLOWLY = """\
duration: 10s
regions: {lab: {}}
pools: {w: {region: lab, count: 2, slots: 8, service: {distribution: constant, value: 1s}}}
workload: {chat: {arrivals: {process: poisson, rate: 1/s}}}
"""


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["federation.slow_start={}", "federation.strategy=maglev"], "maglev"),
        (["federation.slow_start={}", "federation.strategy=round_robin"], None),
        (["federation.slow_start=off", "federation.strategy=maglev"], None),
        (
            ["federation.slow_start={}", "compare.strategies=[random, llm_d, best_score]"],
            "llm_d, best_score",
        ),
    ],
)
def test_says_where_slow_start_has_no_effect(
    overrides: list[str], named: str | None, tmp_path: Path
):
    """Strategies that slow start does not hold back are named, and only where it is on."""
    file = tmp_path / "slowly.yaml"
    file.write_text(STARTS_SLOWLY, encoding="utf-8")
    done = check(str(file), *(word for each in overrides for word in ("--set", each)))
    assert done.exit_code == 0, done.output
    said = " ".join(done.stdout.split())
    assert ("slow_start has no effect" in said) is (named is not None)
    assert named is None or f"federation.slow_start has no effect under {named}: tenants" in said
