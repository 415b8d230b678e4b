"""Scenarios with ``preset: apr``: what they mean, and what they cannot say."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import fedsim
from fedsim.cli import app
from fedsim.errors import PlugInError, ScenarioError
from fedsim.federation.contracts import PrivacyLevel
from fedsim.federation.reference.config import (
    ReferenceBreakerConfig,
    ReferenceConfig,
    ReferenceHealthConfig,
    ReferenceRetries,
)
from fedsim.scenario.load import load
from fedsim.scenario.presets import preset
from fedsim.scenario.reference.schema import ReferenceFederation
from fedsim.scenario.schema.federation import PRESETS, Federation

SCENARIO = """
duration: 1min
regions: {east: {privacy: restricted}, west: {privacy: public}}
network: {between: {east/west: 60ms}}
pools:
  a: {region: east, count: 2, service: {distribution: uniform, low: 100ms, high: 300ms}}
  b: {region: west, service: {distribution: uniform, low: 100ms, high: 300ms}}
workload:
  chat: {arrivals: {process: poisson, rate: 5/s}}
faults:
  - {kind: errors, pool: a, at: 20s, lasts: 10s, probability: 1}
federation: {preset: apr%s}
"""


def scenario(tmp_path: Path, more: str = "") -> fedsim.Scenario:
    """Return a scenario with further keys of the federation."""
    file = tmp_path / "scenario.yaml"
    file.write_text(SCENARIO % (f", {more}" if more else ""), encoding="utf-8")
    return load(file)


def config_of(found: fedsim.Scenario) -> ReferenceConfig:
    """Return the settings of the reference."""
    assert isinstance(found.federation.preset_config, ReferenceConfig)
    return found.federation.preset_config


def test_defaults_are_those_of_the_reference(tmp_path):
    """Nothing beside the preset means the original's defaults, and the resolved file shows them."""
    found = scenario(tmp_path)

    assert config_of(found) == ReferenceConfig()
    assert found.resolved["federation"] == {
        "preset": "apr",
        "gateways": {"east": 1, "west": 1},
        "gateway_choice": "random",
        "strategy": "least_latency",
        "policies": "enterprise_default",
        "health": {"failure_threshold": 3, "recovery_threshold": 2, "degraded_latency": "1s"},
        "circuit_breaker": {
            "failure_threshold": 5,
            "reset_timeout": "30s",
            "half_open_successes": 3,
        },
        "timeout": "off",
        "retries": {"limit": 3, "backoff": "100ms"},
        "hedge": "off",
        "middleware": [],
    }


@pytest.mark.parametrize(
    ("more", "config"),
    [
        ("health: off", ReferenceConfig(health=None)),
        (
            "health: {failure_threshold: 9, degraded_latency: 5s}",
            ReferenceConfig(health=ReferenceHealthConfig(9, 2, 5.0)),
        ),
        (
            "circuit_breaker: {failure_threshold: 2, reset_timeout: 5s, half_open_successes: 1}",
            ReferenceConfig(breaker=ReferenceBreakerConfig(2, 5.0, 1)),
        ),
        ("retries: off", ReferenceConfig(retries=ReferenceRetries(0))),
        ("retries: {backoff: 1s}", ReferenceConfig(retries=ReferenceRetries(3, 1.0))),
        (
            "policies: {latency: {max_latency: 20s, weight: 3}, health: {}, privacy: {}}",
            ReferenceConfig(
                policies={"latency": 3.0, "health": 2.0, "privacy": 1.0},
                max_latency_s=20.0,
                region_privacy={"east": PrivacyLevel.RESTRICTED, "west": PrivacyLevel.PUBLIC},  # type: ignore[dict-item]
            ),
        ),
    ],
)
def test_keys_beside_the_preset_override_it(tmp_path, more, config):
    """Each key changes its setting alone; the resolved file means the same."""
    found = scenario(tmp_path, more)
    again = tmp_path / "again.yaml"
    again.write_text(found.to_yaml(), encoding="utf-8")

    assert config_of(found) == config
    assert load(again).federation == found.federation
    assert load(again).resolved == {**found.resolved}


def test_every_other_key_is_an_error():
    """What the reference lacks of our keys is refused by name; nothing is ignored."""
    own = set(ReferenceFederation.model_fields)
    assert set(ReferenceFederation.lacks) == set(Federation.model_fields) - own


