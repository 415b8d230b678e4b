from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsim.federation.contracts import Internal, NodeId, NodeUnreachable
from fedsim.kernel.streams import ERROR, Streams, keyed_uniform
from fedsim.world.service import TokenService
from tests.unit.world.scripted import Script, errors, outage, send, slowdown


class TestQueue:
    def test_first_come_first_served(self):
        """Requests wait in the order of their arrival, each until a slot is free."""
        played = Script([(0.0, 4), (1.0, 4), (2.0, 1), (2.5, 1)], slots=2).play()

        assert played.log == [(0, "ok", 4.0), (1, "ok", 5.0), (2, "ok", 5.0), (3, "ok", 6.0)]
        assert played.waits_s == [0.0, 0.0, 2.0, 2.5]
        assert played.held_s == [4.0, 4.0, 1.0, 1.0]

    def test_a_full_queue_refuses(self):
        """With one slot and one place to wait, the third request hears at once that it is full."""
        played = Script([(0.0, 4), (1.0, 4), (2.0, 4), (4.0, 4)], queue_limit=1, leg_s=0.5).play()

        assert played.log == [
            (0, "ok", 5.0),
            (1, "ok", 9.0),
            (2, "no_capacity", 3.0),
            (3, "ok", 13.0),
        ]
        assert played.held_s == [4.0, 4.0, None, 4.0]
        assert played.costs_usd == [4.0, 4.0, 0.0, 4.0]

    def test_no_queue_at_all(self):
        """A limit of 0 refuses whoever finds no free slot."""
        played = Script([(0.0, 4), (1.0, 4), (4.0, 1)], queue_limit=0).play()

        assert played.log == [(0, "ok", 4.0), (1, "no_capacity", 1.0), (2, "ok", 5.0)]

    def test_no_service_at_all_takes_no_time(self):
        """A request of no service time comes and goes at one instant."""
        played = Script([(0.0, 0), (0.0, 0), (1.0, 0)], leg_s=0.25).play()

        assert played.log == [(0, "ok", 0.5), (1, "ok", 0.5), (2, "ok", 1.5)]
        assert played.busy_s == 0.0


