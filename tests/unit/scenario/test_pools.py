"""What pools become: engines, batches, speech, pictures, cold starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedsim.scenario.catalogues.profiles import profile
from fedsim.scenario.engine_files import read_steps
from fedsim.workload.distributions import Constant, Lognormal
from fedsim.world.engine.config import EngineConfig
from fedsim.world.engine.measured import MeasuredSteps
from fedsim.world.engine.steps import Coefficients
from fedsim.world.nodes.config import BatchConfig, PoolConfig, SwitchConfig
from fedsim.world.service import (
    PictureService,
    RecognitionService,
    SynthesisService,
    TokenBatches,
)
from tests.unit.scenario.writing import PROFILE, STEPS, loaded, problems, write

H100 = "llama-3.1-8b/bf16/h100_sxm/tp1"
TP4 = "llama-3.1-70b/bf16/h100_sxm/tp4"

ONE_POOL = """\
duration: 10min
regions: {us: {}}
pools: {node: {region: us}}
workload:
  chat:
    arrivals: {process: poisson, rate: 1/s}
    tokens:
      prompt: {distribution: constant, value: 100}
      output: {distribution: constant, value: 9}
    audio: {length: {distribution: constant, value: 30s}}
  art: {arrivals: {process: poisson, rate: 1/s}, pictures: {}}
"""


def pool(folder: Path, settings: dict[str, Any]) -> PoolConfig:
    """Return a pool with *settings*, each its only one of its capability."""
    kept = ONE_POOL
    if "engine" in settings or "tokens_per_second" in settings.get("service", {}):
        kept = kept.partition("  art:")[0]
    elif "per_step" in settings.get("service", {}):
        kept = kept.partition("  chat:")[0] + "  art:" + kept.partition("  art:")[2]
    else:
        kept = kept.partition("  art:")[0]
    overrides = {f"pools.node.{key}": value for key, value in settings.items()}
    return loaded(folder, kept, overrides).world.pools[0]


class TestEngine:
    """Where an engine's figures come from."""

    def test_profile_of_the_catalogue(self, tmp_path: Path):
        """A name is enough: it brings steps, cache, GPU and model, and the queue has no limit."""
        found = profile(H100)
        node = pool(tmp_path, {"engine": {"profile": H100}})

        assert node.engine == EngineConfig(found.steps, found.kv_capacity_tokens)
        assert (node.slots, node.queue_limit, node.service) == (256, None, None)
        assert (node.gpu, node.model) == ("h100_sxm", "llama-3.1-8b")

    def test_own_values_come_before_those_of_the_profile(self, tmp_path: Path):
        """Single keys may be overridden."""
        found = profile(H100)
        engine = {
            "profile": H100,
            "max_batch": 64,
            "kv_capacity": 100_000,
            "step_overhead": "2ms",
            "request_overhead": "15ms",
            "order": "priority",
            "prefix_cache": False,
            "block_tokens": 32,
            "chunked_prefill": False,
            "token_budget": 16384,
        }
        settings = {"engine": engine, "gpu": "none", "model": "mine", "queue_limit": 7}
        node = pool(tmp_path, settings)

        assert isinstance(found.steps, Coefficients)
        assert node.engine == EngineConfig(
            steps=replace(found.steps, step_overhead_s=0.002),
            kv_capacity_tokens=100_000,
            max_batch=64,
            token_budget=16384,
            chunked_prefill=False,
            request_overhead_s=0.015,
            block_tokens=32,
            prefix_cache=False,
            order="priority",
        )
        assert (node.slots, node.queue_limit, node.gpu, node.model) == (64, 7, None, "mine")

    def test_coefficients_of_the_documentation(self, tmp_path: Path):
        """All that a profile says can be written out."""
        engine = {
            "prefill": {"p0": "8.03ms", "p1": "0.0545ms", "p2": "2.97e-6ms", "floor": "9ms"},
            "decode": {"d0": "11.6ms", "d1": "0.0322ms", "d2": "8.0e-5ms", "dw": "1ms"},
            "kv_capacity": 455_000,
            "step_overhead": "1ms",
        }
        node = pool(tmp_path, {"engine": engine})

        expected = Coefficients(
            p0_s=0.00803,
            p1_s=5.45e-05,
            p2_s=2.97e-09,
            floor_s=0.009,
            d0_s=0.0116,
            d1_s=3.22e-05,
            d2_s=8e-08,
            dw_s=0.001,
            step_overhead_s=0.001,
        )
        assert node.engine == EngineConfig(expected, 455_000)
        assert (node.gpu, node.model) == (None, "node")

    def test_profile_in_a_file(self, tmp_path: Path):
        """A name that ends in .yaml is a file beside the scenario."""
        write(tmp_path, PROFILE, "my-llama.yaml")
        settings = {"engine": {"profile": "./my-llama.yaml"}, "cost": "aws/h100_sxm"}
        node = pool(tmp_path, settings)

        steps = Coefficients(0.003, 19e-6, 0.0, 0.006, 10e-6, 44e-9, step_overhead_s=0.0015)
        assert node.engine == EngineConfig(steps, 400_000, request_overhead_s=0.01)
        assert node.gpu == "h100_sxm"
        assert node.cost_usd_per_hour == pytest.approx(2 * 6.88)

    def test_measured_points_in_a_file(self, tmp_path: Path):
        """A table takes the place of the formula."""
        write(tmp_path, STEPS, "steps.csv")
        settings = {"table": "steps.csv", "kv_capacity": 1000, "step_overhead": "1ms"}
        node = pool(tmp_path, {"engine": settings})

        prefill = ((512, 0, 0.015), (2048, 0, 0.045))
        decode = ((1, 512, 0.007), (1, 2048, 0.0075), (32, 512, 0.009), (32, 2048, 0.011))
        assert node.engine == EngineConfig(MeasuredSteps(prefill, decode, 0.001), 1000)

    def test_gpus_of_the_profile_count_for_the_price(self, tmp_path: Path):
        """A node of four GPUs costs four times as much as one."""
        node = pool(tmp_path, {"engine": {"profile": TP4}, "cost": "aws/h100_sxm"})

        assert node.cost_usd_per_hour == pytest.approx(4 * 6.88)

    def test_resolved_scenario_is_the_same(self, tmp_path: Path):
        """What is written out loads again, wherever it lies, to the same world."""
        write(tmp_path, PROFILE, "my-llama.yaml")
        text = ONE_POOL.partition("  art:")[0]
        settings: dict[str, object] = {
            "pools.node.engine": {"profile": "my-llama.yaml"},
            "pools.node.gpu": "none",
        }
        scenario = loaded(tmp_path, text, settings)
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()

        assert loaded(elsewhere, scenario.to_yaml()).world == scenario.world

    def test_figures_name_the_profile_and_what_is_stated(self, tmp_path: Path):
        """The manifest says where an engine's figures come from."""
        overrides: dict[str, object] = {
            "pools.node.engine": {"profile": H100, "kv_capacity": 100_000}
        }
        scenario = loaded(tmp_path, ONE_POOL.partition("  art:")[0], overrides)
        figures = {each.path: each for each in scenario.figures}

        named = figures["pools.node.engine.profile"]
        assert (named.value, named.label) == (H100, profile(H100).label)
        assert profile(H100).source in named.source
        assert figures["pools.node.engine.kv_capacity"].label == "user"


