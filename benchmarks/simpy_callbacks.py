"""The fast SimPy program: no processes, no resources, callbacks on four timeouts a request.

It shows what SimPy's event queue allows to one who gives up readable processes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import simpy

from benchmarks.choice import LeastConnections
from benchmarks.draws import Draw, draws, first_turns, legs_s
from benchmarks.records import Record
from benchmarks.world import SLOTS, Size


class _Node:
    __slots__ = ("free", "queue")

    def __init__(self) -> None:
        self.free = SLOTS
        self.queue: deque[_Request] = deque()


class _Request:
    __slots__ = (
        "arrived_s",
        "begun_s",
        "index",
        "leg_s",
        "node",
        "origin",
        "program",
        "queued_s",
        "service_s",
        "tenant",
    )

    def __init__(self, program: Program, index: int, draw: Draw) -> None:
        _, self.origin, self.tenant, self.service_s, stretch = draw
        self.program = program
        self.index = index
        self.arrived_s = program.env.now
        self.node = program.balancers[self.origin].select()
        self.leg_s = program.legs_s[self.origin][self.node] * stretch
        self.queued_s = self.begun_s = 0.0
        program.after(self.leg_s, self.reach)

    def reach(self, _: simpy.Event) -> None:
        """Take a slot, or wait for one."""
        self.queued_s = self.program.env.now
        node = self.program.nodes[self.node]
        if node.free:
            node.free -= 1
            self.begin()
        else:
            node.queue.append(self)

    def begin(self) -> None:
        """Be served."""
        program = self.program
        self.begun_s = program.env.now
        program.after(self.service_s, self.leave)

    def leave(self, _: simpy.Event) -> None:
        """Give the slot to the next, and travel back."""
        program = self.program
        node = program.nodes[self.node]
        if node.queue:
            node.queue.popleft().begin()
        else:
            node.free += 1
        program.after(self.leg_s, self.end)

    def end(self, _: simpy.Event) -> None:
        """Record it."""
        program = self.program
        program.balancers[self.origin].in_flight[self.node] -= 1
        program.records.append(
            (
                self.index,
                self.tenant,
                self.origin,
                self.arrived_s,
                program.env.now,
                self.node,
                2.0 * self.leg_s,
                self.begun_s - self.queued_s,
                self.service_s,
            )
        )


class Program:
    """The benchmark world as callbacks.

    Attributes:
        env: SimPy's environment.
        records: A tuple for every request that has ended.
    """

    def __init__(self, size: Size) -> None:
        self.env = simpy.Environment()
        self.records: list[Record] = []
        self.nodes = [_Node() for _ in range(size.nodes)]
        self.balancers = [LeastConnections(size.nodes, turn) for turn in first_turns(size)]
        self.legs_s = legs_s(size)
        self._draws: Iterator[tuple[int, Draw]] = enumerate(draws(size))
        self._next: tuple[int, Draw] | None = None

    def run(self) -> None:
        """Run until the last request has ended."""
        self._await_next()
        self.env.run()

    def after(self, delay_s: float, action: Callable[[simpy.Event], None]) -> None:
        """Call *action* after *delay_s* seconds."""
        timeout = self.env.timeout(delay_s)
        assert timeout.callbacks is not None
        timeout.callbacks.append(action)

    def _await_next(self) -> None:
        self._next = next(self._draws, None)
        if self._next is not None:
            self.after(self._next[1][0] - self.env.now, self._arrive)

    def _arrive(self, _: simpy.Event) -> None:
        assert self._next is not None
        _Request(self, *self._next)
        self._await_next()