class TestAbort:
    """The gateway's patience ends while the attempt is at each of its stages.

    A leg takes 0.5 s; service begins at 0.5 s, or a second request waits from then on.
    """

    def test_while_it_travels(self):
        """An abort that follows the request stops it one leg after the deadline."""
        played = Script([(0.0, 10), (1.0, 1)], {0: 0.25}, leg_s=0.5).play()

        assert played.log == [(0, "timeout", 0.25), (1, "ok", 3.0)]
        assert played.held_s == [0.25, 1.0]
        assert played.costs_usd == [0.25, 1.0]
        assert played.wasted_s == 0.25

    def test_while_it_waits(self):
        """An aborted request leaves the queue, and its place in it is free."""
        rows = [(0.0, 4), (0.0, 10), (2.0, 1)]
        played = Script(rows, {1: 1.0}, leg_s=0.5, queue_limit=1).play()

        assert played.log == [(0, "ok", 5.0), (1, "timeout", 1.0), (2, "ok", 6.0)]
        assert played.held_s == [4.0, None, 1.0]
        assert played.costs_usd == [4.0, 0.0, 1.0]
        assert played.wasted_s == 0.0

    def test_while_it_is_served(self):
        """An abort frees the slot one leg after the deadline, for the next in the queue."""
        played = Script([(0.0, 10), (0.0, 1)], {0: 3.0}, leg_s=0.5).play()

        assert played.log == [(0, "timeout", 3.0), (1, "ok", 5.0)]
        assert played.waits_s == [0.0, 3.0]
        assert played.held_s == [3.0, 1.0]
        assert played.wasted_s == 3.0

    def test_while_the_answer_returns(self):
        """An answer on its way back comes in vain, and so was its service."""
        played = Script([(0.0, 1)], {0: 1.75}, leg_s=0.5).play()

        assert played.log == [(0, "timeout", 1.75)]
        assert played.held_s == [1.0]
        assert played.costs_usd == [1.0]
        assert played.wasted_s == 1.0
        assert played.world.env.now == 1000.0  # the world ends with the arrivals

    def test_that_comes_too_late(self):
        """An abort that arrives after the end of service changes nothing."""
        played = Script([(0.0, 1), (1.5, 1)], {0: 1.25}, leg_s=0.5).play()

        assert played.log == [(0, "timeout", 1.25), (1, "ok", 3.5)]
        assert played.held_s == [1.0, 1.0]
        assert played.wasted_s == 1.0

    def test_at_no_distance(self):
        """Without a network, an abort frees the slot at the time of the deadline."""
        played = Script([(0.0, 10), (0.0, 1)], {0: 3.0}).play()

        assert played.log == [(0, "timeout", 3.0), (1, "ok", 4.0)]
        assert played.held_s == [3.0, 1.0]

    def test_of_a_refused_request(self):
        """A refusal on its way back that nobody waits for any more is no waste."""
        played = Script([(0.0, 10), (0.0, 1)], {1: 0.75}, leg_s=0.5, queue_limit=0).play()

        assert played.log == [(0, "ok", 11.0), (1, "timeout", 0.75)]
        assert played.held_s == [10.0, None]
        assert played.wasted_s == 0.0

    def test_off_while_it_is_served(self):
        """Without aborts the node finishes in vain, and the time is wasted all the same."""
        played = Script([(0.0, 10), (0.0, 1)], {0: 3.0}, leg_s=0.5, abort=False).play()

        assert played.log == [(0, "timeout", 3.0), (1, "ok", 12.0)]
        assert played.held_s == [10.0, 1.0]
        assert played.costs_usd == [10.0, 1.0]
        assert played.wasted_s == 10.0

    def test_off_while_it_waits(self):
        """Without aborts a request whose gateway has given up is served in its turn."""
        played = Script([(0.0, 4), (0.0, 2), (0.0, 1)], {1: 1.0}, leg_s=0.5, abort=False).play()

        assert played.log == [(0, "ok", 5.0), (1, "timeout", 1.0), (2, "ok", 8.0)]
        assert played.waits_s == [0.0, 4.0, 6.0]
        assert played.held_s == [4.0, 2.0, 1.0]
        assert played.wasted_s == 2.0

    def test_off_and_the_drain_ends(self):
        """Service that outlasts the run counts up to its end."""
        played = Script([(0.0, 99)], {0: 3.0}, abort=False, duration_s=5.0, drain_s=5.0).play()

        assert played.log == [(0, "timeout", 3.0)]
        assert played.world.env.now == 10.0
        assert played.busy_s == 10.0


class TestCrash:
    def test_loses_what_is_in_service_and_what_waits(self):
        """Requests in service and in the queue fail when the node stops; later ones on arrival."""
        rows = [(0.0, 10), (0.0, 10), (4.75, 1), (6.5, 1), (9.75, 1)]
        played = Script(rows, leg_s=0.5, faults=[outage(5.0, 5.0)]).play()

        assert played.log == [
            (0, "node_unreachable", 5.5),
            (1, "node_unreachable", 5.5),
            (2, "node_unreachable", 5.75),
            (3, "node_unreachable", 7.5),
            (4, "ok", 11.75),
        ]
        assert played.held_s == [4.5, None, None, None, 1.0]
        assert played.costs_usd == [4.5, 0.0, 0.0, 0.0, 1.0]
        assert played.wasted_s == 4.5

    def test_at_no_distance(self):
        """Without a network, the gateway knows at the time of the crash."""
        played = Script([(0.0, 10), (0.0, 10)], faults=[outage(5.0, 5.0)]).play()

        assert [when for _, _, when in played.log] == [5.0, 5.0]

    def test_spares_answers_under_way(self):
        """What the node has finished arrives, whatever becomes of the node."""
        played = Script([(0.0, 1)], leg_s=0.5, faults=[outage(1.75, 5.0)]).play()

        assert played.log == [(0, "ok", 2.0)]
        assert played.wasted_s == 0.0

    def test_after_the_gateway_gave_up(self):
        """What nobody waits for is lost without a word, and wasted once."""
        faults = [outage(3.0, 5.0)]
        played = Script([(0.0, 10)], {0: 2.0}, leg_s=0.5, abort=False, faults=faults).play()

        assert played.log == [(0, "timeout", 2.0)]
        assert played.held_s == [2.5]
        assert played.wasted_s == played.busy_s == 2.5

    def test_and_an_abort_at_the_same_time(self):
        """An abort that reaches a node which has just lost the request changes nothing."""
        played = Script(
            [(0.0, 10), (8.5, 1)], {0: 2.5}, leg_s=0.5, faults=[outage(3.0, 5.0)]
        ).play()

        assert played.log == [(0, "timeout", 2.5), (1, "ok", 10.5)]
        assert played.held_s == [2.5, 1.0]

    def test_the_end_of_service_as_planned_does_nothing(self):
        """A lost request's old end of service does not end the service of a later one."""
        played = Script([(0.0, 10), (6.5, 20)], faults=[outage(5.0, 1.0)]).play()

        assert played.log == [(0, "node_unreachable", 5.0), (1, "ok", 26.5)]

    def test_time_up(self):
        """Time up leaves out every time down, also where two causes overlap."""
        faults = [outage(5.0, 5.0), outage(8.0, 4.0)]
        played = Script([(0.0, 1)], faults=faults, duration_s=20.0).play()

        assert played.tables.node_totals["up_s"].tolist() == [13.0]


