"""The gateway's books are balanced, whatever nodes, readers and callers do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from fedsim.federation.breaker import BreakerConfig
from fedsim.federation.budgets import BudgetConfig
from fedsim.federation.contracts import (
    FederationError,
    Internal,
    NoCapacity,
    NodeId,
    NodeUnreachable,
)
from fedsim.federation.gateway import TimeoutConfig
from fedsim.federation.retries import RetryConfig
from fedsim.kernel.tasks import Cancelled
from tests.unit.federation.gateways import Diary, GatewayScene
from tests.unit.federation.stand_ins import GENERATE, request

waits = st.sampled_from([0.0, 0.1, 0.5, 1.0, 4.0])
kinds = st.sampled_from(["tokens", "tokens", "tokens", "internal", "unreachable", "full"])
behaviours = st.lists(st.tuples(waits, kinds), min_size=1, max_size=6)
tokens = st.lists(st.tuples(waits, st.sampled_from(["token", "token", "internal"])), max_size=4)
callers = st.lists(
    st.tuples(
        st.floats(0.0, 20.0),
        st.booleans(),
        st.none() | waits,
        st.none() | st.integers(0, 3),
    ),
    min_size=1,
    max_size=25,
)


def made(kind):
    """Return a new outcome of its own."""
    if kind == "internal":
        return Internal("out of memory")
    if kind == "unreachable":
        return NodeUnreachable(NodeId("a"))
    if kind == "full":
        return NoCapacity(GENERATE)
    return b"token" if kind == "token" else 1


@dataclass
class Errors(Diary):
    """Middleware that keeps the errors themselves."""

    shown: list[FederationError] = field(default_factory=list)

    def on_error(self, request, error):
        """Keep it."""
        self.shown.append(error)


class Scene(GatewayScene):
    """Nodes that make a new outcome for each attempt, so that errors can be told apart."""

    def _serve(self, node_id, request):
        wait_s, kind = super()._serve(node_id, request)
        circuit = self.breaker.troubled.get(node_id)
        assert circuit is None or circuit.probes(self.stage.clock.now()) <= 1
        return wait_s, made(kind)

    def _stream(self, node_id):
        stream = super()._stream(node_id)
        stream.script = [(wait_s, made(kind)) for wait_s, kind in stream.script]
        return stream


class Caller:
    """Somebody who makes a request, and knows how it ended."""

    def __init__(self, scene, number, arrival):
        self.scene, self.number = scene, number
        self.at_s, self.streamed, self.patience_s, self.tokens = arrival
        self.state = "not begun"
        self.error: FederationError | None = None
        self.stream_open = False

    async def call(self):
        """Make the request and take note of its end."""
        gateway = self.scene.gateway
        await self.scene.stage.clock.sleep(self.at_s)
        self.state = "in progress"
        try:
            if self.streamed:
                await self.read(await gateway.infer_stream(request(self.number)))
            else:
                await gateway.infer(request(self.number))
                self.state = "served"
        except FederationError as error:
            self.state, self.error = "failed", error
        except Cancelled:
            self.state = "cancelled"
            raise
        finally:
            self.stream_open = False

    async def read(self, stream):
        """Read some tokens or all of them."""
        self.stream_open = True
        count = 0
        while self.tokens is None or count < self.tokens:
            if await stream.next_token() is None:
                self.state = "served"
                return
            count += 1
        await stream.cancel()
        self.state = "cancelled"

    async def lose_patience(self, task):
        """Cancel the call some time after it began."""
        await self.scene.stage.clock.sleep(self.at_s + self.patience_s)
        task.cancel()


@given(
    nodes=st.dictionaries(st.sampled_from("abc"), behaviours, min_size=1),
    script=tokens,
    callers=callers,
    attempt_s=st.sampled_from([None, 0.5, 2.0]),
    request_s=st.sampled_from([None, 0.5, 3.0]),
    retries=st.sampled_from([None, 0, 1, 3]),
    budget=st.sampled_from([None, BudgetConfig(0.0), BudgetConfig(0.2)]),
    failures=st.integers(1, 3),
)
def test_books_are_balanced(
    nodes, script, callers, attempt_s, request_s, retries, budget, failures
):
    """Total = served + failed + in progress + cancelled at all times, and nothing is left over."""
    errors = Errors()
    scene = Scene(
        {name: list(nodes[name]) for name in sorted(nodes)},
        timeout=TimeoutConfig(attempt_s, request_s),
        retries=None if retries is None else RetryConfig(retries, budget=budget),
        breaker=BreakerConfig(failures, reset_timeout_s=2.0),
        middlewares=[errors],
    )
    scene.scripts = dict.fromkeys(nodes, script)
    people = [Caller(scene, number, arrival) for number, arrival in enumerate(callers)]
    for person in people:
        task = scene.stage.spawn(person.call())
        if person.patience_s is not None:
            scene.stage.spawn(person.lose_patience(task))

    def check():
        states = Counter(person.state for person in people)
        stats = scene.gateway.stats()
        assert stats.total_requests == len(people) - states["not begun"]
        assert stats.successful_requests == states["served"]
        assert stats.failed_requests == states["failed"]
        assert stats.active_streams == sum(person.stream_open for person in people)
        assert sum(scene.in_flight.values()) >= sum(scene.network.under_way.values())

    for until_s in (1.0, 5.0, 10.0, 20.0, 1000.0):
        scene.stage.env.run(until=until_s)
        check()

    assert {person.state for person in people} <= {"served", "failed", "cancelled", "not begun"}
    assert set(scene.in_flight.values()) == {0}
    assert not any(scene.network.under_way.values())
    assert all(not circuit.lapses_s for circuit in scene.breaker.troubled.values())
    assert len({id(error) for error in errors.shown}) == len(errors.shown)
    shown = {id(error) for error in errors.shown}
    assert all(id(person.error) in shown for person in people if person.error is not None)
