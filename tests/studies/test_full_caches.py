"""Engines whose caches are nearly full, or are shared by streams that have nothing in common."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pandas as pd
import pytest

import fedsim
from fedsim.results.run import Run

PLAIN = "{circuit_breaker: off, health: off, timeout: off, retries: off}"
COEFFICIENTS = "prefill: {p0: 8ms, p1: 0.02ms}, decode: {d0: 11ms, d1: 0.03ms}"


def mooncake(path: Path, rows: list[tuple[int, int, int, list[int]]]) -> None:
    """Write a trace of times in milliseconds, tokens, and hashes of blocks of 512 tokens."""
    names = ("timestamp", "input_length", "output_length", "hash_ids")
    path.write_text("\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in rows))


def strangers(
    seed: int, count: int, gap_ms: float, prompt: int, output: int
) -> list[tuple[int, int, int, list[int]]]:
    """Return rows that share nothing, whose blocks are numbered from 0."""
    draw, now_ms, rows, number = Random(seed), 0.0, [], 0
    for _ in range(count):
        now_ms += draw.expovariate(1.0 / gap_ms)
        blocks = -(-prompt // 512)
        rows.append((round(now_ms), prompt, output, list(range(number, number + blocks))))
        number += blocks
    return rows


def simulated(folder: Path, engine: str, streams: str, duration: str) -> Run:
    """Return the run of one engine without limits on anything else."""
    path = folder / "full.yaml"
    path.write_text(f"""\
seed: 3
duration: {duration}
warmup: 0s
drain: 30min
regions: {{lab: {{}}}}
network: {{within_region: 0s}}
pools: {{llm: {{region: lab, count: 1, queue_limit: unlimited, engine: {{{engine}}}}}}}
workload: {{{streams}}}
federation: {PLAIN}
""")
    return fedsim.simulate(fedsim.load(path))


def trace(name: str, file: str) -> str:
    """Return a stream that replays a trace as it is."""
    return f"{name}: {{arrivals: {{process: trace, file: {file}, spread: off}}}}"


class TestLongPrompts:
    """Prompts of eight chunks on an engine that holds seven of them."""

    ENGINE = "profile: llama-3.1-8b/bf16/h100_sxm/tp1, kv_capacity: 455000, max_batch: 128"

    @pytest.fixture
    def rows(self, tmp_path: Path) -> list[tuple[int, int, int, list[int]]]:
        """Return the requests, which stand in two traces: with their content and without."""
        rows = strangers(1, 80, 7000.0, 60_000, 800)
        mooncake(tmp_path / "known.jsonl", rows)
        table = pd.DataFrame([row[:3] for row in rows])
        table.columns = pd.Index(["time", "prompt_tokens", "output_tokens"])
        table["time"] /= 1000.0
        table.to_csv(tmp_path / "unknown.csv", index=False)
        return rows

    def test_what_is_known_of_them_does_not_matter(self, tmp_path: Path, rows: object) -> None:
        """With their content, without it, and in one chunk, they begin in a few seconds."""
        settings = {
            "known": ("known.jsonl", ""),
            "unknown": ("unknown.csv", ""),
            "at once": ("unknown.csv", ", token_budget: 65536"),
        }
        ttft_s = {
            name: simulated(tmp_path, self.ENGINE + more, trace("docs", file), "10min")
            .requests["ttft_s"]
            .tolist()
            for name, (file, more) in settings.items()
        }

        assert ttft_s["known"] == pytest.approx(ttft_s["unknown"], rel=1e-9)
        for values in ttft_s.values():
            assert pd.Series(values).median() < 4.0

    def test_first_chunks_alone_make_it_thrash(self, tmp_path: Path, rows: object) -> None:
        """Admitted on their first chunk, prompts take the room of those that run, in vain."""
        engine, streams = f"{self.ENGINE}, prefix_cache: false", trace("docs", "unknown.csv")
        runs = {
            admit: simulated(tmp_path, f"{engine}, admit: {admit}", streams, "10min")
            for admit in ("whole", "chunk")
        }

        preempted = {name: run.requests["preemptions"].sum() for name, run in runs.items()}
        assert preempted["chunk"] > 80 > 10 * preempted["whole"]
        measured = {
            name: run.summary()["preemptions_per_request"].item() for name, run in runs.items()
        }
        assert measured["chunk"] == pytest.approx(preempted["chunk"] / 80)


def test_streams_do_not_find_each_others_prompts(tmp_path: Path) -> None:
    """Two traces whose prompts share nothing share nothing together, as both count from 0."""
    for number in (1, 2):
        rows = strangers(number, 60, 500.0, 2000, 50)
        mooncake(tmp_path / f"{number}.jsonl", rows)
    streams = f"{trace('s0', '1.jsonl')}, {trace('s1', '2.jsonl')}"
    engine = f"{COEFFICIENTS}, kv_capacity: 60000, max_batch: 64"

    requests = simulated(tmp_path, engine, streams, "1min").requests

    assert len(requests) == 120
    assert requests["cached_tokens"].sum() == 0


def test_streams_with_blocks_of_different_sizes_all_end(tmp_path: Path) -> None:
    """Blocks of 512 and of 16 tokens with the same numbers leave nobody waiting."""
    mooncake(
        tmp_path / "large.jsonl", [(4000 * n, 1200, 400, [n, 50 + n, 90 + n]) for n in range(4)]
    )
    small = [
        {
            "chat_id": n,
            "parent_chat_id": -1,
            "timestamp": float(4 * n + 1),
            "input_length": 1600,
            "output_length": 1000,
            "type": "text",
            "turn": 1,
            "hash_ids": list(range(n, n + 100)),
        }
        for n in range(4)
    ]
    (tmp_path / "small.jsonl").write_text("\n".join(map(json.dumps, small)))
    streams = f"{trace('m', 'large.jsonl')}, {trace('q', 'small.jsonl')}"
    engine = f"{COEFFICIENTS}, kv_capacity: 3072, max_batch: 64"

    requests = simulated(tmp_path, engine, streams, "1min").requests

    assert len(requests) == 8
    assert (requests["outcome"] == "ok").all()