def test_errors_name_the_place_and_the_remedy(tmp_path):
    """An error says where, what the reference does instead, and what to write."""
    with pytest.raises(ScenarioError) as caught:
        scenario(tmp_path, "router: mine:Router")
    (problem,) = caught.value.problems
    assert str(problem).endswith(
        "scenario.yaml:12:27: federation.router: The preset apr takes no router but its own. "
        "Remove it, or write preset: default."
    )


def test_presets_are_found(tmp_path):
    """Each preset of the registry builds what its name promises."""
    spec = scenario(tmp_path).federation
    labels = {name: preset(name).factory(spec, find_nothing).label for name in PRESETS}

    assert labels == {"apr": "apr/least_latency"}


def find_nothing(text: str, kind: object) -> None:
    """Stand in for the search for plug-ins, where there are none."""


def test_a_run_of_the_reference(tmp_path):
    """Its label names preset and strategy, its changes of health and circuits are events."""
    run = fedsim.simulate(scenario(tmp_path, "circuit_breaker: {failure_threshold: 2}"))
    events = run.events

    assert run.strategy == "apr/least_latency"
    assert {"health", "breaker"} <= set(events["kind"])
    assert set(events[events["kind"] == "health"]["gateway"]) == {"east/0", "west/0"}


def test_the_same_run_twice(tmp_path):
    """Both runs have one digest, also where the choice is drawn."""
    drawn = scenario(tmp_path, "strategy: weighted_random")
    assert fedsim.simulate(drawn).digest == fedsim.simulate(drawn).digest
    assert fedsim.simulate(drawn).digest != fedsim.simulate(scenario(tmp_path)).digest


def test_what_its_router_knew(tmp_path):
    """Decisions are recorded with the reference's own scores."""
    file = tmp_path / "scenario.yaml"
    scenario(tmp_path)
    run = fedsim.simulate(load(file, {"record.decisions": "on"}))

    first = run.decisions.iloc[:3]
    assert list(first["total_score"]) == pytest.approx([0.75] * 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"strategy": "power_of_two"}, "federation.strategy: The preset apr has no strategy"),
        ({"strategy": object}, "federation.strategy: "),
        ({"router": "mine:Router"}, "federation.router: The preset apr takes no router"),
        ({"policies": ["throughput"]}, "federation.policies.throughput: "),
    ],
)
def test_what_python_cannot_exchange(tmp_path, given, message):
    """Strategies, routers and policies that the reference does not know are refused."""
    with pytest.raises(ScenarioError, match=message):
        fedsim.simulate(scenario(tmp_path), **given)


def test_strategies_of_the_contract_can_be_compared(tmp_path):
    """A comparison runs; four of the five strategies are the same run."""
    comparison = fedsim.compare(scenario(tmp_path), replications=1, workers=1)
    digests = {name: found[0] for name, found in comparison.digests.items()}

    assert len(set(digests.values())) == 2
    assert digests.pop("weighted_random") not in digests.values()


@pytest.mark.parametrize("name", ["default", *PRESETS])
def test_check_names_the_preset(tmp_path, name):
    """``fedsim check`` says whose objects will run."""
    file = tmp_path / "scenario.yaml"
    file.write_text((SCENARIO % "").replace("preset: apr", f"preset: {name}"), encoding="utf-8")

    done = CliRunner(env={"COLUMNS": "100"}).invoke(app, ["check", str(file)])

    assert done.exit_code == 0
    assert f"preset {name}" in done.output


MIDDLEWARE = """
class Witness:
    def __init__(self, context):
        self.context = context

    def before_route(self, request):
        if request.request_id.endswith("-7"):
            known = self.context.health.get_cached_health("a-0")
            raise RuntimeError(f"seen {known.status.value}")

    def after_infer(self, request, response):
        pass

    def on_error(self, request, error):
        pass
"""


def test_middleware_sees_the_reference(tmp_path):
    """Middleware is built with the gateway's own objects, and watched over as anywhere."""
    (tmp_path / "witness_of_the_reference.py").write_text(MIDDLEWARE, encoding="utf-8")
    found = scenario(tmp_path, 'middleware: ["witness_of_the_reference:Witness"]')

    with pytest.raises(PlugInError, match=r"seen (healthy|degraded|unknown)"):
        fedsim.simulate(found)