class TestSlowdown:
    def test_stretches_what_is_in_service(self):
        """Ten seconds of service, of which four pass at half speed, end at 12 s."""
        played = Script([(0.0, 10)], faults=[slowdown(4.0, 4.0, 2.0)]).play()

        assert played.log == [(0, "ok", 12.0)]
        assert played.held_s == [12.0]

    def test_stretches_what_begins_in_it(self):
        """Service that begins and ends in a slowdown takes the factor times as long."""
        played = Script([(5.0, 2), (6.0, 2)], faults=[slowdown(4.0, 40.0, 3.0)]).play()

        assert played.log == [(0, "ok", 11.0), (1, "ok", 17.0)]

    def test_of_several_slots(self):
        """All requests in service are stretched, each from where it is."""
        played = Script([(0.0, 6), (2.0, 6)], slots=2, faults=[slowdown(4.0, 2.0, 2.0)]).play()

        assert played.log == [(0, "ok", 7.0), (1, "ok", 9.0)]

    def test_factors_multiply(self):
        """Two slowdowns at once multiply, also two that are alike."""
        faults = [slowdown(2.0, 6.0, 2.0), slowdown(2.0, 6.0, 2.0), slowdown(4.0, 4.0, 5.0)]
        played = Script([(0.0, 10)], faults=faults).play()

        # 2 s done by 2 s, 0.5 more by 4 s, 0.2 more by 8 s, the other 7.3 at full speed
        assert [outcome for _, outcome, _ in played.log] == ["ok"]
        assert played.log[0][2] == pytest.approx(15.3)

    @settings(max_examples=25)
    @given(
        st.integers(1, 30),
        st.lists(
            st.tuples(st.integers(0, 40), st.integers(1, 20), st.sampled_from([1.5, 2, 3, 10])),
            max_size=4,
        ),
    )
    def test_the_work_is_done_when_it_is_done(self, size, plan):
        """Service ends when the integral of the speed, the inverse of the factors, is its size."""
        faults = [slowdown(float(at), float(lasts), factor) for at, lasts, factor in plan]
        played = Script([(0.0, size)], faults=faults, duration_s=1.0, drain_s=1e6).play()

        ((_, _, ended_s),) = played.log
        turns = {time for at, lasts, _ in plan for time in (float(at), float(at + lasts))}
        instants = sorted(time for time in {0.0, ended_s, *turns} if time <= ended_s)
        done = 0.0
        for begin, end in pairwise(instants):
            factor = 1.0
            for at, lasts, slower in plan:
                if at <= begin and end <= at + lasts:
                    factor *= slower
            done += (end - begin) / factor
        assert done == pytest.approx(size)

    def test_of_a_node_that_crashes(self):
        """A slowdown that ends after a crash changes nothing that came after."""
        faults = [slowdown(1.0, 5.0, 2.0), outage(3.0, 1.0)]
        played = Script([(0.0, 10), (8.0, 2)], faults=faults).play()

        assert played.log == [(0, "node_unreachable", 3.0), (1, "ok", 10.0)]


