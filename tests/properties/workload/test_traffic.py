"""Traffic and streams: what holds for every seed, name and block size."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedsim.kernel.streams import Streams, generator, keyed_uniform, keyed_uniforms
from fedsim.workload.arrival_blocks import ArrivalBlock
from fedsim.workload.arrivals import Poisson
from fedsim.workload.conversations import Conversation
from fedsim.workload.distributions import Constant, Exponential, Lognormal
from fedsim.workload.prefixes import Prefixes
from fedsim.workload.sizes import Sizes
from fedsim.workload.tenants import Tenants
from fedsim.workload.tokens import Tokens
from fedsim.workload.traffic import Traffic

seeds = st.integers(0, 2**70)
words = st.integers(0, 2**64 - 1)


@given(words, st.integers(0, 2**20), st.integers(0, 2**20))
def test_keyed_uniform(key, purpose, attempt):
    """Scalar and vector agree bit for bit, inside the open unit interval."""
    uniform = keyed_uniform(key, purpose, attempt)

    assert 0.0 < uniform < 1.0
    assert keyed_uniforms(np.array([key], dtype=np.uint64), purpose, attempt).tolist() == [uniform]


@given(seeds, st.lists(st.text(max_size=20), min_size=2, max_size=5, unique=True))
def test_streams_differ(seed, names):
    """Different names give different streams, under any seed, in any script."""
    draws = [generator(seed, name).random() for name in names]

    assert len(set(draws)) == len(names)


counts = st.one_of(
    st.builds(Constant, st.floats(0.0, 300.0)),
    st.builds(Exponential, st.floats(0.1, 300.0)),
    st.builds(Lognormal.from_mean_cv, st.floats(1.0, 300.0), st.floats(0.1, 3.0)),
)


@st.composite
def conversations(draw):
    """Return a stream of sessions of any shape."""
    prefixes = st.builds(
        Prefixes, st.integers(1, 9), st.floats(0.0, 3.0), counts, st.integers(1, 64)
    )
    return Traffic(
        "chat",
        (("a", 1.0), ("b", 2.0)),
        Poisson(1.0),
        Sizes(Tokens(draw(counts), draw(counts)), prefixes=draw(st.none() | prefixes)),
        Tenants(20, 1.0),
        Conversation(
            draw(counts.filter(lambda turns: turns.mean < 30.0)),
            draw(counts),
            draw(st.none() | st.integers(2, 2000)),
        ),
    )


@given(seeds, conversations(), st.integers(1, 50))
def test_conversations(seed, traffic, block_size):
    """Contexts only grow, stay within their limit, and hold the blocks of the turn before."""
    most = traffic.conversation.max_context or float("inf")
    users = traffic.users(Streams(seed), 10.0)
    started = sum(len(block) for block in users.starts())
    parts = traffic.users(Streams(seed), 10.0, block_size)
    assert sum(len(block) for block in parts.starts()) == started
    for user in range(started):
        count = users.turns(user)
        assert 0 <= users.first_turn(user) == parts.first_turn(user) < count
        turns = [users.turn(user, turn) for turn in range(count)]
        assert [parts.turn(user, turn) for turn in reversed(range(count))] == turns[::-1]
        said, known = 0, ()
        for turn in turns:
            prompt = turn.details
            assert said < turn.prompt_tokens <= most - turn.output_tokens
            assert len(prompt.blocks) == -(-turn.prompt_tokens // prompt.block_tokens)
            assert prompt.blocks[: len(known)] == known
            said = turn.prompt_tokens + turn.output_tokens
            known = prompt.blocks[: turn.prompt_tokens // prompt.block_tokens]


@given(seeds, st.integers(1, 50), st.floats(0.01, 30.0))
def test_blocks(seed, block_size, until_s):
    """Neither the size of the blocks nor the end of the run changes any arrival."""
    traffic = Traffic(
        "chat",
        (("a", 1.0), ("b", 2.0)),
        Poisson(5.0),
        Sizes(Tokens(Lognormal.from_mean_cv(300.0, 1.5), Exponential(40.0))),
        Tenants(20, 1.0),
    )
    whole = list(traffic.blocks(Streams(seed), 30.0))
    parts = list(traffic.blocks(Streams(seed), until_s, block_size))

    assert all(len(part) <= block_size for part in parts)
    for field in dataclasses.fields(ArrivalBlock):
        expected = [value for block in whole for value in getattr(block, field.name) or ()]
        values = [value for block in parts for value in getattr(block, field.name) or ()]
        assert values == expected[: len(values)]
    count = sum(len(part) for part in parts)
    assert count == sum(time_s < until_s for block in whole for time_s in block.times_s)
