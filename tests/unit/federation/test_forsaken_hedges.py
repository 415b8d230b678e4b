"""Hedges whose caller waits no more, and hedges that tie, on real asyncio."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from contextlib import suppress

import pytest

from fedsim.federation.asyncio_runtime import AsyncioClock, AsyncioTasks
from fedsim.federation.contracts import (
    Capability,
    InferenceRequest,
    InferenceResponse,
    NodeId,
    QoSRequirements,
    RegionId,
    RouteTarget,
    Timeout,
)
from fedsim.federation.gateway import Gateway, GatewayConfig, TimeoutConfig
from fedsim.federation.hedging import HedgeConfig

REQUEST = InferenceRequest(Capability.GENERATE, b"", QoSRequirements(), "r")
A, B = NodeId("a"), NodeId("b")


class Choosing:
    """Sends the lead to a and the hedge to b, and counts what is in flight."""

    def __init__(self, thinks_s=0.0):
        self.in_flight: Counter[NodeId] = Counter()
        self.thinks_s = thinks_s

    async def route(self, request):
        """Return a."""
        return RouteTarget(A, RegionId("x"))

    async def route_excluding(self, request, excluded):
        """Return b, after some thought."""
        await asyncio.sleep(self.thinks_s)
        return RouteTarget(B, RegionId("x"))

    async def get_candidates(self, request):
        """Explain nothing."""
        return []

    def on_start(self, target, request):
        """Count an attempt."""
        self.in_flight[target.node_id] += 1

    def on_complete(self, target, request, outcome, latency_s):
        """Uncount it."""
        self.in_flight[target.node_id] -= 1


class Source:
    """A stream of equal tokens."""

    cancelled = False

    async def next_token(self):
        """Return a token."""
        return b"x"

    async def cancel(self):
        """Take note."""
        self.cancelled = True


class Wire:
    """b answers at once; a takes its time, also to end when it is called back."""

    def __init__(self, lead_s, ends_s=0.1):
        self.lead_s, self.ends_s, self.opened = lead_s, ends_s, []

    async def send(self, target, request):
        """Answer."""
        await self._travel(target)
        return InferenceResponse(b"", target.node_id, 0.0)

    async def open_stream(self, target, request):
        """Open a stream."""
        await self._travel(target)
        self.opened.append(Source())
        return self.opened[-1]

    async def probe(self, node_id):
        """Nobody probes."""
        raise NotImplementedError

    async def _travel(self, target):
        if target.node_id == A:
            try:
                await asyncio.sleep(self.lead_s)
            except asyncio.CancelledError:
                await asyncio.sleep(self.ends_s)
                raise


def gateway_of(router, wire, **hedge):
    """Return a gateway that hedges, without deadlines and retries."""
    config = GatewayConfig(timeout=None, retries=None, hedge=HedgeConfig(**hedge))
    return Gateway(router, wire, AsyncioClock(), AsyncioTasks(), random.Random(1), config=config)


class Tie(Wire):
    """Both nodes answer in the same turn of the loop."""

    def __init__(self):
        super().__init__(0.0)
        self.sent, self.answer = 0, asyncio.Event()

    async def _travel(self, target):
        self.sent += 1
        if self.sent == 2:
            asyncio.get_running_loop().call_later(0.01, self.answer.set)
        await self.answer.wait()


@pytest.mark.parametrize("streamed", [False, True])
def test_the_loser_of_a_tie_is_ended(streamed):
    """Two answers in one turn: one serves the request, and the other counts against nobody."""

    async def main():
        router, wire = Choosing(), Tie()
        gateway = gateway_of(router, wire, after_s=0.02, budget=None)
        served = await (gateway.infer_stream if streamed else gateway.infer)(REQUEST)
        assert wire.sent == 2
        assert sum(router.in_flight.values()) == streamed
        assert [source.cancelled for source in wire.opened] == [False, True] * streamed
        if streamed:
            await served.cancel()
        return router.in_flight

    assert asyncio.run(main()) == {A: 0, B: 0}


@pytest.mark.parametrize("lead_s", [0.1, 0.15, 5.0])
def test_no_hedge_for_what_ends_as_it_is_due(lead_s):
    """An answer, or the attempt's deadline, in the turn of the loop in which the hedge is due."""

    async def main():
        router = Choosing()
        config = GatewayConfig(
            TimeoutConfig(0.1 if lead_s > 1.0 else None, None),
            retries=None,
            hedge=HedgeConfig(after_s=0.1, budget=None),
        )
        gateway = Gateway(
            router,
            Wire(lead_s, 0.0),
            AsyncioClock(),
            AsyncioTasks(),
            random.Random(1),
            config=config,
        )
        served = asyncio.ensure_future(gateway.infer(REQUEST))
        await hold_up()
        with suppress(Timeout):
            await served
        return router.in_flight

    assert asyncio.run(main()) == {A: 0}


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("answer_s", [0.05, 0.1, 0.15])
def test_an_answer_in_the_turn_of_its_deadline_is_in_time(answer_s, order):
    """Whichever of the two is due first, as long as the loop comes to both at once."""

    async def main():
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        if order > 0:
            loop.call_later(answer_s, answer.set_result, "answer")
        served = asyncio.ensure_future(AsyncioTasks().within(answer, 0.1))
        await asyncio.sleep(0.0)
        if order < 0:
            loop.call_later(answer_s, answer.set_result, "answer")
        await hold_up()
        return await served

    assert asyncio.run(main()) == "answer"


async def hold_up():
    """Let tasks begin to wait, and keep the loop busy until all that they wait for is due."""
    for _ in range(3):
        await asyncio.sleep(0.0)
    time.sleep(0.2)  # noqa: ASYNC251


@pytest.mark.parametrize("streamed", [False, True])
def test_a_winner_is_ended_when_the_caller_has_gone(streamed):
    """The hedge has won and the lead is still ending when the caller cancels: both end."""

    async def main():
        router, wire = Choosing(), Wire(5.0)
        gateway = gateway_of(router, wire, after_s=0.02, budget=None)
        serve = gateway.infer_stream if streamed else gateway.infer
        task = asyncio.ensure_future(serve(REQUEST))
        await asyncio.sleep(0.06)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0.15)
        assert task.cancelled()
        assert all(source.cancelled for source in wire.opened)
        assert len(wire.opened) == streamed
        return router.in_flight

    assert asyncio.run(main()) == {A: 0, B: 0}


def test_a_hedge_that_is_not_sent_keeps_no_budget():
    """While the router thinks where to send the hedge, the lead answers."""

    async def main():
        gateway = gateway_of(Choosing(thinks_s=5.0), Wire(0.06), after_s=0.02, budget=1.0)
        await gateway.infer(REQUEST)
        return gateway._hedging[Capability.GENERATE].budget.reserve()

    assert asyncio.run(main())
