"""Laws of an engine: nothing is lost, time runs forwards, and everybody is served in the end."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsim.world.engine.config import EngineConfig
from fedsim.world.engine.engine import Engine, Sequence
from tests.engine_cases import A100_8B, SMALL_TABLE

LONGEST = 60
"""Tokens of the longest request in the cache."""


@dataclass(frozen=True, slots=True)
class Move:
    """What a client does, after a pause: submit a request, abort one, or change the factor.

    The content of a request is known in blocks of *size* tokens, or unknown where that is 0.
    """

    pause_s: float
    kind: str
    prompt: int
    output: int
    family: int
    size: int
    number: int
    factor: float


MOVES = st.lists(
    st.builds(
        Move,
        pause_s=st.sampled_from([0.0, 0.0, 0.001, 0.02, 0.5]),
        kind=st.sampled_from(["submit"] * 6 + ["abort", "factor"]),
        prompt=st.integers(1, 40),
        output=st.integers(0, 21),
        family=st.integers(0, 2),
        size=st.sampled_from([0, 4, 8]),
        number=st.integers(0, 30),
        factor=st.sampled_from([0.25, 1.0, 4.0]),
    ),
    max_size=40,
)

CONFIGS = st.builds(
    EngineConfig,
    steps=st.sampled_from([A100_8B, SMALL_TABLE]),
    kv_capacity_tokens=st.just(2 * LONGEST + 4),
    max_batch=st.integers(1, 12),
    token_budget=st.integers(40, 90),
    chunked_prefill=st.booleans(),
    block_tokens=st.sampled_from([1, 2, 4]),
    prefix_cache=st.booleans(),
    admit=st.sampled_from(["whole", "chunk"]),
    order=st.sampled_from(["fcfs", "priority"]),
)


class Client:
    """Drives an engine, and checks it after every call."""

    def __init__(self, config: EngineConfig) -> None:
        self.engine = Engine(config)
        self.capacity = config.kv_blocks * config.block_tokens
        self.max_batch = config.max_batch
        self.sequences: list[Sequence] = []
        self.aborted: list[Sequence] = []
        self.finished: list[Sequence] = []
        self.now_s = 0.0

    def play(self, moves: list[Move]) -> None:
        """Make all *moves*, then let the engine come to its end."""
        for move in moves:
            self.until(self.now_s + move.pause_s)
            self._make(move)
            self.check()
        self.until(math.inf)

    def _sequence(self, move: Move) -> Sequence:
        """Return the request of a move; its family has its beginning in common."""
        count = move.prompt // move.size if move.size else 0
        blocks = tuple(100 * move.family + index for index in range(count))
        return Sequence(move.prompt, move.output, blocks, move.size, priority=move.family)

    def _make(self, move: Move) -> None:
        engine, now_s = self.engine, self.now_s
        if move.kind == "submit":
            sequence = self._sequence(move)
            self.sequences.append(sequence)
            engine.submit(sequence, now_s)
        elif move.kind == "factor":
            engine.set_factor(move.factor, now_s)
        elif move.number < len(self.sequences):
            sequence = self.sequences[move.number]
            if math.isnan(sequence.finished_s) and sequence not in self.aborted:
                self.aborted.append(sequence)
            engine.abort(sequence, now_s)

    def until(self, time_s: float) -> None:
        """Advance change by change; a bound on their number finds a livelock."""
        engine = self.engine
        for _ in range(100_000):
            change_s = engine.next_change_s()
            if change_s > time_s or change_s == math.inf:
                break
            assert change_s >= self.now_s, "time runs backwards"
            self.now_s = change_s
            self.finished += engine.advance(change_s)
            self.check()
        else:
            pytest.fail("the engine does not come to an end")
        if time_s < math.inf:
            self.now_s = time_s
            self.finished += engine.advance(time_s)

    def check(self) -> None:
        """Check what holds at any time."""
        engine = self.engine
        known = len(self.finished) + len(self.aborted)
        assert engine.running + engine.waiting + known == len(self.sequences)
        assert engine.running <= self.max_batch
        assert 0 <= engine.kv_used_tokens <= self.capacity
        assert (engine.kv_used_tokens > 0) == (engine.running > 0)
        assert engine.running > 0 or engine.waiting == 0 or engine.next_change_s() < math.inf
        assert 0.0 <= engine.busy_s <= self.now_s + 1e-9


@given(CONFIGS, MOVES)
def test_nothing_is_lost(config: EngineConfig, moves: list[Move]) -> None:
    """Each request that is not aborted is finished, with all its tokens, and frees its cache.

    The cache holds the longest request twice, so that there is pressure, and no livelock.
    """
    client = Client(config)
    client.play(moves)
    engine = client.engine

    assert engine.running == engine.waiting == engine.kv_used_tokens == 0
    assert len(client.finished) == len(client.sequences) - len(client.aborted)
    finished_s = [sequence.finished_s for sequence in client.finished]
    assert finished_s == sorted(finished_s)
    tokens = sum(max(sequence.output_tokens, 1) for sequence in client.finished)
    assert engine.tokens_out >= tokens
    if not client.aborted:
        assert engine.tokens_out == tokens


@given(CONFIGS, MOVES)
def test_tokens_come_in_order(config: EngineConfig, moves: list[Move]) -> None:
    """A token never comes before the one before it; the first and the last are those on record."""
    client = Client(config)
    client.play(moves)

    for sequence in client.finished:
        count = sequence.output_tokens
        times_s = [client.engine.token_s(sequence, number) for number in range(1, count + 1)]
        assert times_s == sorted(times_s)
        assert sequence.begun_s <= times_s[0] == sequence.first_token_s
        assert times_s[-1] == sequence.finished_s
        assert client.engine.token_s(sequence, count + 1) == math.inf


@given(st.integers(1, 200), st.integers(0, 200), st.integers(1, 150), st.booleans())
def test_a_request_either_finishes_or_is_named(
    prompt: int, output: int, capacity: int, chunked: bool
) -> None:
    """A request alone is served to its end, unless ``why_never`` says why it cannot be."""
    block_tokens = min(capacity, 8)
    config = EngineConfig(
        A100_8B,
        capacity,
        max_batch=2,
        token_budget=64,
        chunked_prefill=chunked,
        block_tokens=block_tokens,
    )
    client = Client(config)
    needed = -(-(prompt + max(output, 1) - 1) // block_tokens)
    fits = needed <= config.kv_blocks and (chunked or prompt <= 64)

    reason = client.engine.why_never(prompt, output)

    assert (reason is None) == fits
    if fits:
        client.sequences.append(Sequence(prompt, output))
        client.engine.submit(client.sequences[0], 0.0)
        client.until(math.inf)
        assert client.finished == client.sequences


class Strangers(Client):
    """A client whose requests have nothing in common, of known content or unknown."""

    known: bool

    def _sequence(self, move: Move) -> Sequence:
        first, size = 100 * len(self.sequences), move.size if self.known else 0
        count = (move.prompt + move.output) // size if size else 0
        blocks = range(first, first + count)
        return Sequence(move.prompt, move.output, blocks, size, priority=move.family)


@given(CONFIGS, MOVES)
def test_known_content_does_not_matter_where_nothing_is_shared(
    config: EngineConfig, moves: list[Move]
) -> None:
    """Requests without common content fare alike, whether it is known or not."""
    fates = []
    for known in (True, False):
        client = Strangers(config)
        client.known = known
        client.play(moves)
        fates.append(
            [
                fate
                for each in client.sequences
                for fate in (each.begun_s, each.first_token_s, each.finished_s, each.preemptions)
            ]
        )

    assert fates[0] == pytest.approx(fates[1], rel=1e-9, nan_ok=True)