class TestOtherWork:
    """Batches, speech and pictures."""

    def test_batches(self, tmp_path: Path):
        """Static batching has no slots of its own, and no limit to its queue."""
        service = {"base": "5ms", "tokens_per_second": 62100, "noise_cv": 0.1}
        node = pool(tmp_path, {"batching": {"max_wait": "10ms"}, "service": service})

        batches = TokenBatches(tokens_per_s=62100, base_s=0.005, noise_cv=0.1)
        assert node.batching == BatchConfig(32, 0.01, batches)
        assert (node.slots, node.queue_limit, node.service) == (32, None, None)

    def test_speech_recognition(self, tmp_path: Path):
        """A real-time factor alone is recognition."""
        service = {"real_time_factor": 91.8, "base": "100ms", "noise_cv": 0.2}
        node = pool(tmp_path, {"service": service})

        assert node.service == RecognitionService(91.8, 0.1, 0.2)
        assert (node.slots, node.queue_limit) == (8, 64)

    def test_speech_synthesis(self, tmp_path: Path):
        """With a time to the first audio it is synthesis."""
        node = pool(tmp_path, {"service": {"real_time_factor": 20, "first_audio": "200ms"}})

        assert node.service == SynthesisService(20, 0.2)

    def test_pictures_and_models(self, tmp_path: Path):
        """Steps take time, and so do models and adapters."""
        switch = {
            "model_load": {"distribution": "lognormal", "median": "22.7s", "p99": "51.8s"},
            "adapter_load": {"distribution": "constant", "value": "4.4s"},
            "models": 2,
        }
        service = {"per_step": "50ms", "base": "1s", "noise_cv": 0.3}
        node = pool(tmp_path, {"service": service, "slots": 1, "switch": switch})

        assert node.service == PictureService(0.05, 1.0, 0.3)
        load = Lognormal.from_median_p99(22.7, 51.8)
        assert node.switch == SwitchConfig(load, Constant(4.4), 2)

    def test_cold_start(self, tmp_path: Path):
        """Any kind of node may have to load before it serves again."""
        cold = {"distribution": "lognormal", "median": "45s", "p99": "2min"}
        service = {"distribution": "exponential", "mean": "1s"}

        assert pool(tmp_path, {"service": service}).cold_start is None
        node = pool(tmp_path, {"service": service, "cold_start": cold})
        assert node.cold_start == Lognormal.from_median_p99(45.0, 120.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("new_tokens,time_ms\n1,2\n", "the column step is missing"),
        ("decodes,,,1,1,1\n", "line 2 has the step 'decodes'"),
        ("decode,,,one,1,1\n", "line 2 needs numbers in sequences, context_tokens and time_ms"),
        ("prefill,512,0,,,15\nprefill,512,0,,,16\n", "two points"),
        ("prefill,512,0,,,15\n", "decode"),
    ],
)
def test_table_says_what_is_wrong(tmp_path: Path, text: str, message: str):
    """A table that cannot be used says why."""
    header = "" if text.startswith("new") else STEPS.splitlines()[0] + "\n"
    with pytest.raises(ValueError, match=message):
        read_steps(write(tmp_path, header + text, "steps.csv"))


def test_all_that_is_wrong_comes_at_once(tmp_path: Path):
    """A value out of range hides neither what is missing nor what does not fit together."""
    overrides: dict[str, object] = {
        "pools.node.slots": 4,
        "pools.node.engine": {"profile": H100, "max_batch": 0, "table": "none.csv", "decode": {}},
    }
    found = problems(tmp_path, ONE_POOL.partition("  art:")[0], overrides)

    assert sorted(each.partition(": ")[2].partition(":")[0] for each in found) == [
        "pools.node.engine.decode",
        "pools.node.engine.decode",
        "pools.node.engine.max_batch",
        "pools.node.engine.table",
        "pools.node.engine.table",
        "pools.node.slots",
    ]
