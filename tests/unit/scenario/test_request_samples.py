"""The first requests of a stream, for a look ahead."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from fedsim.scenario.request_samples import SIZE, RequestSample, sample_requests
from fedsim.workload.details import Pictures, Prompt
from tests.unit.scenario.writing import SMALLEST, loaded, write

TOKENS: dict[str, object] = {
    "workload.chat.tokens": {
        "prompt": {"distribution": "lognormal", "median": 1020, "p99": 4142},
        "output": {"distribution": "lognormal", "median": 129, "p99": 601},
    }
}

TALK = {
    "turns": {"distribution": "constant", "value": 4},
    "think": {"distribution": "constant", "value": "5s"},
}


def sampled(folder: Path, overrides: dict[str, object]) -> RequestSample:
    """Return the sample of the only stream."""
    scenario = loaded(folder, SMALLEST, overrides)
    return sample_requests(scenario.world.streams[0].traffic, scenario.duration_s)


def test_sample_is_of_the_stream(tmp_path: Path):
    """There are 10,000 requests, with the sizes that the stream gives them."""
    sample = sampled(tmp_path, TOKENS)
    logs = np.log(sample.prompt_tokens)
    spread = math.log(4142 / 1020) / 2.3263

    assert len(sample.prompt_tokens) == len(sample.details) == SIZE == 10_000
    assert abs(np.mean(logs) - math.log(1020)) < 3.5 * spread / 100
    assert np.std(logs) == pytest.approx(spread, rel=3.5 / math.sqrt(2 * SIZE))


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 99},
        {"workload.chat.arrivals.rate": "0.01/s"},
        {"workload.chat.arrivals": {"process": "gamma", "rate": "3/s", "cv": 4}},
        {"duration": "1min"},
    ],
)
@pytest.mark.parametrize("talks", [False, True])
def test_sample_is_fixed(tmp_path: Path, changes: dict[str, object], talks: bool):
    """Neither the seed, nor when requests come, nor for how long changes the sample."""
    stream = {**TOKENS, **({"workload.chat.conversation": TALK} if talks else {})}
    one, other = sampled(tmp_path, stream), sampled(tmp_path, {**stream, **changes})

    assert one.prompt_tokens.tolist() == other.prompt_tokens.tolist()
    assert one.output_tokens.tolist() == other.output_tokens.tolist()
    assert one.details == other.details


def test_trace_gives_its_rows(tmp_path: Path):
    """A replayed trace gives the rows that arrive within the run."""
    rows = "".join(f"2023-11-16 18:{minute:02}:00.0000000,{minute + 1},2\n" for minute in range(20))
    write(tmp_path, "TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows, "trace.csv")
    arrivals = {"process": "trace", "file": "trace.csv"}
    sample = sampled(tmp_path, {"workload.chat.arrivals": arrivals})

    assert sample.prompt_tokens.tolist() == list(range(1, 11))


def test_conversations_give_their_turns(tmp_path: Path):
    """The prompts of later turns, which repeat the earlier ones, are among them."""
    sample = sampled(tmp_path, {**TOKENS, "workload.chat.conversation": TALK})

    assert len(sample.prompt_tokens) == SIZE
    assert all(isinstance(each, Prompt) for each in sample.details)
    first, second, third, fourth = sample.prompt_tokens[:4]
    assert first < second < third < fourth
    assert sample.session is not None
    assert sample.after_s is not None
    assert sample.session[:5].tolist() == [0, 0, 0, 0, 1]
    assert sample.after_s[:5].tolist() == [0, 5, 10, 15, 0]


def test_closed_loops_give_some_turns_of_each_user(tmp_path: Path):
    """Users without end give as many turns each."""
    think = {"distribution": "exponential", "mean": "1s"}
    arrivals = {"process": "closed_loop", "users": 20, "think": think}
    sample = sampled(tmp_path, {**TOKENS, "workload.chat.arrivals": arrivals})

    assert len(sample.prompt_tokens) == SIZE


def test_details_are_kept(tmp_path: Path):
    """Pictures come with the request that asks for them."""
    sample = sampled(tmp_path, {"workload.chat.pictures": {}})

    assert all(isinstance(each, Pictures) for each in sample.details)


@pytest.mark.parametrize("tokens", [TOKENS, {}])
def test_sizes_are_known_where_nothing_arrives(tmp_path: Path, tokens: dict[str, object]):
    """Also of a stream that hardly sends anything in the run."""
    arrivals = {"process": "spike", "rate": "0.0001/s", "at": "1h", "lasts": "1s", "factor": 1}
    sample = sampled(tmp_path, {**tokens, "workload.chat.arrivals": arrivals})

    assert len(sample.prompt_tokens) == SIZE
    assert (sample.prompt_tokens.min() >= 1) == bool(tokens)