class TestErrors:
    def test_certain(self):
        """With probability 1 every request fails on arrival, and takes neither slot nor place."""
        played = Script([(0.0, 5), (1.0, 5)], leg_s=0.5, faults=[errors(0.75, 2.0, 1.0)]).play()

        assert played.log == [(0, "ok", 6.0), (1, "internal", 2.0)]
        assert played.held_s == [5.0, None]

    @pytest.mark.parametrize("probabilities", [(0.3,), (0.3, 0.3), (0.2, 0.5, 0.0)])
    def test_a_request_escapes_only_if_it_escapes_each(self, probabilities):
        """With several at once, a request's own luck is held against their joint probability."""
        rows = [(float(number), 0) for number in range(400)]
        faults = [errors(0.0, 1e4, each) for each in probabilities]
        script = Script(rows, faults=faults)
        played = script.play()

        escape = 1.0
        for each in probabilities:
            escape *= 1.0 - each
        (block,) = script.config.streams[0].traffic.blocks(Streams(1), 1000.0)
        luck = [keyed_uniform(key, ERROR, 1) for key in block.keys]
        expected = ["internal" if each < 1.0 - escape else "ok" for each in luck]
        assert [outcome for _, outcome, _ in played.log] == expected

    def test_each_attempt_has_luck_of_its_own(self):
        """A request that tries again meets errors by luck that belongs to the attempt."""

        async def persist(site, target, request):
            while True:
                try:
                    return await send(site, target, request)
                except Internal:
                    await site.clock.sleep(0.01)

        rows = [(float(number), 0) for number in range(100)]
        script = Script(rows, faults=[errors(0.0, 1e4, 0.5)], act=persist)
        played = script.play()

        (block,) = script.config.streams[0].traffic.blocks(Streams(1), 1000.0)
        tries = [
            next(n for n in range(1, 99) if keyed_uniform(key, ERROR, n) >= 0.5)
            for key in block.keys
        ]
        assert played.tables.requests["attempts"].tolist() == tries


class TestTelemetry:
    def probe(self, at_s, **script):
        """Return what a probe that is sent at *at_s* reports, or its error, and when."""
        reports = []

        async def act(site, target, request):
            if request.request_id == "chat-0":
                await site.clock.sleep(at_s)
                try:
                    health = await site.transport.probe(NodeId("node-0"))
                    reports.append((site.clock.now(), health))
                except NodeUnreachable as error:
                    reports.append((site.clock.now(), error))
            return await send(site, target, request)

        rows = [(0.0, 1), *script.pop("rows", [])]
        Script(rows, act=act, **script).play()
        ((when, report),) = reports
        return when, report

    def test_takes_a_round_trip(self):
        """A probe reports the node as it is one leg after it was sent, one leg later."""
        rows = [(0.0, 2), (0.0, 2), (0.0, 2), (0.0, 2)]
        when, health = self.probe(1.0, rows=rows, slots=2, leg_s=0.25)

        assert when == health.last_check_s == 1.5
        assert (health.gpu_utilization, health.queue_depth) == (1.0, 2)

    def test_throughput_is_tokens_per_busy_second(self):
        """Throughput counts the tokens finished, over the time in which the node was busy."""
        rows = [(1.0, 40), (1.0, 20), (30.0, 60)]
        service = TokenService(0.0, 0.0, 0.1)
        _, health = self.probe(50.0, rows=rows, slots=2, service=service)

        assert health.throughput == 120 / 10  # busy from 1 to 5 s and from 30 to 36 s

    def test_throughput_of_an_idle_node_is_unknown(self):
        """A node that was never busy reports 0, which means unknown."""
        _, health = self.probe(50.0)

        assert health.throughput == 0

    @pytest.mark.parametrize(
        ("at_s", "up"), [(4.0, True), (4.75, False), (9.25, False), (9.75, True)]
    )
    def test_a_node_that_is_down_does_not_answer(self, at_s, up):
        """What counts is the state of the node when the probe reaches it."""
        when, report = self.probe(at_s, leg_s=0.5, faults=[outage(5.0, 5.0)])

        assert when == at_s + 1.0
        assert isinstance(report, NodeUnreachable) is not up
