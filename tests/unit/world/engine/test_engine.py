"""The engine: closed forms for one request, the rules of planning, and what it refuses."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pytest

from fedsim.errors import InternalError
from fedsim.world.engine.config import EngineConfig
from fedsim.world.engine.engine import Engine, Sequence
from fedsim.world.engine.steps import Coefficients
from tests.engine_cases import A100_8B, Both, Case, Event
from tests.reference_engine import Request

HALVES = Coefficients(p0_s=2.0, p1_s=0.5, p2_s=0.0, d0_s=1.0, d1_s=0.5, d2_s=0.0)
"""Step times that floats hold exactly: 2 + n/2 s for n prompt tokens, 1 + B/2 s for a batch."""

BROAD = EngineConfig(HALVES, kv_capacity_tokens=10_000, max_batch=8, token_budget=100)


def finish_all(engine: Engine) -> list[Sequence]:
    """Advance from change to change until the engine is idle; return what was finished."""
    finished: list[Sequence] = []
    while engine.next_change_s() < math.inf:
        finished += engine.advance(engine.next_change_s())
    return finished


class TestOneRequestAlone:
    @pytest.mark.parametrize("output", [1, 2, 17, 2_000])
    @pytest.mark.parametrize("prompt", [1, 16, 1_020, 8_000])
    @pytest.mark.parametrize("floor_s", [0.0, 0.1])
    def test_takes_the_time_of_the_closed_form(self, prompt, output, floor_s):
        """Its prefill, then a decode step at each context, and the overhead of all steps."""
        c = replace(A100_8B, floor_s=floor_s, step_overhead_s=0.002)
        engine = Engine(EngineConfig(c, kv_capacity_tokens=455_000))
        sequence = Sequence(prompt, output)
        engine.submit(sequence, 3.0)

        finished = finish_all(engine)

        prefill_s = max(floor_s, c.p0_s + c.p1_s * prompt + c.p2_s * prompt**2 / 2)
        decode_s = sum(c.d0_s + c.d1_s + c.d2_s * (prompt + k) for k in range(1, output))
        expected_s = 3.0 + prefill_s + decode_s + output * 0.002
        assert finished == [sequence]
        assert sequence.begun_s == 3.0
        assert sequence.first_token_s == pytest.approx(3.0 + prefill_s + 0.002, rel=1e-12)
        assert sequence.finished_s == pytest.approx(expected_s, rel=1e-12)

    def test_costs_few_changes_however_long_it_is(self):
        """The end of the prefill and the end of the last token are all that happens."""
        engine = Engine(EngineConfig(A100_8B, kv_capacity_tokens=455_000))
        engine.submit(Sequence(1_000, 100_000), 0.0)

        assert engine.advance(engine.next_change_s()) == []
        assert len(engine.advance(engine.next_change_s())) == 1
        assert engine.next_change_s() == math.inf

    def test_of_no_output_makes_one_token(self):
        """A request for no token, or an unknown number, is given one."""
        engine = Engine(BROAD)
        engine.submit(Sequence(4, 0), 0.0)
        engine.submit(Sequence(-1, -1), 0.0)

        finished = finish_all(engine)

        assert [sequence.finished_s for sequence in finished] == [4.5, 4.5]
        assert engine.tokens_out == 2

    def test_is_prefilled_in_chunks_of_the_budget(self):
        """250 tokens at 100 a step take three steps, and one token comes out of the last."""
        engine = Engine(BROAD)
        sequence = Sequence(250, 2)
        engine.submit(sequence, 0.0)

        finish_all(engine)

        assert sequence.first_token_s == 3 * 2.0 + 250 * 0.5
        assert sequence.finished_s == sequence.first_token_s + 1.5


class TestJoining:
    def test_waits_for_the_end_of_the_step_in_flight(self):
        """Who arrives during a step is prefilled in the next, beside those that decode."""
        engine = Engine(BROAD)
        first, second = Sequence(4, 10), Sequence(6, 2)
        engine.submit(first, 0.0)  # prefilled until 4, then a token every 1.5 s
        engine.advance(4.0)
        engine.submit(second, 6.0)

        finish_all(engine)

        assert second.begun_s == 7.0
        assert second.first_token_s == 7.0 + 2.0 + 3.0 + 0.5
        assert second.finished_s == second.first_token_s + 2.0

    @pytest.mark.parametrize("advanced_first", [False, True])
    def test_at_the_end_of_a_step_means_the_next_step(self, advanced_first):
        """It does not matter whether the engine hears first of the time or of the request."""
        engine = Engine(BROAD)
        first, second = Sequence(4, 10), Sequence(6, 2)
        engine.submit(first, 0.0)
        engine.advance(4.0)
        if advanced_first:
            engine.advance(5.5)
        engine.submit(second, 5.5)

        finish_all(engine)

        assert second.begun_s == 5.5

    @pytest.mark.parametrize("advanced_first", [False, True])
    def test_at_the_end_of_a_prefill_means_the_next_step(self, advanced_first):
        """The same where the step that ends changes the batch."""
        engine = Engine(BROAD)
        first, second = Sequence(4, 10), Sequence(6, 2)
        engine.submit(first, 0.0)
        if advanced_first:
            engine.advance(4.0)
        engine.submit(second, 4.0)

        finish_all(engine)

        assert second.begun_s == 4.0
        assert second.first_token_s == 4.0 + 2.0 + 3.0 + 0.5

    def test_all_that_arrive_at_one_instant_share_the_first_step(self):
        """An idle engine plans them together, up to its budget."""
        engine = Engine(BROAD)
        sequences = [Sequence(60, 1) for _ in range(3)]
        for sequence in sequences:
            engine.submit(sequence, 1.0)

        finish_all(engine)

        assert [sequence.begun_s for sequence in sequences] == [1.0, 1.0, 53.0]
        assert [sequence.finished_s for sequence in sequences] == [53.0, 95.0, 95.0]

    def test_a_whole_prompt_waits_for_a_budget_that_holds_it(self):
        """Without chunks the second of two prompts has to wait, and holds up the third."""
        engine = Engine(replace(BROAD, chunked_prefill=False))
        sequences = [Sequence(60, 1), Sequence(60, 1), Sequence(10, 1)]
        for sequence in sequences:
            engine.submit(sequence, 0.0)

        finish_all(engine)

        assert [sequence.begun_s for sequence in sequences] == [0.0, 32.0, 32.0]

    def test_by_priority_the_lowest_number_goes_first(self):
        """Equals go by arrival; who runs is not interrupted."""
        engine = Engine(replace(BROAD, max_batch=1, order="priority"))
        sequences = [Sequence(1, 1, priority=priority) for priority in (5, 2, 1, 2)]
        for sequence in sequences:
            engine.submit(sequence, 0.0)

        finished = finish_all(engine)

        assert finished == [sequences[0], sequences[2], sequences[1], sequences[3]]


class TestLeaving:
    def test_an_abort_frees_place_and_cache_and_leaves_the_step_as_it_was(self):
        """The step in flight takes as long as with the one that left; later ones do not."""
        engine = Engine(BROAD)
        stays, leaves = Sequence(4, 4), Sequence(4, 4)
        engine.submit(stays, 0.0)
        engine.submit(leaves, 0.0)  # both prefilled until 6, then 2 s a step
        engine.advance(6.0)
        used = engine.kv_used_tokens
        engine.abort(leaves, 6.5)

        assert engine.running == 1
        assert engine.kv_used_tokens == used / 2
        finish_all(engine)
        assert stays.finished_s == 6.0 + 2.0 + 1.5 + 1.5
        assert math.isnan(leaves.finished_s)
        assert engine.tokens_out == 5

    def test_who_waits_can_leave_too(self):
        """Whoever waited behind it is served as if it had never come."""
        engine = Engine(replace(BROAD, max_batch=1))
        sequences = [Sequence(1, 1) for _ in range(3)]
        for sequence in sequences:
            engine.submit(sequence, 0.0)
        engine.abort(sequences[1], 1.0)

        finished = finish_all(engine)

        assert finished == [sequences[0], sequences[2]]
        assert sequences[2].begun_s == sequences[0].finished_s

    def test_a_second_abort_does_nothing(self):
        """Neither does one of a sequence that is finished, or was never submitted."""
        engine = Engine(BROAD)
        sequence = Sequence(4, 4)
        engine.submit(sequence, 0.0)
        engine.abort(sequence, 1.0)
        engine.abort(sequence, 1.0)
        engine.abort(Sequence(1, 1), 1.0)

        assert engine.running == engine.waiting == engine.kv_used_tokens == 0
        assert engine.next_change_s() == 4.0  # the step in flight goes on
        assert finish_all(engine) == []
        assert engine.busy_s == 4.0

    def test_a_failure_loses_everything(self):
        """Sequences come back, running ones first; neither they nor the cache are there later."""
        config = replace(BROAD, max_batch=1, block_tokens=4)
        engine = Engine(config)
        blocks = (1, 2, 3)
        runs, waits = Sequence(12, 5, blocks, 4), Sequence(12, 5, blocks, 4)
        engine.submit(runs, 0.0)
        engine.submit(waits, 0.0)

        assert engine.clear(10.0) == [runs, waits]
        assert engine.next_change_s() == math.inf
        assert engine.busy_s == 10.0
        again = Sequence(12, 5, blocks, 4)
        engine.submit(again, 20.0)
        assert finish_all(engine) == [again]
        assert again.cached_tokens == 0
        assert again.first_token_s == 28.0


class TestFactor:
    def test_counts_from_the_next_step_on(self):
        """The step in flight is not stretched."""
        engine = Engine(BROAD)
        sequence = Sequence(4, 4)
        engine.submit(sequence, 0.0)
        engine.advance(4.0)
        engine.set_factor(2.0, 5.0)

        finish_all(engine)

        assert sequence.finished_s == 4.0 + 1.5 + 3.0 + 3.0

    def test_must_be_positive(self):
        """An engine that never ends a step would hang for good."""
        with pytest.raises(ValueError, match="greater than 0"):
            Engine(BROAD).set_factor(0.0, 0.0)


class TestPressure:
    def test_the_last_admitted_makes_room_and_comes_back_first(self):
        """It computes again what others took of its cache, and hands out no token twice."""
        config = EngineConfig(HALVES, 8, max_batch=2, token_budget=100, block_tokens=1)
        engine = Engine(config)
        first, last, behind = Sequence(3, 4), Sequence(3, 4), Sequence(1, 1)
        for sequence in (first, last, behind):
            engine.submit(sequence, 0.0)

        finished = finish_all(engine)

        # Prefill until 5, and a step until 7, which fills the cache. Then the first runs alone
        # until 10, on two of the four blocks of the last, which comes back with 3 of its 3 + 2
        # tokens to compute.
        assert finished == [first, behind, last]
        assert (first.preemptions, last.preemptions) == (0, 1)
        assert first.finished_s == 10.0
        assert last.first_token_s == 5.0
        assert behind.begun_s == 10.0
        assert last.finished_s == 10.0 + (2.0 + (3 + 1) * 0.5) + 1.5
        assert engine.tokens_out == 9

    def test_a_whole_prompt_that_has_outgrown_the_budget_comes_back_in_chunks(self):
        """Without chunked prefill it would wait for ever."""
        config = EngineConfig(
            HALVES, 24, max_batch=2, token_budget=12, chunked_prefill=False, block_tokens=1
        )
        engine = Engine(config)
        sequences = [Sequence(10, 12), Sequence(2, 22)]
        for sequence in sequences:
            engine.submit(sequence, 0.0)

        assert len(finish_all(engine)) == 2
        assert sequences[1].preemptions > 0

    @pytest.mark.parametrize(("admit", "begun_s"), [("whole", 11.5), ("chunk", 4.0)])
    def test_a_long_prompt_waits_for_room_for_all_of_it(self, admit, begun_s):
        """Or is admitted as soon as its first chunk fits, if that is enough."""
        config = EngineConfig(HALVES, 12, max_batch=2, token_budget=4, block_tokens=1, admit=admit)
        engine = Engine(config)
        first, long = Sequence(4, 6), Sequence(8, 1)
        for sequence in (first, long):
            engine.submit(sequence, 0.0)

        assert finish_all(engine) == [first, long]
        assert long.begun_s == begun_s

    def test_a_whole_prompt_that_just_fits_is_admitted(self):
        """An idle engine admits whatever it does not call too large, cached in part or not."""
        config = EngineConfig(HALVES, 24, max_batch=2, token_budget=100, block_tokens=4)
        engine = Engine(config)
        for number in range(3):
            sequence = Sequence(20, 5, (1, 2), 8)
            assert engine.why_never(20, 5) is None
            engine.submit(sequence, 100.0 * number)
            assert finish_all(engine) == [sequence]
        assert "need room" in str(engine.why_never(20, 6))

    def test_nobody_waits_for_ever(self):
        """An engine that runs nothing and can admit nobody is an error of ours, not a silence."""
        engine = Engine(EngineConfig(HALVES, 8, max_batch=2, token_budget=100, block_tokens=1))
        engine._scheduler.cache.allocate(3)

        with pytest.raises(InternalError, match="admits none of 1"):
            engine.submit(Sequence(8, 1), 0.0)

    def test_what_can_never_be_served_is_named(self):
        """The last token needs no cache; a prompt that cannot be cut must fit into a step."""
        engine = Engine(replace(BROAD, kv_capacity_tokens=320, chunked_prefill=False))

        assert engine.why_never(100, 221) is None
        assert "need room for 321 tokens" in str(engine.why_never(100, 222))
        assert "101 prompt tokens are more than the token budget" in str(engine.why_never(101, 1))
        with pytest.raises(ValueError, match="321 tokens"):
            engine.submit(Sequence(100, 222), 0.0)


class TestPrefixes:
    def test_a_prompt_that_was_seen_is_not_computed_again(self):
        """All its full blocks are found, but one token has to be computed."""
        engine = Engine(replace(BROAD, block_tokens=4))
        for prompt, blocks, expected in [
            (12, (1, 2, 3), 0),
            (12, (1, 2, 3), 8),
            (14, (1, 2, 3, 9), 12),
            (12, (1, 5, 3), 4),
            (12, (), 0),
        ]:
            start_s = engine.busy_s + 1_000.0 * engine.tokens_out
            sequence = Sequence(prompt, 2, blocks, 4)
            engine.submit(sequence, start_s)
            finish_all(engine)

            assert sequence.cached_tokens == expected
            assert sequence.first_token_s == start_s + 2.0 + 0.5 * (prompt - expected)

    def test_an_answer_is_found_by_the_turn_that_follows(self):
        """Where its hashes are known: here 6 + 10 tokens, of which all but the last are cached."""
        for blocks, expected in [((1, 2), 4), ((1, 2, 3, 4), 12)]:
            engine = Engine(replace(BROAD, block_tokens=4))
            engine.submit(Sequence(6, 10, blocks, 4), 0.0)
            finish_all(engine)
            following = Sequence(20, 1, (1, 2 if len(blocks) > 2 else 20, 3, 4, 5), 4)
            engine.submit(following, 1_000.0)
            finish_all(engine)

            assert following.cached_tokens == expected

    def test_shared_blocks_are_held_once(self):
        """Two prompts with 8 tokens in common and 4 of their own hold 16 tokens, not 24."""
        engine = Engine(replace(BROAD, block_tokens=4))
        engine.submit(Sequence(12, 2, (1, 2, 3), 4), 0.0)
        engine.submit(Sequence(12, 2, (1, 2, 4), 4), 0.0)

        assert engine.kv_used_tokens == 16

    def test_blocks_of_another_size_are_not_cached(self):
        """A block of a prompt has to be a whole number of blocks of the engine."""
        engine = Engine(replace(BROAD, block_tokens=4))
        for time_s in (0.0, 100.0):
            sequence = Sequence(12, 1, (1, 2), 6)
            engine.submit(sequence, time_s)
            finish_all(engine)
            assert sequence.cached_tokens == 0

    def test_off_finds_nothing(self):
        """Nor does it cost anything."""
        engine = Engine(replace(BROAD, block_tokens=4, prefix_cache=False))
        for time_s in (0.0, 100.0):
            sequence = Sequence(12, 1, (1, 2, 3), 4)
            engine.submit(sequence, time_s)
            finish_all(engine)
            assert sequence.cached_tokens == 0


class TestTokens:
    def test_come_when_their_steps_end(self):
        """Past ones are known, those up to the next change are foretold, later ones unknown."""
        engine = Engine(BROAD)
        sequence, other = Sequence(4, 6), Sequence(4, 3)
        assert engine.token_s(sequence, 1) == math.inf
        engine.submit(sequence, 0.0)
        assert engine.token_s(sequence, 1) == 4.0
        assert engine.token_s(sequence, 2) == math.inf
        engine.advance(4.0)
        assert [engine.token_s(sequence, n) for n in (1, 2, 6)] == [4.0, 5.5, 11.5]

        engine.submit(other, 5.0)

        assert engine.token_s(sequence, 2) == 5.5
        assert engine.token_s(sequence, 3) == math.inf
        finish_all(engine)
        times_s = [engine.token_s(sequence, n) for n in range(1, 8)]
        assert times_s == [4.0, 5.5, 10.0, 12.0, 14.0, 15.5, math.inf]


class TestRefusals:
    def test_time_runs_forwards(self):
        """A call with a time before that of another is a mistake of the caller."""
        engine = Engine(BROAD)
        engine.advance(5.0)

        with pytest.raises(ValueError, match="time runs backwards"):
            engine.submit(Sequence(1, 1), 4.0)

    def test_a_sequence_is_submitted_once(self):
        """It carries what became of it."""
        engine = Engine(BROAD)
        sequence = Sequence(1, 1)
        engine.submit(sequence, 0.0)

        with pytest.raises(ValueError, match="once only"):
            engine.submit(sequence, 1.0)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"max_batch": 0}, "max_batch must be at least 1"),
            ({"block_tokens": 0}, "block_tokens must be at least 1"),
            ({"kv_capacity_tokens": 15}, "holds no block of 16"),
            ({"token_budget": 7}, "less than max_batch, 8"),
            ({"request_overhead_s": -1.0}, "0 or more"),
        ],
    )
    def test_settings_are_checked(self, settings, message):
        """Each message names what is wrong."""
        with pytest.raises(ValueError, match=message):
            replace(BROAD, **settings)


class TestCounters:
    def test_follow_the_time_that_was_heard(self):
        """Also in the middle of a run, where nothing changes."""
        engine = Engine(replace(BROAD, block_tokens=4))
        engine.submit(Sequence(4, 40), 0.0)
        engine.advance(4.0)
        seen = []
        for time_s in (4.0, 5.0, 6.0, 11.0):
            engine.advance(time_s)
            seen.append((engine.busy_s, engine.tokens_out, engine.kv_used_tokens))

        # The step in flight has its block, and its token is counted at its end.
        assert seen == [(4.0, 1, 8), (5.0, 1, 8), (6.0, 2, 8), (11.0, 5, 12)]


@pytest.mark.parametrize("seed", range(100))
def test_ties_are_planned_as_by_the_naive_engine(seed):
    """Arrivals exactly at the ends of steps, of runs, and at one instant."""
    draw = Random(seed)
    requests = [Request(i, draw.randrange(1, 8), draw.randrange(12)) for i in range(20)]
    times_s = sorted(0.5 * draw.randrange(120) for _ in requests)
    events = [Event(time_s, "submit", i) for i, time_s in enumerate(times_s)]
    config = replace(BROAD, kv_capacity_tokens=40, block_tokens=2, token_budget=9)

    Both(Case(config, requests, events), ties=True).run()
