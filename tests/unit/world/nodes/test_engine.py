from __future__ import annotations

import math
from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsim.federation.contracts import NoCapacity
from fedsim.workload.details import Prompt
from fedsim.world.engine.config import EngineConfig
from fedsim.world.engine.engine import Engine, Sequence
from fedsim.world.engine.steps import Coefficients
from tests.given import Given, GivenArrivals
from tests.unit.world.scripted import Reader, Script, errors, outage, send, slowdown

SECOND = Coefficients(1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
"""Every step takes a second, whatever it does."""


def beside(script, given, priority):
    """Return a script with a second stream, urgent, of one request of that priority."""

    class TwoStreams(Script):
        """Has the second stream in its world."""

        @property
        def config(self):
            config = script.config
            (stream,) = config.streams
            traffic = replace(stream.traffic, name="urgent", arrivals=GivenArrivals([given]))
            second = replace(stream, traffic=traffic, priority=priority)
            return replace(config, streams=(stream, second))

    return TwoStreams(script.rows)


def serving(rows, limits_s=None, *, prompt=10, steps=SECOND, engine=None, **settings):
    """Return a script whose rows are times and output tokens, of prompts of ten tokens."""
    facts = {"kv_capacity_tokens": 1600, "max_batch": 4, "token_budget": 100} | (engine or {})
    config = EngineConfig(steps, **facts)
    prompts = settings.pop("prompts", [prompt] * len(rows))
    pool = {"service": None, "slots": config.max_batch, "engine": config}
    pool |= settings.pop("pool", {})
    return Script(rows, limits_s or {}, prompts=prompts, pool=pool, **settings)


class TestService:
    def test_alone(self):
        """A request of one's own takes a step a token, and the row says when the first came."""
        played = serving([(0.0, 4)], leg_s=0.25).play()

        row = played.tables.requests.iloc[0]
        assert played.log == [(0, "ok", 4.5)]
        assert (row["queue_wait_s"], row["service_s"], row["network_s"]) == (0.0, 4.0, 0.5)
        assert row["ttft_s"] == 1.5
        assert row["tpot_s"] == 1.0
        assert row["cached_tokens"] == 0
        assert played.busy_s == 4.0
        assert played.costs_usd == [4.0]

    def test_times_are_the_designs(self):
        """One request alone takes what the closed form of the design says."""
        steps = Coefficients(0.00803, 5.45e-5, 2.97e-9, 0.0116, 3.22e-5, 8e-8, 0.0, 0.0, 0.001)
        prompt, tokens = 2000, 300
        engine = {"kv_capacity_tokens": 9999, "token_budget": 8192, "request_overhead_s": 0.02}
        played = serving([(0.0, tokens)], prompt=prompt, steps=steps, engine=engine).play()

        decode_s = sum(0.0116 + 3.22e-5 + 8e-8 * (prompt + k) for k in range(1, tokens))
        prefill_s = 0.00803 + 5.45e-5 * prompt + 2.97e-9 * prompt**2 / 2
        row = played.tables.requests.iloc[0]
        assert row["latency_s"] == pytest.approx(0.02 + prefill_s + decode_s + tokens * 0.001)
        assert row["queue_wait_s"] == pytest.approx(0.02)
        assert row["ttft_s"] == pytest.approx(0.02 + prefill_s + 0.001)
        assert row["tpot_s"] == pytest.approx(decode_s / (tokens - 1) + 0.001)

    def test_joins_at_the_end_of_a_step(self):
        """Who comes during a step is admitted at its end, and decodes beside the others."""
        played = serving([(0.0, 4), (1.5, 2), (1.75, 1)]).play()

        assert played.log == [(0, "ok", 4.0), (1, "ok", 4.0), (2, "ok", 3.0)]
        assert played.waits_s == [0.0, 0.5, 0.25]
        assert played.held_s == [4.0, 2.0, 1.0]

    def test_one_token_has_no_time_per_token(self):
        """The time per token is missing below two tokens, the first token's is not."""
        row = serving([(0.0, 1)]).play().tables.requests.iloc[0]

        assert row["ttft_s"] == 1.0
        assert row[["tpot_s"]].isna().all()

    def test_the_batch_is_limited(self):
        """Beyond the largest batch requests wait for a place."""
        played = serving([(0.0, 2)] * 3, engine={"max_batch": 2}).play()

        assert [when for _, _, when in played.log] == [2.0, 2.0, 4.0]
        assert played.waits_s == [0.0, 0.0, 2.0]

    def test_a_full_queue_refuses(self):
        """Once the engine runs, no more wait than the queue limit allows."""
        rows = [(0.0, 9), (0.5, 1), (0.5, 1), (1.5, 1)]
        played = serving(rows, queue_limit=1).play()

        assert [outcome for _, outcome, _ in played.log] == ["ok", "ok", "no_capacity", "ok"]

    def test_overhead_comes_before_the_queue(self):
        """What every request needs first is part of its wait, and delays nobody else."""
        played = serving([(0.0, 1), (0.25, 1)], engine={"request_overhead_s": 0.5}).play()

        assert played.log == [(0, "ok", 1.5), (1, "ok", 2.5)]
        assert played.waits_s == [0.5, 1.25]

    def test_by_priority(self):
        """A later request of lower priority number is admitted first where that is the order."""
        script = serving([(0.0, 2), (0.5, 1)], engine={"max_batch": 1, "order": "priority"})
        urgent = Given(0.75, 10, 1)

        requests = beside(script, urgent, priority=-1).play().tables.requests

        finished_s = dict(zip(requests["request_id"], requests["finished_s"], strict=True))
        assert finished_s == {"chat-0": 2.0, "urgent-0": 3.0, "chat-1": 4.0}


class TestTooLarge:
    def test_is_refused_by_name(self):
        """A request that can never fit hears why at once, and an event says the same."""
        heard = []

        async def act(site, target, request):
            try:
                return await send(site, target, request)
            except NoCapacity as error:
                heard.append(str(error))
                raise

        script = serving([(0.0, 100), (1.0, 1)], prompts=[1600, 10], leg_s=0.25, act=act)
        played = script.play()

        assert [outcome for _, outcome, _ in played.log] == ["no_capacity", "ok"]
        (message,) = heard
        assert message == (
            "request chat-0 can never be served by node node-0: 1600 prompt tokens and 100 output "
            "tokens need room for 1699 tokens in blocks of 16, and the KV cache holds 1600"
        )
        events = played.tables.events.query("kind == 'refusal'")
        assert events["subject"].tolist() == ["node-0"]
        assert events["detail"].tolist() == [message]
        assert events["time_s"].tolist() == [0.25]
        assert played.held_s == [None, 1.0]

    def test_under_pressure_everybody_finishes(self, monkeypatch):
        """A cache of twice the longest request preempts, and yet loses nobody."""
        sequences = []

        def sequence(*facts):
            sequences.append(Sequence(*facts))
            return sequences[-1]

        monkeypatch.setattr("fedsim.world.nodes.engine.Sequence", sequence)
        rows = [(0.1 * number, 60) for number in range(40)]
        played = serving(rows, prompt=40, engine={"kv_capacity_tokens": 208}).play()

        assert {outcome for _, outcome, _ in played.log} == {"ok"}
        assert sum(each.preemptions for each in sequences) > 10
        assert len(sequences) == 40


class TestAbort:
    def test_in_the_batch(self):
        """An abort frees the place at once; the step under way takes as long as before."""
        rows = [(0.0, 9), (0.5, 1)]
        played = serving(rows, {0: 2.25}, engine={"max_batch": 1}, leg_s=0.25).play()

        assert played.log == [(0, "timeout", 2.25), (1, "ok", 4.5)]
        assert played.held_s == [2.25, 1.0]
        assert played.wasted_s == 2.25
        assert played.busy_s == 3.25

    def test_in_the_queue(self):
        """An aborted request that waits leaves no trace."""
        rows = [(0.0, 3), (0.5, 9), (0.75, 1)]
        played = serving(rows, {1: 0.5}, engine={"max_batch": 1}).play()

        assert played.log == [(0, "ok", 3.0), (1, "timeout", 1.0), (2, "ok", 4.0)]
        assert played.held_s == [3.0, None, 1.0]
        assert played.wasted_s == 0.0

    def test_before_the_queue(self):
        """A request that is aborted before it is queued never is."""
        rows = [(0.0, 3), (2.0, 1)]
        played = serving(rows, {0: 0.25}, engine={"request_overhead_s": 0.5}).play()

        assert played.log == [(0, "timeout", 0.25), (1, "ok", 3.5)]
        assert played.held_s == [None, 1.0]

    def test_off(self):
        """Without aborts the engine finishes in vain, and the time is wasted."""
        played = serving([(0.0, 5)], {0: 1.0}, abort=False).play()

        assert played.log == [(0, "timeout", 1.0)]
        assert played.held_s == [5.0]
        assert played.wasted_s == 5.0

    def test_off_and_the_run_ends(self):
        """An attempt that was given up is known to have held its slot, though it never ended."""
        script = serving([(0.0, 99)], {0: 3.0}, abort=False, duration_s=5.0, drain_s=5.0)
        played = script.play()

        assert played.busy_s == 10.0
        assert played.held_s == [3.0]


class TestFaults:
    def test_a_crash_loses_everything(self):
        """Batch, queue and what is being prepared fail, and the node comes back empty."""
        rows = [(0.0, 9), (0.5, 9), (1.9, 9), (5.0, 2)]
        engine = {"max_batch": 1, "request_overhead_s": 0.25}
        played = serving(rows, engine=engine, faults=[outage(2.0, 1.0)]).play()

        lost = [(number, "node_unreachable", 2.0) for number in range(3)]
        assert played.log == [*lost, (3, "ok", 7.25)]
        assert played.held_s == [1.75, None, None, 2.0]
        assert played.wasted_s == 1.75

    def test_a_crash_loses_the_prefix_cache(self):
        """What was cached before a crash is computed again after it."""
        prompt = Prompt((1, 2, 3), 16)
        rows = [(0.0, 1), (5.0, 1), (20.0, 1)]
        script = serving(rows, prompt=50, details=[prompt] * 3, faults=[outage(10.0, 1.0)])

        assert script.play().tables.requests["cached_tokens"].tolist() == [0, 48, 0]

    def test_a_slowdown_begins_with_the_next_step(self):
        """Steps take longer from the next one on, and are as fast as before when it ends."""
        faults = [slowdown(1.5, 3.0, 2.0)]
        played = serving([(0.0, 5)], faults=faults).play()

        assert played.log == [(0, "ok", 7.0)]  # steps end at 1, 2, 4, 6 and 7

    def test_errors(self):
        """A request that meets an error never reaches the engine."""
        played = serving([(0.0, 1)], faults=[errors(0.0, 9.0, 1.0)]).play()

        assert played.log == [(0, "internal", 0.0)]


class TestTelemetry:
    def test_samples(self):
        """A sample has the batch, the queue and the room in the cache that the batch holds."""
        played = serving([(0.0, 3), (0.25, 3)], engine={"max_batch": 1}, nodes_every_s=0.5).play()

        samples = played.tables.nodes.set_index("time_s")
        assert samples.loc[0.5, ["running", "queued", "kv_used_tokens"]].tolist() == [1, 1, 16]
        assert samples.loc[5.5, ["running", "queued"]].tolist() == [1, 0]
        assert samples.loc[7.0, ["running", "queued", "kv_used_tokens"]].tolist() == [0, 0, 0]
        assert samples.loc[0.5, "utilization"] == 1.0

    def test_probe(self):
        """A probe tells running and waiting, cache, share of time in steps, and tokens a second."""
        seen = []

        async def act(site, target, request):
            if request.request_id == "chat-2":
                seen.append(await site.transport.probe(target.node_id))
            return await send(site, target, request)

        rows = [(0.0, 5), (0.0, 5), (10.0, 1)]
        serving(rows, engine={"max_batch": 1}, act=act, leg_s=2.25).play()

        (health,) = seen  # asked at 12.25 s: steps from 2.25 s on, the 10th of them just over
        assert health.running == 0
        assert health.queue_depth == 0
        assert health.kv_usage == 0.0
        assert health.gpu_utilization == pytest.approx(10.0 / 12.25)
        assert health.throughput == 1
        assert health.last_check_s == 14.5

    def test_sampling_changes_nothing(self):
        """Looking at an engine in the middle of its steps leaves every time as it was."""
        steps = Coefficients(0.01, 1e-4, 1e-9, 0.011, 3e-5, 8e-8)
        rows = [(0.37 * number, 20 + 7 * (number % 5)) for number in range(30)]

        runs = [
            serving(rows, steps=steps, nodes_every_s=every_s).play().tables.requests["finished_s"]
            for every_s in (None, 0.01)
        ]

        assert runs[0].tolist() == runs[1].tolist()


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.floats(0.001, 2.0), st.integers(1, 200), st.integers(1, 60)),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from([272, 400, 16_000]),
    st.sampled_from([0.0, 0.013]),
)
def test_is_the_engine_in_the_worlds_time(gaps, kv_capacity_tokens, overhead_s):
    """A node answers exactly when an engine does that is told of the same requests by hand."""
    steps = Coefficients(0.008, 5e-5, 3e-9, 0.0116, 3e-5, 8e-8)
    engine = {"kv_capacity_tokens": kv_capacity_tokens, "request_overhead_s": overhead_s}
    times_s = list(accumulate(gap_s for gap_s, _, _ in gaps))
    script = serving(
        [(time_s, tokens) for time_s, (_, _, tokens) in zip(times_s, gaps, strict=True)],
        prompts=[prompt for _, prompt, _ in gaps],
        steps=steps,
        engine=engine,
    )
    played = script.play()

    alone = Engine(script.config.pools[0].engine)
    sequences = [Sequence(prompt, tokens) for _, prompt, tokens in gaps]
    for time_s, sequence in zip(times_s, sequences, strict=True):
        while alone.next_change_s() < time_s + overhead_s:
            alone.advance(alone.next_change_s())
        alone.submit(sequence, time_s + overhead_s)
    while alone.next_change_s() < math.inf:
        alone.advance(alone.next_change_s())
    requests = played.tables.requests
    assert requests["finished_s"].tolist() == [each.finished_s for each in sequences]
    begun_s = requests["arrived_s"] + requests["queue_wait_s"]
    assert begun_s.tolist() == pytest.approx([each.begun_s for each in sequences])


