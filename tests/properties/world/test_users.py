"""Random closed loops and conversations, through faults, refusals, deadlines and retries."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from fedsim.federation.contracts import LoadBalanceStrategy
from fedsim.federation.gateway import TimeoutConfig
from fedsim.federation.retries import RetryConfig
from fedsim.kernel.streams import Streams
from fedsim.workload.arrivals import ClosedLoop, GammaRenewal
from fedsim.workload.conversations import Conversation
from fedsim.workload.distributions import Constant, Exponential
from fedsim.workload.sizes import Sizes
from fedsim.workload.tokens import Tokens
from fedsim.workload.traffic import Traffic
from fedsim.world.answers import idle_answer_s
from fedsim.world.faults.config import FaultConfig
from fedsim.world.faults.gray import Errors
from fedsim.world.faults.stopping import Outage
from fedsim.world.users import LEAST_TURN_S
from tests.simulated import HERE, Federation, run_world, small_world

UNTIL_S = 20.0

TOKENS = Sizes(Tokens(Constant(20.0), Exponential(5.0)))
ORIGINS = ((HERE, 1.0),)
LOOP = Traffic("chat", ORIGINS, ClosedLoop(6, Exponential(1.0)), TOKENS)
SESSIONS = Traffic(
    "chat",
    ORIGINS,
    GammaRenewal(1.0, 2.0),
    TOKENS,
    conversation=Conversation(Exponential(4.0), Exponential(1.0)),
)

thinks = st.sampled_from([Constant(0.0), Constant(0.5), Exponential(1.0)])
loops = st.builds(ClosedLoop, st.integers(1, 12), thinks)
conversations = st.builds(
    Conversation, st.sampled_from([Constant(1.0), Constant(3.0), Exponential(4.0)]), thinks
)
faults = st.builds(
    FaultConfig,
    st.just(Outage()) | st.builds(Errors, st.floats(0.1, 1.0)),
    node=st.just("node-0"),
    at_s=st.floats(0.0, 10.0),
    lasts_s=st.floats(0.1, 20.0),
)


@st.composite
def traffics(draw):
    """Draw traffic of users: of a closed loop, or of conversations."""
    if draw(st.booleans()):
        return dataclasses.replace(LOOP, arrivals=draw(loops))
    arrivals = GammaRenewal(draw(st.floats(0.1, 3.0)), 2.0)
    return dataclasses.replace(SESSIONS, arrivals=arrivals, conversation=draw(conversations))


@settings(max_examples=60)
@given(
    traffics(),
    st.lists(faults, max_size=2),
    st.sampled_from([None, 0, 2]),
    st.sampled_from([None, TimeoutConfig(0.4, 1.0)]),
    st.sampled_from([None, RetryConfig()]),
    st.sampled_from([0.0, 0.1]),
    st.sampled_from([0.0, 1.0, 1e6]),
    st.integers(0, 2**32),
)
def test_users(traffic, faults, queue_limit, timeout, retries, round_trip_s, drain_s, seed):
    """Every user sends turn after turn, each a think time after the end of the one before."""
    config = small_world(
        Exponential(0.3),
        1.0,
        UNTIL_S,
        nodes=2,
        queue_limit=queue_limit,
        round_trip_s=round_trip_s,
        faults=faults,
        seed=seed,
    )
    stream = dataclasses.replace(config.streams[0], traffic=traffic)
    config = dataclasses.replace(config, streams=(stream,), drain_s=drain_s)
    federation = Federation(LoadBalanceStrategy.LEAST_CONNECTIONS, timeout=timeout, retries=retries)
    outcome = run_world(config, federation)
    rows = outcome.requests
    event("refused" if (rows["outcome"] == "no_capacity").any() else "all taken")
    users_of_rows = rows["session"].fillna(rows["user"])
    row_of = dict(
        zip(zip(users_of_rows, rows["turn"], strict=True), rows.itertuples(), strict=True)
    )

    answer_s = idle_answer_s(config.pools, stream)
    users = traffic.users(Streams(seed), UNTIL_S, answer_s=answer_s)
    starts_s = [start_s for block in users.starts() for start_s in block.tolist()]
    seen = 0
    for user, start_s in enumerate(starts_s):
        due_s: float | None = start_s
        turns, number = users.turns(user), users.first_turn(user)
        while due_s is not None and due_s < UNTIL_S and (turns is None or number < turns):
            turn = users.turn(user, number)
            row = row_of[user, number + 1]
            seen += 1
            number += 1
            assert row.arrived_s == due_s
            assert row.prompt_tokens == turn.prompt_tokens
            assert row.output_tokens == turn.output_tokens
            if row.outcome == "unfinished":
                due_s = None
                continue
            due_s = row.finished_s + turn.think_s
            if due_s == row.arrived_s:
                due_s += LEAST_TURN_S
    assert seen == len(rows)
    if drain_s == 1e6:
        assert outcome.end_s < UNTIL_S + 100.0
        assert not (rows["outcome"] == "unfinished").any()


def test_run_without_users():
    """A world whose users would all begin after the end is empty, and ends."""
    config = small_world(Constant(1.0), ClosedLoop(1, Constant(500.0)), UNTIL_S)
    outcome = run_world(config)

    assert len(outcome.requests) == 0
    assert outcome.end_s == UNTIL_S


@pytest.mark.parametrize("traffic", [LOOP, SESSIONS], ids=["closed loop", "conversations"])
def test_stock_steps(traffic):
    """SimPy's own steps give the same run."""
    config = small_world(Exponential(0.3), 1.0, UNTIL_S, round_trip_s=0.1, jitter=0.2)
    stream = dataclasses.replace(config.streams[0], traffic=traffic)
    config = dataclasses.replace(config, streams=(stream,))
    stock, ours = (run_world(config, by_stock_steps=stock).requests for stock in (True, False))

    assert len(ours) > 20
    assert_frame_equal(stock, ours)
