"""The first requests of a stream, for a look ahead."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsim.scenario.request_samples import SIZE, RequestSample, sample_requests
from fedsim.scenario.simulate import simulate
from fedsim.workload.details import Pictures, Prompt
from tests.unit.scenario.writing import SMALLEST, loaded, write

TOKENS: dict[str, object] = {
    "workload.chat.tokens": {
        "prompt": {"distribution": "lognormal", "median": 1020, "p99": 4142},
        "output": {"distribution": "lognormal", "median": 129, "p99": 601},
    }
}


def sampled(folder: Path, overrides: dict[str, object]) -> RequestSample:
    """Return the sample of the only stream."""
    scenario = loaded(folder, SMALLEST, overrides)
    return sample_requests(scenario.world.streams[0].traffic, scenario.seed, scenario.duration_s)


def test_sample_is_what_a_run_begins_with(tmp_path: Path):
    """The sizes are those of the first requests of a run with the same seed."""
    sample = sampled(tmp_path, TOKENS)
    run = simulate(loaded(tmp_path, SMALLEST, TOKENS)).requests

    assert len(sample.prompt_tokens) == SIZE
    assert sample.prompt_tokens.tolist() == run["prompt_tokens"].head(SIZE).tolist()
    assert sample.output_tokens.tolist() == run["output_tokens"].head(SIZE).tolist()


def test_trace_gives_its_rows(tmp_path: Path):
    """A replayed trace gives the rows that arrive within the run."""
    rows = "".join(f"2023-11-16 18:{minute:02}:00.0000000,{minute + 1},2\n" for minute in range(20))
    write(tmp_path, "TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows, "trace.csv")
    arrivals = {"process": "trace", "file": "trace.csv"}
    sample = sampled(tmp_path, {"workload.chat.arrivals": arrivals})

    assert sample.prompt_tokens.tolist() == list(range(1, 11))


def test_conversations_give_their_turns(tmp_path: Path):
    """The prompts of later turns, which repeat the earlier ones, are among them."""
    talk = {
        "turns": {"distribution": "constant", "value": 4},
        "think": {"distribution": "constant", "value": "5s"},
    }
    sample = sampled(tmp_path, {**TOKENS, "workload.chat.conversation": talk})

    assert len(sample.prompt_tokens) == SIZE
    assert all(isinstance(each, Prompt) for each in sample.details)
    first, second, third, fourth = sample.prompt_tokens[:4]
    assert first < second < third < fourth


def test_closed_loops_give_some_turns_of_each_user(tmp_path: Path):
    """Users without end do not fill the sample by themselves."""
    think = {"distribution": "exponential", "mean": "1s"}
    arrivals = {"process": "closed_loop", "users": 20, "think": think}
    sample = sampled(tmp_path, {**TOKENS, "workload.chat.arrivals": arrivals})

    assert len(sample.prompt_tokens) == 20 * 16


def test_details_are_kept(tmp_path: Path):
    """Pictures come with the request that asks for them."""
    sample = sampled(tmp_path, {"workload.chat.pictures": {}})

    assert all(isinstance(each, Pictures) for each in sample.details)


@pytest.mark.parametrize(("tokens", "expected"), [(TOKENS, 1223.0), ({}, -1.0)])
def test_stream_without_arrivals_is_one_request_of_mean_sizes(
    tmp_path: Path, tokens: dict[str, object], expected: float
):
    """Where nothing arrives in the run, the mean stands for it."""
    arrivals = {"process": "spike", "rate": "0.0001/s", "at": "1h", "lasts": "1s", "factor": 1}
    sample = sampled(tmp_path, {**tokens, "workload.chat.arrivals": arrivals})

    assert sample.prompt_tokens.tolist() == pytest.approx([expected], rel=0.01)
