"""The job that fedsim is for: strategies compared on published traffic, every request accounted."""

from __future__ import annotations

from pathlib import Path

import pytest

import fedsim
from fedsim.federation.strategies.registry import CONTRACT_STRATEGIES
from tests.chosen import others_slow

REQUESTS = 28_185
"""Rows of the conversation trace and the code trace together."""

SCENARIO = """\
duration: 1h
warmup: 1min
regions: {{us-east: {{}}, eu-west: {{}}, ap-south: {{}}}}
network: {{between: {{us-east/eu-west: 83ms, us-east/ap-south: 198ms, eu-west/ap-south: 121ms}}}}
pools:
  us:
    region: us-east
    count: 6
    slots: 8
    capabilities: [generate, code]
    service: {{base: 50ms, per_prompt_token: 0.05ms, per_output_token: 8ms, noise_cv: 0.1}}
  eu:
    region: eu-west
    count: 6
    slots: 8
    capabilities: [generate, code]
    service: {{base: 50ms, per_prompt_token: 0.05ms, per_output_token: 8ms, noise_cv: 0.1}}
workload:
  chat:
    capability: generate
    arrivals: {{process: trace, format: azure, file: {data}/traces/azure_llm_2023_conv.csv.gz}}
  code:
    capability: code
    arrivals: {{process: trace, format: azure, file: {data}/traces/azure_llm_2023_code.csv.gz}}
record: {{nodes_every: off}}
"""


@pytest.fixture(scope="module")
def scenario(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> fedsim.Scenario:
    """Return both traces on a fleet that is amply sized."""
    path = tmp_path_factory.mktemp("traces") / "azure.yaml"
    path.write_text(SCENARIO.format(data=data_dir.resolve()))
    return fedsim.load(path)


@pytest.mark.parametrize("strategy", others_slow(CONTRACT_STRATEGIES, ["least_latency"]))
def test_every_request_is_in_the_tables(scenario: fedsim.Scenario, strategy: str) -> None:
    """All rows of both traces arrive, each has one outcome, and on ample nodes it is ``ok``."""
    requests = fedsim.simulate(scenario, strategy=strategy).requests
    outcomes = requests["outcome"].value_counts()

    assert len(requests) == requests["request_id"].nunique() == REQUESTS
    assert outcomes.sum() == REQUESTS
    assert outcomes.get("unfinished", 0) == 0
    assert outcomes["ok"] >= 0.99 * REQUESTS
