"""From scenario files to the frozen values of a run."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from fedsim.federation.breaker import BreakerConfig
from fedsim.federation.contracts import Capability, PrivacyLevel, QoSRequirements
from fedsim.federation.gateway import TimeoutConfig
from fedsim.federation.health import HealthConfig
from fedsim.federation.policies import DEFAULT_POLICIES
from fedsim.federation.retries import RetryConfig
from fedsim.federation.strategies.registry import CONTRACT_STRATEGIES
from fedsim.results.slo import Slo
from fedsim.scenario.load import load
from fedsim.scenario.spec import CompareSpec, Scenario
from fedsim.workload.arrivals import Poisson, TraceReplay
from fedsim.workload.distributions import (
    Constant,
    Distribution,
    Empirical,
    Exponential,
    Gamma,
    Hyperexponential,
    Lognormal,
    Pareto,
    Uniform,
    Weibull,
)
from fedsim.workload.tenants import Tenants
from fedsim.world.config import WorldConfig
from fedsim.world.faults.config import FaultConfig
from fedsim.world.faults.gray import Errors, Slowdown
from fedsim.world.faults.stopping import Crash, Outage
from fedsim.world.service import DistributedService, TokenService
from tests.conftest import ROOT
from tests.unit.scenario.writing import SMALLEST, TWO_REGIONS, loaded, write

STREAMABLE = """\
duration: 1min
regions: {us: {}}
pools: {chat: {region: us}}
workload: {chat: {arrivals: {process: poisson, rate: 1/s}}}
"""

SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))


def comparable(world: WorldConfig) -> WorldConfig:
    """Return *world* with its traces as values, as traces compare by identity."""

    def plain(stream):
        arrivals = stream.traffic.arrivals
        if arrivals.trace is None:
            return stream
        columns = (arrivals.trace.times_s, arrivals.trace.prompt_tokens)
        key = (arrivals.speed, *(tuple(column.tolist()) for column in columns))
        return replace(stream, traffic=(stream.traffic.name, stream.traffic.origins, key))

    return replace(world, streams=tuple(plain(stream) for stream in world.streams))


def assert_same(one: Scenario, other: Scenario) -> None:
    """Check that two scenarios are equal but for the file that they stand in."""
    assert comparable(one.world) == comparable(other.world)
    assert one.resolved == other.resolved
    assert replace(one, path=other.path, world=other.world) == other


class TestDefaults:
    """What the smallest scenario comes to."""

    def test_smallest_scenario_has_the_defaults_of_the_docs(self, tmp_path: Path):
        """Regions, pools, workload and duration are enough."""
        scenario = loaded(tmp_path, SMALLEST)
        (pool,) = scenario.world.pools
        (stream,) = scenario.world.streams

        assert scenario.name == "scenario"
        assert (scenario.duration_s, scenario.warmup_s, scenario.drain_s) == (600.0, 60.0, 300.0)
        assert (pool.model, pool.count, pool.slots, pool.queue_limit) == ("chat", 1, 8, 64)
        assert pool.capabilities == (Capability.GENERATE,)
        assert (pool.gpu, pool.cost_usd_per_hour) == (None, None)
        assert stream.traffic.origins == (("us", 1.0),)
        assert stream.traffic.arrivals == Poisson(2.0)
        assert stream.qos == QoSRequirements()
        assert scenario.federation.gateways == {"us": 1}
        assert scenario.federation.strategy == "least_latency"
        assert scenario.federation.policies == DEFAULT_POLICIES
        assert (scenario.slo, scenario.compare, scenario.record_tables) == (None, None, "full")

    def test_defaults_of_the_federation_are_those_of_its_objects(self, tmp_path: Path):
        """A federation that is not mentioned has the settings of the preset ``default``."""
        federation = loaded(tmp_path, SMALLEST).federation

        assert federation.health == HealthConfig()
        assert federation.circuit_breaker == BreakerConfig()
        assert federation.config.timeout == TimeoutConfig()
        assert federation.config.retries == RetryConfig()

    def test_traffic_comes_from_all_regions_and_each_has_a_gateway(self, tmp_path: Path):
        """Without origins and gateways, every region sends and has one gateway."""
        scenario = loaded(tmp_path, TWO_REGIONS)

        assert scenario.world.streams[0].traffic.origins == (("us", 1.0), ("eu", 1.0))
        assert scenario.federation.gateways == {"us": 1, "eu": 1}

    def test_region_without_weight_needs_no_gateway(self, tmp_path: Path):
        """A region whose weight is 0 sends nothing, and gets no gateway by default."""
        origins = {"us": 1, "eu": 0}
        overrides: dict[str, object] = {
            "workload.chat.origins": origins,
            "workload.code.origins": origins,
        }
        scenario = loaded(tmp_path, TWO_REGIONS, overrides)

        assert scenario.federation.gateways == {"us": 1}

    def test_name_is_that_of_the_file(self, tmp_path: Path):
        """A scenario without a name is called like its file, in letters that a folder can have."""
        assert load(write(tmp_path, SMALLEST, "my test.v2.yaml")).name == "my-test-v2"


class TestValues:
    """What keys become."""

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ("{distribution: constant, value: 2s}", Constant(2.0)),
            ("{distribution: exponential, mean: 2s}", Exponential(2.0)),
            ("{distribution: exponential, median: 2s}", Exponential.from_median(2.0)),
            ("{distribution: uniform, low: 0s, high: 4s}", Uniform(0.0, 4.0)),
            ("{distribution: uniform, mean: 2s, cv: 0.5}", Uniform.from_mean_cv(2.0, 0.5)),
            ("{distribution: uniform, median: 2s, p99: 3s}", Uniform.from_median_p99(2.0, 3.0)),
            ("{distribution: lognormal, mean: 2s, cv: 2}", Lognormal.from_mean_cv(2.0, 2.0)),
            (
                "{distribution: lognormal, median: 900ms, p99: 4s}",
                Lognormal.from_median_p99(0.9, 4.0),
            ),
            ("{distribution: gamma, mean: 2s, cv: 2}", Gamma.from_mean_cv(2.0, 2.0)),
            ("{distribution: gamma, median: 2s, p99: 9s}", Gamma.from_median_p99(2.0, 9.0)),
            ("{distribution: weibull, mean: 2s, cv: 2}", Weibull.from_mean_cv(2.0, 2.0)),
            ("{distribution: pareto, median: 2s, p99: 9s}", Pareto.from_median_p99(2.0, 9.0)),
            (
                "{distribution: hyperexponential, mean: 2s, cv: 3}",
                Hyperexponential.from_mean_cv(2.0, 3.0),
            ),
            ("{distribution: empirical, values: [1s, 300ms]}", Empirical((0.3, 1.0))),
        ],
    )
    def test_distribution_is_built(self, tmp_path: Path, settings: str, expected: Distribution):
        """Every distribution takes the parameters that a person has."""
        service = f"pools: {{chat: {{region: us, service: {settings}}}}}\n"
        kept = [line for line in SMALLEST.splitlines() if not line.startswith("pools")]
        scenario = loaded(tmp_path, service + "\n".join(kept))

        assert scenario.world.pools[0].service == DistributedService(expected)

    def test_service_may_depend_on_tokens(self, tmp_path: Path):
        """A service without a distribution is made of times per request and per token."""
        service = {"base": "50ms", "per_prompt_token": "0.05ms", "noise_cv": 0.1}
        path = "pools.eu-code.service"
        scenario = loaded(tmp_path, TWO_REGIONS, {path: service})

        assert scenario.world.pools[1].service == TokenService(0.05, 0.00005, 0.0, 0.1)

    def test_fixed_service_needs_no_tokens(self, tmp_path: Path):
        """A service of a base alone serves streams that have no token counts."""
        scenario = loaded(tmp_path, SMALLEST, {"pools.chat.service": {"base": "50ms"}})

        service = scenario.world.pools[0].service
        assert service is not None
        assert not service.needs_tokens

    def test_pool_and_quality_of_service(self, tmp_path: Path):
        """Prices, limits and requirements arrive in SI units and contract types."""
        overrides: dict[str, object] = {
            "pools.chat.queue_limit": "unlimited",
            "pools.chat.gpu": "h100_sxm",
            "pools.chat.cost": "6.88 USD/h",
            "workload.chat.qos": {
                "privacy": "public",
                "max_latency": "8s",
                "min_throughput": "100 tokens/s",
                "prefer_gpu": False,
                "cost_tolerance": 0,
            },
            "workload.chat.tenants": {"count": 500, "zipf": 1.1},
        }
        world = loaded(tmp_path, SMALLEST, overrides).world
        tenants = world.streams[0].traffic.tenants

        assert world.pools[0].queue_limit is None
        assert world.pools[0].gpu == "h100_sxm"
        assert world.pools[0].cost_usd_per_hour == 6.88
        assert world.streams[0].qos == QoSRequirements(8.0, 100, PrivacyLevel.PUBLIC, False, 0)
        assert isinstance(tenants, Tenants)
        assert (tenants.count, tenants.zipf) == (500, 1.1)

    def test_round_trips_count_in_both_directions(self, tmp_path: Path):
        """A pair in one order gives the round trip of both."""
        network = loaded(tmp_path, TWO_REGIONS).world.network

        assert network.between_s == {("us", "eu"): 0.083, ("eu", "us"): 0.083}
        assert (network.within_region_s, network.jitter) == (0.001, 0.05)

    def test_parts_of_the_federation_can_be_off(self, tmp_path: Path):
        """``off`` switches a part off, and an empty mapping of policies means none."""
        parts = ("health", "circuit_breaker", "timeout", "retries", "abort")
        overrides: dict[str, object] = {f"federation.{part}": "off" for part in parts}
        overrides["federation.policies"] = {}
        overrides["record.nodes_every"] = "off"
        scenario = loaded(tmp_path, SMALLEST, overrides)
        federation = scenario.federation

        assert (federation.health, federation.circuit_breaker) == (None, None)
        assert (federation.config.timeout, federation.config.retries) == (None, None)
        assert federation.policies == {}
        assert scenario.world.abort is False
        assert scenario.world.nodes_every_s is None

    def test_single_deadlines_and_the_budget_can_be_off(self, tmp_path: Path):
        """One of several deadlines may be off, and retries may have no budget."""
        overrides: dict[str, object] = {
            "federation.timeout.attempt": "off",
            "federation.retries": {"budget": "off", "limit": 0},
        }
        federation = loaded(tmp_path, SMALLEST, overrides).federation

        assert federation.config.timeout == TimeoutConfig(None, 600.0, None, 30.0)
        assert federation.config.retries == RetryConfig(limit=0, budget=None)

    def test_deadlines(self, tmp_path: Path):
        """The first token has the deadline of an attempt, where only that is given."""
        cases = {
            "{}": (60.0, 600.0, 30.0, 30.0),
            "{attempt: 10s}": (10.0, 600.0, 10.0, 30.0),
            "{attempt: 10s, first_token: 2s}": (10.0, 600.0, 2.0, 30.0),
            "{first_token: off, idle: off, request: 1min}": (60.0, 60.0, None, None),
        }
        for text, expected in cases.items():
            scenario = loaded(tmp_path, f"{SMALLEST}\nfederation: {{timeout: {text}}}")
            assert scenario.federation.config.timeout == TimeoutConfig(*expected)
            (tmp_path / "resolved.yaml").write_text(scenario.to_yaml())
            again = load(tmp_path / "resolved.yaml")
            assert again.federation.config.timeout == TimeoutConfig(*expected)

    def test_streamed(self, tmp_path: Path):
        """Answers of engines are streamed where they are text; what is said counts."""
        engine: dict[str, object] = {"engine": {"profile": "llama-3.1-8b/bf16/h100_sxm/tp1"}}
        can: dict[str, object] = {
            "pools.chat": {"region": "us", "capabilities": ["generate", "code", "custom:x"]},
            "workload.chat.tokens": {
                key: {"distribution": "constant", "value": 10} for key in ("prompt", "output")
            },
        }
        slots: dict[str, object] = {"service": {"distribution": "constant", "value": "1s"}}
        cases: list[tuple[dict[str, object], str, str | None, bool]] = [
            (engine, "generate", None, True),
            (engine, "code", None, True),
            (engine, "custom:x", None, False),
            (engine, "generate", "off", False),
            (slots, "generate", None, False),
            (slots, "custom:x", "on", True),
        ]
        for kind, capability, said, expected in cases:
            overrides = can | {f"pools.chat.{key}": value for key, value in kind.items()}
            overrides["workload.chat.capability"] = capability
            if said is not None:
                overrides["workload.chat.streamed"] = said
            scenario = loaded(tmp_path, STREAMABLE, overrides)
            assert scenario.world.streams[0].streamed is expected, (kind, capability, said)

    def test_plug_ins_are_named(self, tmp_path: Path):
        """Strategy, policies, router and middleware may be classes of the user."""
        overrides: dict[str, object] = {
            "federation.strategy": "mine.strategies:Sticky",
            "federation.router": "mine:Router",
            "federation.policies": {"mine:Policy": {"weight": 3}, "latency": {"max_latency": "5s"}},
            "federation.middleware": ["mine:Middleware"],
        }
        federation = loaded(tmp_path, SMALLEST, overrides).federation

        assert federation.strategy == "mine.strategies:Sticky"
        assert federation.router == "mine:Router"
        assert federation.policies == {
            "mine:Policy": {"weight": 3.0},
            "latency": {"weight": 1.0, "max_latency_s": 5.0},
        }
        assert federation.middleware == ("mine:Middleware",)

    def test_faults_objective_and_comparison(self, tmp_path: Path):
        """Faults, objective and comparison become their frozen values."""
        overrides: dict[str, object] = {
            "faults": [
                {"kind": "outage", "region": "eu", "at": "1min", "lasts": "10s"},
                {"kind": "crash", "pool": "us-chat", "mtbf": "6h", "mttr": "10min"},
                {"kind": "crash", "node": "us-chat-1", "at": "0s", "lasts": "10s"},
                {"kind": "slowdown", "node": "us-chat-0", "at": "1s", "lasts": "2s", "factor": 5},
                {"kind": "errors", "pool": "us-chat", "at": "1s", "lasts": "2s", "probability": 1},
            ],
            "slo": {"latency_p99": "8s", "latency_p50": "1s", "success_rate": "99.9%"},
            "compare": {"replications": 3, "baseline": "round_robin"},
        }
        scenario = loaded(tmp_path, TWO_REGIONS, overrides)

        assert scenario.world.faults == (
            FaultConfig(Outage(), region="eu", at_s=60.0, lasts_s=10.0),
            FaultConfig(Crash(), pool="us-chat", mtbf_s=21600.0, mttr_s=600.0),
            FaultConfig(Crash(), node="us-chat-1", at_s=0.0, lasts_s=10.0),
            FaultConfig(Slowdown(5.0), node="us-chat-0", at_s=1.0, lasts_s=2.0),
            FaultConfig(Errors(1.0), pool="us-chat", at_s=1.0, lasts_s=2.0),
        )
        assert scenario.slo == Slo({"latency_p50": 1.0, "latency_p99": 8.0, "success_rate": 0.999})
        assert scenario.compare == CompareSpec(CONTRACT_STRATEGIES, 3, "round_robin")

    def test_trace_is_found_beside_the_scenario(self, tmp_path: Path):
        """A trace's name is relative to the scenario file, and its sizes come with it."""
        rows = "2023-11-16 18:00:00.0000000,10,1\n2023-11-16 18:00:01.5000000,20,2\n"
        write(tmp_path, "TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows, "trace.csv")
        arrivals = {"process": "trace", "file": "trace.csv", "speed": 2.0}
        scenario = loaded(tmp_path, SMALLEST, {"workload.chat.arrivals": arrivals})
        replay = scenario.world.streams[0].traffic.arrivals

        assert isinstance(replay, TraceReplay)
        assert replay.speed == 2.0
        assert np.array_equal(replay.trace.times_s, [0.0, 1.5])
        assert math.isclose(scenario.world.streams[0].traffic.mean_sizes.prompt_tokens, 15.0)


class TestResolved:
    """The scenario with all defaults filled in."""

    @pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
    def test_resolved_scenario_loads_again(self, tmp_path: Path, path: Path):
        """What ``to_yaml`` writes gives the same world, wherever it is kept."""
        scenario = load(path)
        again = load(write(tmp_path, scenario.to_yaml()))

        assert_same(scenario, again)

    def test_resolved_yaml_reads_the_same_in_yaml_1_1(self, tmp_path: Path):
        """A reader with the old rules gets the same values, ``off`` and all."""
        overrides: dict[str, object] = {"federation.health": "off", "description": "1e3"}
        scenario = loaded(tmp_path, SMALLEST, overrides)

        assert yaml.safe_load(scenario.to_yaml()) == scenario.resolved

    def test_other_seed_and_strategy_are_in_the_resolved_scenario(self, tmp_path: Path):
        """A scenario with another seed or strategy writes that one."""
        scenario = loaded(tmp_path, SMALLEST).changed(
            {"federation.strategy": "round_robin"}, seed=5
        )
        again = load(write(tmp_path, scenario.to_yaml(), "again.yaml"))

        assert (scenario.world.seed, again.seed, again.world.seed) == (5, 5, 5)
        assert again.federation.strategy == scenario.federation.strategy == "round_robin"