def test_littles_law_inside_the_batch():
    """The integral of the number in the batch is the sum of the times that requests were in it.

    All steps end at whole seconds, so that the number half a second later holds for a second. The
    first request keeps the engine busy, and nobody is preempted.
    """
    rows = [(0.0, 99), *((0.37 * number, 1 + number * 7 % 20) for number in range(1, 200))]
    played = serving(rows, engine={"kv_capacity_tokens": 16_000}, nodes_every_s=0.5).play()

    samples = played.tables.nodes
    middles = samples["time_s"] % 1.0 == 0.5
    area_s = float(samples["running"][middles].sum())
    assert area_s == pytest.approx(played.tables.requests["service_s"].sum())
    assert area_s == pytest.approx(played.busy_s)
    waited_s = float(samples["queued"][middles].sum())
    assert waited_s == pytest.approx(played.tables.requests["queue_wait_s"].sum(), rel=0.02)


def test_a_request_costs_few_entries_of_the_queue():
    """However long an answer is, its tokens are no events."""
    entries = []
    for tokens in (10, 1000):
        played = serving(
            [(0.0, tokens), (0.5, tokens)], engine={"kv_capacity_tokens": 16_000}, leg_s=0.1
        ).play()
        entries.append(next(played.world.env._eid))

    assert entries[0] == entries[1] < 20


