from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsim.errors import PlugInError
from fedsim.federation.contracts import NodeId, NodeUnreachable
from fedsim.workload.distributions import Constant
from fedsim.world.service import DistributedService, TokenService
from tests.unit.world.scripted import Reader, Script, Waiter, outage, send, slowdown


class TestSend:
    def test_answer(self):
        """The response names the node, the time from send to receipt, and the tokens."""
        responses = []

        async def act(site, target, request):
            responses.append(await send(site, target, request))
            return responses[-1]

        Script([(1.0, 3)], leg_s=0.25, act=act).play()

        (response,) = responses
        assert (response.served_by, response.latency_s, response.tokens) == ("node-0", 3.5, 3)

    def test_times_of_a_request(self):
        """Network, wait, service and first token of the attempt that answered make up the row."""
        service = TokenService(base_s=1.0, per_prompt_token_s=0.0, per_output_token_s=0.5)
        played = Script([(0.0, 4), (0.5, 4)], leg_s=0.25, service=service).play()

        row = played.tables.requests.iloc[1]
        assert row["network_s"] == 0.5
        assert row["queue_wait_s"] == 2.5
        assert row["service_s"] == 3.0
        assert row["latency_s"] == 6.0
        assert row["ttft_s"] == 0.25 + 2.5 + 1.5 + 0.25

    def test_a_distribution_says_nothing_of_the_first_token(self):
        """Without a model of tokens the time to the first token is missing."""
        played = Script([(0.0, 4)], service=DistributedService(Constant(2.0))).play()

        assert played.tables.requests["ttft_s"].isna().all()

    def test_to_a_node_that_does_not_exist(self):
        """A target that does not exist stops the run, and the message says which there are."""
        with pytest.raises(PlugInError) as caught:
            Script([(2.0, 1)], nodes=7, choose=lambda _: "node-7").play()

        assert str(caught.value) == (
            "plug-in router, request chat-0, simulated time 2.000000 s: route() chose node "
            "'node-7', which does not exist; the nodes are named node-0, node-1, node-2, node-3, "
            "node-4, …"
        )

    def test_of_a_request_that_never_arrived(self):
        """A request under another name stops the run."""

        async def act(site, target, request):
            return await send(site, target, replace(request, request_id="mine"))

        with pytest.raises(PlugInError, match="must keep its request_id"):
            Script([(2.0, 1)], act=act).play()

    def test_what_is_under_way_at_the_end_stays_unfinished(self):
        """What is dropped after the run, whenever that is, writes nothing into the tables."""
        script = Script([(0.0, 99)], duration_s=1.0, drain_s=1.0)
        played = script.play()
        tables = played.tables
        del played  # with the world and its coroutines

        assert tables.attempts["outcome"].tolist() == ["unfinished"]
        assert tables.attempts["finished_s"].isna().all()


class TestProbe:
    def test_of_a_node_that_does_not_exist(self):
        """A probe of an unknown node fails at once."""
        log = []

        async def act(site, target, request):
            try:
                await site.transport.probe(NodeId("nowhere"))
            except NodeUnreachable as error:
                log.append((site.clock.now(), error.node_id))
            return await send(site, target, request)

        Script([(1.0, 1)], leg_s=0.5, act=act).play()

        assert log == [(1.0, "nowhere")]


def read(script, **reader):
    """Play a script with a reader; return what it logged, and what was played."""
    act = Reader(**reader)
    played = replace(script, act=act).play()
    return act.log, played


TOKENS = TokenService(base_s=1.0, per_prompt_token_s=0.0, per_output_token_s=0.5)


