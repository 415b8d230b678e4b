"""Conversations: how prompts grow, what they share, and that each turn is its own draw."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest

from fedsim.kernel.streams import SERVICE, Streams, keyed_uniform
from fedsim.workload.arrivals import ClosedLoop, Poisson
from fedsim.workload.conversations import Conversation
from fedsim.workload.distributions import Constant, Exponential, Lognormal
from fedsim.workload.pictures import PictureSizes
from fedsim.workload.prefixes import Prefixes
from fedsim.workload.sizes import Sizes
from fedsim.workload.tenants import NamedTenants, Tenant, Tenants
from fedsim.workload.tokens import Tokens, TokenSamples
from fedsim.workload.traffic import Traffic
from tests.unit.workload.test_traffic import REPLAY

TOKENS = Tokens(Lognormal.from_median_p99(120, 900), Lognormal.from_median_p99(129, 601))
TRAFFIC = Traffic(
    "chat",
    (("us", 1.0), ("eu", 2.0)),
    Poisson(2.0),
    Sizes(TOKENS, prefixes=Prefixes(12, 1.0, Lognormal.from_median_p99(600, 3000))),
    Tenants(5, 1.0),
    Conversation(Exponential(5.0), Exponential(20.0)),
)
TWO_TENANTS = NamedTenants(
    (Tenant("acme", 1.0), Tenant("globex", 1.0, Tokens(Constant(10.0), Constant(3.0))))
)


def sessions(traffic=TRAFFIC, seed=1, until_s=100.0, **options):
    """Return start and turns of each session that begins, as a list of pairs."""
    return [
        (start_s, turns)
        for start_s, first, turns in all_sessions(traffic, seed, until_s, **options)
        if first == 0
    ]


def all_sessions(traffic=TRAFFIC, seed=1, until_s=100.0, **options):
    """Return start, first turn and all turns of each session, also of those under way."""
    users = traffic.users(Streams(seed), until_s, **options)
    starts_s = [time_s for block in users.starts() for time_s in block.tolist()]
    return [
        (
            start_s,
            users.first_turn(user),
            [users.turn(user, turn) for turn in range(users.turns(user) or 0)],
        )
        for user, start_s in enumerate(starts_s)
    ]


def replaced(**changes):
    """Return the traffic with other properties of its conversation."""
    assert TRAFFIC.conversation is not None
    conversation = dataclasses.replace(TRAFFIC.conversation, **changes)
    return dataclasses.replace(TRAFFIC, conversation=conversation)


class TestGrowth:
    def test_prompts_hold_all_that_was_said(self):
        """Each prompt has the one before, its answer, and at least a token more."""
        for _, turns in sessions():
            for before, turn in pairwise(turns):
                assert turn.prompt_tokens > before.prompt_tokens + before.output_tokens

    def test_messages_are_the_streams(self):
        """With messages of 100, answers of 50 and a system prompt of 33, prompts are known."""
        sizes = Sizes(
            Tokens(Constant(100.0), Constant(50.0)), prefixes=Prefixes(1, 0.0, Constant(33.0))
        )
        for _, turns in sessions(dataclasses.replace(TRAFFIC, sizes=sizes)):
            expected = [133 + 150 * number for number in range(len(turns))]
            assert [turn.prompt_tokens for turn in turns] == expected

    def test_pairs_from_a_trace(self):
        """Messages and answers may be pairs of a sample."""
        rows = TokenSamples(np.array([10, 20]), np.array([1, 2]))
        plain = dataclasses.replace(TRAFFIC, sizes=Sizes(rows))
        for _, turns in sessions(plain):
            said = 0
            for turn in turns:
                assert turn.prompt_tokens - said == 10 * turn.output_tokens
                said = turn.prompt_tokens + turn.output_tokens

    def test_tenants_with_their_own_sizes(self):
        """A tenant's turns have its sizes."""
        traffic = dataclasses.replace(TRAFFIC, tenants=TWO_TENANTS)
        for _, turns in sessions(traffic):
            assert ({turn.output_tokens for turn in turns} == {3}) == (turns[0].tenant == 1)