def read(script, stop_after=None):
    """Return what a reader of every stream heard, with the times, and the script played."""
    readers = {}

    async def act(site, target, request):
        reader = readers[request.request_id] = Reader(stop_after)
        return await reader(site, target, request)

    played = replace(script, act=act).play()
    return [reader.log for reader in readers.values()], played


class TestStream:
    def test_tokens_come_with_the_steps(self):
        """Each token reaches the gateway one leg after the end of its step."""
        (log,), played = read(serving([(0.0, 4)], leg_s=0.25))

        assert log == [("open", 0.5), *((n, n + 0.5) for n in range(1, 5)), ("end", 4.5)]
        assert played.tables.requests["ttft_s"].tolist() == [1.5]

    def test_one_that_waits(self):
        """The tokens of a request that waits come when it has a place."""
        (_, late), _ = read(serving([(0.0, 3), (0.5, 2)], engine={"max_batch": 1}, leg_s=0.25))

        assert late == [("open", 1.0), (1, 4.5), (2, 5.5), ("end", 5.5)]

    def test_steps_change_while_it_is_read(self):
        """Tokens come sooner when others leave, and later while a prompt is prefilled."""
        steps = Coefficients(1.0, 0.1, 0.0, 1.0, 1.0, 0.0)
        rows = [(0.0, 6), (0.25, 2), (6.5, 1)]
        (log, *_), _ = read(serving(rows, steps=steps))

        # Steps: one prompt; a prompt beside one; two; one; a prompt beside one; one.
        ends_s = [2.0, 2.0 + 3.0, 8.0, 8.0 + 3.0, 13.0, 15.0]
        assert [when for what, when in log if isinstance(what, int)] == pytest.approx(ends_s)

    def test_through_a_slowdown(self):
        """The step under way ends in time, later ones take longer while the fault lasts."""
        (log,), _ = read(serving([(0.0, 5)], faults=[slowdown(1.5, 3.0, 2.0)]))

        assert [when for what, when in log if isinstance(what, int)] == [1.0, 2.0, 4.0, 6.0, 7.0]

    def test_cancelled(self):
        """A cancelled stream frees its place when the abort arrives."""
        rows = [(0.0, 9), (0.5, 1)]
        (log, late), played = read(serving(rows, engine={"max_batch": 1}, leg_s=0.25), 2)

        assert log[:4] == [("open", 0.5), (1, 1.5), (2, 2.5), ("end", 2.5)]
        assert played.held_s == [2.5, 1.0]  # from 0.25 to 2.75 s
        assert late[1] == (1, 4.5)

    def test_broken_off(self):
        """When the node stops, the reader hears of it one leg later, and no token comes since."""
        (log,), _ = read(serving([(0.0, 9)], leg_s=0.25, faults=[outage(2.6, 1.0)]))

        assert log == [("open", 0.5), (1, 1.5), (2, 2.5), ("node_unreachable", 2.85)]

    @settings(max_examples=25)
    @given(
        st.lists(
            st.tuples(st.integers(0, 5000).map(lambda n: n / 1000), st.integers(1, 30)),
            min_size=1,
            max_size=8,
        ),
        st.sampled_from([100, 130, 1600]),
    )
    def test_are_what_the_rows_say(self, rows, kv_capacity_tokens):
        """Whatever the batch, a stream ends when its request does, and begins at its ttft."""
        steps = Coefficients(0.01, 0.001, 0.0, 0.02, 0.003, 1e-5)
        engine = {"kv_capacity_tokens": kv_capacity_tokens, "token_budget": 12}
        logs, played = read(serving(sorted(rows), prompt=25, steps=steps, engine=engine))

        requests = played.tables.requests
        for log, (_, row) in zip(logs, requests.iterrows(), strict=True):
            times_s = [when for what, when in log if isinstance(what, int)]
            assert len(times_s) == row["output_tokens"]
            assert times_s == sorted(times_s)
            assert times_s[-1] == pytest.approx(row["finished_s"])
            assert times_s[0] == pytest.approx(row["arrived_s"] + row["ttft_s"])
