"""Conversations on an engine: what its prefix cache must find, turn by turn."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import fedsim
from fedsim.kernel.streams import Streams
from fedsim.scenario.capacity import capacity_table
from fedsim.scenario.offered_load import OfferedLoad
from fedsim.workload.reactive import Users
from fedsim.world.answers import idle_answer_s
from tests.conftest import ROOT
from tests.theory.replications import Z_MOST, estimate

SCENARIO = """\
duration: 3min
regions: {us: {}}
pools:
  chat:
    region: us
    engine: {profile: llama-3.1-8b/bf16/h200_sxm/tp1}     # its cache holds all that is said
workload:
  chat:
    arrivals: {process: poisson, rate: 1/s}
    conversation:
      turns: {distribution: exponential, mean: 4}
      think: {distribution: exponential, mean: 5s}
    tokens:
      prompt: {distribution: lognormal, median: 80, p99: 2000}
      output: {distribution: exponential, mean: 50}
    prefixes: {count: 5, tokens: {distribution: uniform, low: 100, high: 1000}}
federation: {timeout: off}
record: {nodes_every: off}
"""


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> fedsim.Scenario:
    """Return a few hundred sessions on one node."""
    path = tmp_path_factory.mktemp("conversations") / "one-node.yaml"
    path.write_text(SCENARIO)
    return fedsim.load(path)


@pytest.fixture(scope="module")
def requests(scenario: fedsim.Scenario) -> pd.DataFrame:
    """Return what came of them, by session and turn."""
    return fedsim.simulate(scenario).requests.set_index(["session", "turn"])


def users_of(scenario: fedsim.Scenario) -> Users:
    """Return the users of its run."""
    config = scenario.world
    traffic = config.streams[0].traffic
    answer_s = idle_answer_s(config.pools, config.streams[0])
    return traffic.users(Streams(scenario.seed), scenario.duration_s, answer_s=answer_s)


def test_a_turn_finds_the_prompt_before(scenario: fedsim.Scenario, requests: pd.DataFrame) -> None:
    """With room for all, a later turn finds the full blocks of the prompt and answer before it.

    The last token of an answer is never computed on, and so not in the cache.
    """
    users = users_of(scenario)
    sessions = sum(len(block) for block in users.starts())
    cached = requests["cached_tokens"]
    followed = 0
    for user in range(sessions):
        for number in range(users.first_turn(user) + 1, users.turns(user) or 0):
            name = (user, number + 1)
            if name in cached.index:
                before = users.turn(user, number - 1)
                said = before.prompt_tokens + before.output_tokens - 1
                assert cached[name] == said // 16 * 16
                followed += 1

    assert followed > 300


def test_a_turn_waits_for_the_one_before(scenario: fedsim.Scenario, requests: pd.DataFrame) -> None:
    """A turn arrives when the one before is over and its user has thought about it."""
    users = users_of(scenario)
    starts_s = [time_s for block in users.starts() for time_s in block.tolist()]
    finished_s = dict(zip(requests.index, requests["finished_s"].to_list(), strict=True))
    for user, start_s in enumerate(starts_s):
        due_s = start_s
        for number in range(users.first_turn(user), users.turns(user) or 0):
            name = (user, number + 1)
            if name not in requests.index:
                assert due_s >= scenario.duration_s
                break
            assert requests.at[name, "arrived_s"] == pytest.approx(due_s, abs=1e-9)
            due_s = finished_s[name] + users.turn(user, number).think_s


RAMP = """\
duration: 10min
warmup: 0s
regions: {us: {}}
pools: {p: {region: us, slots: 1000, service: {distribution: constant, value: 500ms}}}
workload:
  chat:
    arrivals: {process: poisson, rate: 1/s}
    conversation:
      turns: {distribution: exponential, mean: 10}
      think: {distribution: lognormal, median: 30s, p99: 5min}
    tokens:
      prompt: {distribution: constant, value: 100}
      output: {distribution: constant, value: 50}
federation: {health: off, circuit_breaker: off}
record: {nodes_every: off}
"""


@pytest.mark.slow
def test_check_and_run_agree_from_the_start(tmp_path: Path) -> None:
    """Sessions are under way at time 0: in every part of a run the rate is what check says.

    Turns of a session that come after an answer are late by it, so that the first minutes of such
    sessions have less than a hundredth fewer turns.
    """
    path = tmp_path / "ramp.yaml"
    path.write_text(RAMP)
    scenario = fedsim.load(path)
    (row,) = capacity_table(OfferedLoad(scenario))
    parts: list[list[float]] = [[], [], []]
    for seed in range(1, 21):
        requests = fedsim.simulate(scenario, seed=seed).requests
        for number, part in enumerate(parts):
            part.append(requests["arrived_s"].between(200 * number, 200 * number + 200).sum() / 200)

    for part in parts:
        assert abs(estimate(part).z(row.offered_rps)) < Z_MOST
        assert estimate(part).half_width < 0.06 * row.offered_rps


def test_check_counts_that_sessions_end_at_the_longest_context(tmp_path: Path) -> None:
    """Turns beyond max_context are never sent, and no load."""
    path = tmp_path / "ramp.yaml"
    path.write_text(RAMP)
    scenario = fedsim.load(path, {"workload.chat.conversation.max_context": 1500})
    (row,) = capacity_table(OfferedLoad(scenario))
    runs = [fedsim.simulate(scenario, seed=seed).requests for seed in range(1, 11)]
    rates = estimate([len(requests) / scenario.duration_s for requests in runs])

    assert row.offered_rps < 8.0
    assert abs(rates.z(row.offered_rps)) < Z_MOST


def test_tables_say_whose_turn_a_request_is(tmp_path: Path) -> None:
    """Turns of a session follow each other; ids are numbers in the order of arrival."""
    path = tmp_path / "ramp.yaml"
    path.write_text(RAMP)
    requests = fedsim.simulate(fedsim.load(path, {"duration": "3min"})).requests
    firsts = requests.groupby("session")["turn"].first()

    assert requests["request_id"].tolist() == [f"chat-{n}" for n in range(len(requests))]
    assert requests["user"].isna().all()
    assert (firsts > 1).sum() > 100 < (firsts == 1).sum()
    assert (requests.groupby("session")["turn"].diff().dropna() == 1).all()
    assert firsts.index.tolist() == list(range(len(firsts)))


def test_keeping_a_user_on_a_node_pays() -> None:
    """In the scenario of this kind, hashing by tenant finds more of prompts and is faster."""
    path = Path(ROOT / "scenarios" / "conversations.yaml")
    overrides = {"duration": "3min", "warmup": "1min"}
    kept, spread = (
        fedsim.simulate(fedsim.load(path, overrides), strategy=strategy).summary()
        for strategy in ("consistent_hash", "round_robin")
    )

    assert kept["cache_hit_share"].item() > spread["cache_hit_share"].item() + 0.05
    assert kept["ttft_p90_s"].item() < spread["ttft_p90_s"].item()