class TestBlocks:
    def test_share_the_beginning(self):
        """A prompt has all full blocks of the one before, and a block for every 16 tokens."""
        for _, turns in sessions():
            for turn in turns:
                assert len(turn.details.blocks) == math.ceil(turn.prompt_tokens / 16)
            for before, turn in pairwise(turns):
                full = before.prompt_tokens // 16
                assert turn.details.blocks[:full] == before.details.blocks[:full]
                if before.prompt_tokens % 16:
                    assert turn.details.blocks[full] != before.details.blocks[full]

    def test_go_on_with_the_answer(self):
        """A prompt begins with all full blocks of the prompt and the answer before it."""
        for _, turns in sessions():
            for before, turn in pairwise(turns):
                said = before.details.with_answer(before.prompt_tokens)
                full = (before.prompt_tokens + before.output_tokens) // 16
                assert len(said) == full + 1
                assert turn.details.blocks[:full] == said[:full]

    def test_hits_of_an_unbounded_cache(self):
        """A cache of all blocks hits what token counts alone say that it must.

        That is the prompt of the turn before, or for a first turn the system prompt if an earlier
        session had it, in full blocks.
        """
        seen: set[int] = set()
        systems: set[int] = set()
        hits = expected = 0
        for _, turns in sessions():
            shared = 0
            for number, turn in enumerate(turns):
                blocks = turn.details.blocks
                if number == 0:
                    system = blocks[0]
                    shared = self.system_blocks(blocks) if system in systems else 0
                    systems.add(system)
                hit = next((n for n, each in enumerate(blocks) if each not in seen), len(blocks))
                hits += hit
                expected += shared
                seen.update(blocks[: turn.prompt_tokens // 16])
                shared = turn.prompt_tokens // 16

        assert hits == expected > 0

    @staticmethod
    def system_blocks(blocks):
        """Return how many blocks lie inside the system prompt: its hashes count up."""
        return next(n for n, block in enumerate(blocks) if block != blocks[0] + n)

    def test_without_system_prompts(self):
        """Sessions have nothing in common then."""
        plain = dataclasses.replace(TRAFFIC, sizes=Sizes(TOKENS))
        firsts = [turns[0].details.blocks[0] for _, turns in sessions(plain)]

        assert len(set(firsts)) == len(firsts)

    def test_hashes_are_63_bits(self):
        """Hashes fit what caches expect."""
        blocks = [hash_ for _, turns in sessions() for t in turns for hash_ in t.details.blocks]

        assert 0 <= min(blocks) <= max(blocks) < 2**63


class TestContext:
    def test_ends_a_session(self):
        """No prompt and answer exceed it, and the turns before are those of a session without."""
        free, bounded = sessions(), sessions(replaced(max_context=4096))

        for (_, before), (_, after) in zip(free, bounded, strict=True):
            assert after[1:] == before[1 : len(after)]
            for turn in after:
                assert turn.prompt_tokens + turn.output_tokens <= 4096
            if len(after) < len(before):
                over = before[len(after)]
                assert over.prompt_tokens + over.output_tokens > 4096

    def test_cuts_a_first_turn(self):
        """A session has at least one turn, however small the context."""
        for _, turns in sessions(replaced(max_context=2)):
            assert [(turn.prompt_tokens, turn.output_tokens) for turn in turns] == [(1, 1)]
            assert len(turns[0].details.blocks) == 1


class TestDraws:
    @pytest.mark.parametrize("block_size", [1, 7])
    def test_block_size(self, block_size):
        """How many sessions are drawn at once changes nothing."""
        assert all_sessions(block_size=block_size) == all_sessions()

    def test_end(self):
        """A longer run begins with the sessions of a shorter one."""
        short = all_sessions(until_s=30.0)

        assert all_sessions()[: len(short)] == short

    def test_parts_are_independent(self):
        """Longer thinking, or other answers, leave the turns' keys and luck."""
        slow = sessions(replaced(think_s=Constant(60.0)))
        brief = dataclasses.replace(TRAFFIC, sizes=Sizes(Tokens(TOKENS.prompt, Constant(1.0))))

        for (_, one), (_, two), (_, three) in zip(sessions(), slow, sessions(brief), strict=True):
            assert {turn.think_s for turn in two} == {60.0}
            assert [(turn.key, turn.prompt_tokens) for turn in one] == [
                (turn.key, turn.prompt_tokens) for turn in two
            ]
            assert [turn.service_uniform for turn in one] == [t.service_uniform for t in three]

    def test_keys(self):
        """Every turn has a key of its own, and its luck is that of the key."""
        turns = [turn for _, turns in sessions() for turn in turns]

        assert len({turn.key for turn in turns}) == len(turns)
        assert all(t.service_uniform == keyed_uniform(t.key, SERVICE, 1) for t in turns)

    def test_release(self):
        """A session that was released is gone."""
        users = TRAFFIC.users(Streams(1), 10.0)
        next(users.starts())
        users.release(0)

        with pytest.raises(LookupError):
            users.turn(0, 0)


class TestUnderWay:
    """Sessions are in equilibrium from the start."""

    def met(self, traffic, seeds=20, until_s=10.0, answer_s=0.0):
        """Return under-way sessions of several seeds: those that go on within *until_s*."""
        return [
            (start_s, first, turns)
            for seed in range(seeds)
            for start_s, first, turns in all_sessions(traffic, seed, until_s, answer_s=answer_s)
            if first > 0
        ]

    @pytest.mark.parametrize("answer_s", [0.0, 5.0])
    def test_rate(self, answer_s):
        """Later turns come at once at the rate of sessions times their turns but the first.

        They are a Poisson process where no turn is the next of another of them.
        """
        seeds, until_s = 60, 1.0
        traffic = replaced(think_s=Constant(20.0))
        came = len(self.met(traffic, seeds, until_s, answer_s))
        turns = Exponential(5.0).quantiles((np.arange(100_000) + 0.5) / 100_000)
        expected = seeds * until_s * 2.0 * np.mean(np.maximum(np.rint(turns), 1.0) - 1.0)

        assert abs(came - expected) < 3.5 * math.sqrt(expected)

    def test_turns(self):
        """Of sessions of 4 turns, each later turn is as likely; of long ones there are more."""
        firsts = [first for _, first, _ in self.met(replaced(turns=Constant(4.0)))]
        counts = np.bincount(firsts, minlength=4)
        error = 3.5 * math.sqrt(len(firsts) * 2.0 / 9.0)

        assert counts[0] == 0
        assert len(firsts) > 300
        assert np.abs(counts[1:] - len(firsts) / 3.0).max() < error
        lengths = [len(turns) for _, _, turns in self.met(TRAFFIC)]
        assert np.mean(lengths) > 1.5 * np.mean([len(turns) for _, turns in sessions()])

    def test_context_ends_them_too(self):
        """Nobody goes on with a turn that would exceed the context."""
        for _, first, turns in self.met(replaced(max_context=2000)):
            assert first < len(turns)
            assert turns[-1].prompt_tokens + turns[-1].output_tokens <= 2000

    def test_leave_the_others_as_they_are(self):
        """Who begins in the run does not depend on who was there before."""
        patient = replaced(think_s=Constant(500.0))

        assert [(s, t[0].key) for s, t in sessions(patient)] == [
            (s, t[0].key) for s, t in sessions()
        ]


class TestMeans:
    def test_of_turns_before(self):
        """For exponential turns of mean 5, a turn has 4.5 before it; for always 3, it has 1."""
        assert Conversation(Exponential(5.0), Constant(1.0)).earlier_turns_mean == 4.5
        assert Conversation(Constant(3.0), Constant(1.0)).earlier_turns_mean == 1.0

    def test_of_sizes(self):
        """The means that a load is computed from are those of the turns."""
        traffic = dataclasses.replace(
            replaced(turns=Constant(4.0)),
            sizes=Sizes(TOKENS, prefixes=Prefixes(12, 1.0, Constant(600.0))),
        )
        turns = [turn for _, turns in sessions(traffic, until_s=4000.0) for turn in turns]
        means = traffic.mean_sizes

        assert np.mean([t.prompt_tokens for t in turns]) == pytest.approx(
            means.prompt_tokens, rel=0.02
        )
        assert np.mean([t.output_tokens for t in turns]) == pytest.approx(
            means.output_tokens, rel=0.02
        )
        assert traffic.mean_rps(100.0) == traffic.peak_rps(100.0) == 8.0


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"max_context": 1}, "the max_context of a conversation must be at least 2, not 1"),
            ({"block_tokens": 0}, "the block_tokens of a conversation must be at least 1, not 0"),
        ],
    )
    def test_of_conversations(self, changes, message):
        """Contexts and blocks that are none are refused."""
        with pytest.raises(ValueError, match=message):
            replaced(**changes)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"sizes": Sizes(Tokens(Constant(1.0)))}, "prompts grow by both counts: give them"),
            ({"sizes": Sizes(), "arrivals": REPLAY}, "whose rows are no sessions"),
            ({"arrivals": ClosedLoop(3, Constant(1.0))}, "whose users never leave"),
            ({"sizes": Sizes(TOKENS, audio_s=Constant(1.0))}, "which are of text"),
            (
                {"sizes": Sizes(TOKENS, pictures=PictureSizes(Constant(1.0), Constant(1.0)))},
                "which are of text",
            ),
        ],
    )
    def test_of_traffic(self, changes, message):
        """What cannot be a conversation is refused, by the stream's name."""
        with pytest.raises(ValueError, match=f"chat .*{message}"):
            dataclasses.replace(TRAFFIC, **changes)
