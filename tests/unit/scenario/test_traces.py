"""Traces in a scenario: what of them reaches the requests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import fedsim
from fedsim.kernel.streams import Streams
from fedsim.scenario.load import load
from fedsim.workload.arrival_blocks import ArrivalBlock
from fedsim.workload.details import Prompt
from fedsim.workload.traffic import Traffic

SCENARIO = """\
duration: 1h
warmup: 0s
regions: {{us: {{}}, eu: {{}}}}
network: {{between: {{us/eu: 83ms}}}}
pools:
  chat: {{region: us, service: {{distribution: exponential, mean: 1s}}}}
workload:
  chat: {{arrivals: {{process: trace, file: trace.jsonl{more}}}}}
"""
OWN = "columns: {time: t, prompt_tokens: in, output_tokens: out, tenant: who, origin: site}"
ROWS = [
    {"t": 10.0 * n, "in": n, "out": 2, "who": f"t{n % 2}", "site": "eu" if n % 5 else "Ashburn"}
    for n in range(1, 101)
]
BLOCKS = [
    {"timestamp": 3000 * (n // 4), "input_length": 600, "output_length": 1, "hash_ids": [0, n]}
    for n in range(100)
]


def traffic_of(folder: Path, rows: Sequence[Mapping[str, object]], more: str = "") -> Traffic:
    """Return the traffic of a scenario that replays *rows*."""
    (folder / "trace.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    path = folder / "scenario.yaml"
    path.write_text(SCENARIO.format(more=f", {more}" if more else ""), encoding="utf-8")
    return load(path).world.streams[0].traffic


def block_of(traffic: Traffic, until_s: float = 3600.0) -> ArrivalBlock:
    """Return all arrivals, which fit one block."""
    [block] = traffic.blocks(Streams(1), until_s)
    return block


def test_tenants_and_origins_come_from_columns(tmp_path: Path):
    """Each request has the tenant and the region of its row."""
    traffic = traffic_of(tmp_path, ROWS, f"{OWN}, regions: {{Ashburn: us}}")
    block = block_of(traffic)
    names = traffic.tenant_names

    assert names is not None
    assert [names[tenant] for tenant in block.tenants] == [row["who"] for row in ROWS]
    assert [traffic.origins[each][0] for each in block.origins] == [
        "eu" if row["site"] == "eu" else "us" for row in ROWS
    ]
    assert traffic.origins == (("us", 20.0), ("eu", 80.0))
    assert block.prompt_tokens == [row["in"] for row in ROWS]
    assert block.details is None


def test_rows_are_picked_cut_multiplied_and_sped_up(tmp_path: Path):
    """All that may be done to a trace can be said in its scenario."""
    more = f"{OWN}, regions: {{Ashburn: us}}, where: {{who: t1}}, from: 200s, to: 600s, speed: 2"
    block = block_of(traffic_of(tmp_path, ROWS, more))
    doubled = block_of(traffic_of(tmp_path, ROWS, f"{more}, rate_factor: 2"))

    assert block.prompt_tokens == list(range(21, 61, 2))
    assert block.times_s[:2] == [0.0, 10.0]
    assert len(doubled) == 2 * len(block)


def test_mooncake_is_spread_and_brings_blocks(tmp_path: Path):
    """Quantised times are spread unless told otherwise; prompts say what they consist of."""
    block = block_of(traffic_of(tmp_path, BLOCKS))
    recorded = block_of(traffic_of(tmp_path, BLOCKS, "spread: off"))

    details = [each for each in block.details or () if isinstance(each, Prompt)]
    shared = details[0].blocks[0]  # its hash belongs to the stream
    assert details == [Prompt((shared, (shared + n) % 2**63), 512) for n in range(100)]
    assert recorded.times_s == [3.0 * (n // 4) for n in range(100)]
    assert len(set(block.times_s)) == 100
    assert all(
        0.0 <= one - other < 3.0 for one, other in zip(block.times_s, recorded.times_s, strict=True)
    )


def test_blocks_belong_to_their_stream_and_to_their_size(tmp_path: Path):
    """Two streams that replay one trace have no block in common, nor have two sizes of blocks."""

    def hashes(traffic: Traffic) -> set[int]:
        details = block_of(traffic).details or ()
        return {hash for each in details if isinstance(each, Prompt) for hash in each.blocks}

    chat = traffic_of(tmp_path, BLOCKS)
    small = [
        {"chat_id": n, "parent_chat_id": -1, "timestamp": 3.0 * n, "input_length": 600}
        | {"output_length": 1, "type": "text", "turn": 1, "hash_ids": list(range(38))}
        for n in range(10)
    ]
    every = [hashes(chat), hashes(replace(chat, name="other")), hashes(traffic_of(tmp_path, small))]

    assert hashes(traffic_of(tmp_path, BLOCKS)) == every[0]
    assert [len(each) for each in every] == [100, 100, 38]
    assert len(set.union(*every)) == 238


def test_exact_times_in_that_layout_stay(tmp_path: Path):
    """Only times that are quantised are spread; others are as they were recorded."""
    exact = [{**row, "timestamp": 37 * n} for n, row in enumerate(BLOCKS)]

    assert block_of(traffic_of(tmp_path, exact)).times_s == pytest.approx(
        [0.037 * n for n in range(100)]
    )


def test_seeds_draw_the_copies_of_a_trace(tmp_path: Path):
    """Replications differ in what a rate_factor adds and leaves out, and repeat themselves."""
    more = f"{OWN}, regions: {{Ashburn: us}}"
    for factor in (0.5, 2.0):
        traffic = traffic_of(tmp_path, ROWS, f"{more}, rate_factor: {factor}")
        one, again, other = (
            next(traffic.blocks(Streams(seed), 3600.0)).times_s for seed in (1, 1, 2)
        )
        assert one == again != other


@pytest.mark.parametrize("size", [7, 100])
def test_size_of_blocks_changes_nothing(tmp_path: Path, size: int):
    """All that belongs to a row stays with it, however arrivals are cut into blocks."""
    traffic = traffic_of(tmp_path, BLOCKS)
    whole = block_of(traffic)
    parts = list(traffic.blocks(Streams(1), 3600.0, size))

    assert [each for part in parts for each in part.details or ()] == whole.details
    assert [each for part in parts for each in part.times_s] == whole.times_s


def test_prefixes_of_a_trace_are_found_by_an_engine(tmp_path: Path):
    """Requests of a run hit the first block, which all prompts share, and nothing else."""
    traffic_of(tmp_path, BLOCKS)
    path = tmp_path / "scenario.yaml"
    engine = "engine: {profile: llama-3.1-8b/bf16/h100_sxm/tp1}"
    text = path.read_text(encoding="utf-8")
    service = "service: {distribution: exponential, mean: 1s}"
    path.write_text(text.replace(service, engine), encoding="utf-8")
    cached = fedsim.simulate(load(path)).requests["cached_tokens"].tolist()

    assert max(cached) == 512
    assert cached.count(512) >= 95


def test_a_completed_scenario_can_be_loaded_again(tmp_path: Path):
    """What the manifest keeps of a scenario gives the same requests."""
    traffic = traffic_of(tmp_path, ROWS, f"{OWN}, regions: {{Ashburn: us}}, from: 20s, spread: 1s")
    again = tmp_path / "elsewhere" / "again.yaml"
    again.parent.mkdir()
    again.write_text(load(tmp_path / "scenario.yaml").to_yaml(), encoding="utf-8")

    assert block_of(load(again).world.streams[0].traffic) == block_of(traffic)