class TestStream:
    def test_tokens_come_as_the_node_makes_them(self):
        """The first token comes after base and one token's time, the others at equal distances."""
        log, played = read(Script([(0.0, 4)], leg_s=0.25, service=TOKENS))

        assert log == [
            ("open", 0.5),
            (1, 2.0),
            (2, 2.5),
            (3, 3.0),
            (4, 3.5),
            ("end", 3.5),
        ]
        assert played.log == [(0, "ok", 3.5)]
        assert played.tables.requests["ttft_s"].tolist() == [2.0]
        assert played.held_s == [3.0]

    def test_without_a_model_of_tokens(self):
        """Where the service time is all that is known, tokens come at equal distances."""
        log, _ = read(Script([(0.0, 4)], leg_s=0.25, service=DistributedService(Constant(2.0))))

        assert log[1:] == [(1, 1.0), (2, 1.5), (3, 2.0), (4, 2.5), ("end", 2.5)]

    def test_of_one_token(self):
        """The only token comes at the end of service."""
        log, _ = read(Script([(0.0, 1)], leg_s=0.25, service=TOKENS))

        assert log == [("open", 0.5), (1, 2.0), ("end", 2.0)]

    def test_while_it_waits(self):
        """Tokens of a request that waits come when its turn has come."""
        rows = [(0.0, 4), (0.0, 2)]
        script = Script(rows, leg_s=0.25, service=TOKENS)

        async def act(site, target, request):
            reader = late if request.request_id == "chat-1" else send
            return await reader(site, target, request)

        late = Reader()
        replace(script, act=act).play()

        assert late.log == [("open", 0.5), (1, 5.0), (2, 5.5), ("end", 5.5)]

    def test_cancelled(self):
        """A cancelled stream ends at once, and its node stops one leg later."""
        log, played = read(Script([(0.0, 4)], leg_s=0.25, service=TOKENS), stop_after=2)

        assert log[:4] == [("open", 0.5), (1, 2.0), (2, 2.5), ("end", 2.5)]
        assert played.held_s == [2.5]  # from 0.25 to 2.75 s
        assert played.tables.attempts["outcome"].tolist() == ["cancelled"]

    def test_cancelled_when_all_has_come(self):
        """An answer of which the last token was not taken as the end was made in vain."""
        log, played = read(Script([(0.0, 4)], leg_s=0.25, service=TOKENS), stop_after=4)

        assert log[4:6] == [(4, 3.5), ("end", 3.5)]
        assert played.tables.attempts["outcome"].tolist() == ["cancelled"]
        assert played.held_s == [3.0]
        assert played.wasted_s == 3.0

    def test_refused(self):
        """A node that is full says so when the stream is opened."""
        script = Script([(0.0, 4), (1.0, 4)], leg_s=0.25, queue_limit=0, service=TOKENS)
        log, played = read(script)

        assert ("no_capacity", 1.5) in log
        assert log.count(("open", 1.5)) == 0
        assert played.tables.attempts["outcome"].tolist() == ["ok", "no_capacity"]

    def test_of_a_node_that_is_down(self):
        """A node that is down says nothing, and the gateway learns of it when it opens."""
        script = Script([(1.0, 4)], leg_s=0.1, service=TOKENS, faults=[outage(0.0, 9.0)])
        log, _ = read(script)

        assert log == [("node_unreachable", pytest.approx(1.2))]

    def test_broken_off(self):
        """When the node stops, the reader hears of it one leg later, and no token comes since."""
        script = Script([(0.0, 10)], leg_s=0.25, service=TOKENS, faults=[outage(3.9, 1.0)])
        log, played = read(script)

        assert (
            log[:-1] == [("open", 0.5), *((n, 1.5 + 0.5 * n) for n in range(1, 6))][: len(log) - 1]
        )
        assert log[-1] == ("node_unreachable", 4.15)
        assert all(when <= 4.15 for _, when in log)
        assert played.held_s == [3.65]

    def test_broken_off_unheard(self):
        """Whoever waits for its end gives up a node whose word that it stopped comes too late."""
        waiter = Waiter(idle_s=1.0)
        Script(
            [(0.0, 10)], leg_s=2.0, service=TOKENS, act=waiter, faults=[outage(5.75, 1.0)]
        ).play()

        assert waiter.log == [("timeout", 6.5)]  # the first token came at 5.5 s

    def test_through_a_slowdown(self):
        """A slowdown stretches what is left of a stream, and its end shortens it again."""
        faults = [slowdown(2.25, 1.0, 2.0)]
        log, _ = read(Script([(0.0, 4)], leg_s=0.25, service=TOKENS, faults=faults))

        assert log[-1] == ("end", 4.0)
        assert log[-2] == (4, 4.0)
        times = [when for _, when in log]
        assert times == sorted(times)

    def test_deadline(self):
        """A deadline on a token gives up the attempt, which frees the slot."""
        script = Script([(0.0, 10)], {0: 3.25}, leg_s=0.25, service=TOKENS)
        log, played = read(script)

        assert log == [("open", 0.5), (1, 2.0), (2, 2.5), (3, 3.0)]
        assert played.log == [(0, "timeout", 3.25)]
        assert played.held_s == [3.25]

    def test_deadline_before_it_opens(self):
        """A deadline on the opening gives up the attempt, too."""
        script = Script([(0.0, 10)], {0: 0.25}, leg_s=0.25, service=TOKENS)
        log, played = read(script)

        assert log == []
        assert played.log == [(0, "timeout", 0.25)]
        assert played.tables.attempts["outcome"].tolist() == ["timeout"]

    @settings(max_examples=20)
    @given(st.integers(1, 12), st.integers(0, 7).map(lambda n: n / 7), st.integers(1, 9))
    def test_every_token_comes_once(self, size, leg_s, tenth):
        """All tokens come in order, from the time to the first token to the end of the answer."""
        service = TokenService(tenth / 10, 0.0, 0.1 / tenth)
        log, played = read(Script([(0.0, size)], leg_s=leg_s, service=service))

        tokens = [when for what, when in log if isinstance(what, int)]
        assert len(tokens) == size
        assert tokens == sorted(tokens)
        row = played.tables.requests.iloc[0]
        assert tokens[0] == pytest.approx(max(row["ttft_s"], 2 * leg_s))
        assert tokens[-1] == pytest.approx(row["finished_s"])
