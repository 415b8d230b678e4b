"""What happens from the start of a fault to its end, kind by kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from fedsim.kernel.environment import Environment
from fedsim.world.faults.config import FaultConfig
from fedsim.world.faults.effects import DOWN, DRAINING, EFFECTS, UP, drain, stop, words
from fedsim.world.faults.schedules import Life
from fedsim.world.links import Link
from fedsim.world.nodes.base import Node


class Tell(Protocol):
    """Reports that a subject went from one state to another because of a fault."""

    def __call__(self, fault: FaultConfig, subject: str, before: str, after: str) -> None:
        """Report it now."""
        ...


class _Switched(ABC):
    """One state from start to end: its subjects are faulty, and then normal again."""

    def __init__(
        self, env: Environment, tell: Tell, fault: FaultConfig, subjects: Sequence[str]
    ) -> None:
        self._env = env
        self._tell = tell
        self._fault = fault
        self._subjects = subjects

    def __call__(self, lasts_s: float) -> Life:
        """Begin, and end after *lasts_s* seconds."""
        self._switch(True)
        yield self._env.timeout(lasts_s)
        self._switch(False)

    def _switch(self, begins: bool) -> None:
        normal, faulty = words(self._fault)
        before, after = (normal, faulty) if begins else (faulty, normal)
        for subject in self._subjects:
            self._tell(self._fault, subject, before, after)
        self._strike(begins)

    @abstractmethod
    def _strike(self, begins: bool) -> None:
        """Let what is struck be faulty, or normal again."""


class Steady(_Switched):
    """Nodes are faulty from start to end.

    Two faults that are alike have causes of their own, and so compose.
    """

    def __init__(
        self,
        env: Environment,
        tell: Tell,
        fault: FaultConfig,
        subjects: Sequence[str],
        nodes: Sequence[Node],
    ) -> None:
        super().__init__(env, tell, fault, subjects)
        self._nodes = nodes
        self._cause = object()
        self._effect = EFFECTS[fault.kind]

    def _strike(self, begins: bool) -> None:
        for node in self._nodes:
            self._effect(node, self._cause, self._fault, begins)


class Flapping(Steady):
    """Down and up again and again; it ends up, in the middle of a period if need be."""

    def __call__(self, lasts_s: float) -> Life:
        """Flap for *lasts_s* seconds, down first."""
        flapping = self._fault.flapping
        assert flapping is not None
        end_s = self._env.now + lasts_s
        while (now_s := self._env.now) < end_s:
            down_s = min(flapping.period_s * flapping.down_share, end_s - now_s)
            yield from super().__call__(down_s)
            up_s = min(flapping.period_s * (1.0 - flapping.down_share), end_s - self._env.now)
            if up_s <= 0.0:
                return
            yield self._env.timeout(up_s)


class Struck:
    """What a cause does to one node, reported for the node itself."""

    def __init__(self, tell: Tell, fault: FaultConfig, node: Node) -> None:
        self._tell = tell
        self._fault = fault
        self.node = node
        self._cause = object()
        self._state = UP
        self._drains = False

    def drain(self) -> None:
        """Have it refuse new requests."""
        self._drains = True
        drain(self.node, self._cause, self._fault, True)
        self._now(DRAINING)

    def stop(self) -> None:
        """Take it down."""
        stop(self.node, self._cause, self._fault, True)
        self._now(DOWN)

    def start(self) -> None:
        """Bring it up, and let it take requests again if it refused them."""
        stop(self.node, self._cause, self._fault, False)
        if self._drains:
            self._drains = False
            drain(self.node, self._cause, self._fault, False)
        self._now(UP)

    def _now(self, state: str) -> None:
        self._tell(self._fault, self.node.name, self._state, state)
        self._state = state


class Spot:
    """A spot reclamation: a notice, in which the node drains; then it is gone for a time."""

    def __init__(self, env: Environment, tell: Tell, fault: FaultConfig, node: Node) -> None:
        self._env = env
        self._notice_s = fault.notice_s
        self._struck = Struck(tell, fault, node)

    def __call__(self, lasts_s: float) -> Life:
        """Give notice, reclaim the node, and replace it *lasts_s* seconds later."""
        self._struck.drain()
        yield self._env.timeout(self._notice_s)
        self._struck.stop()
        yield self._env.timeout(lasts_s)
        self._struck.start()


class Correlated:
    """A group of nodes that goes down together, or one after the other within a spread."""

    def __init__(
        self,
        env: Environment,
        tell: Tell,
        fault: FaultConfig,
        nodes: Sequence[Node],
        rng: np.random.Generator,
    ) -> None:
        assert fault.group is not None
        self._env = env
        self._spread_s = fault.group.spread_s
        self._rng = rng
        self._struck = [Struck(tell, fault, node) for node in nodes]

    def __call__(self, lasts_s: float) -> Life:
        """Take all down within the spread, and up together *lasts_s* seconds after the start."""
        start_s = self._env.now
        end_s = start_s + lasts_s
        spread_s = min(self._spread_s, lasts_s)
        delays_s = (spread_s * self._rng.random(len(self._struck))).tolist()
        for delay_s, place in sorted(zip(delays_s, range(len(delays_s)), strict=True)):
            if start_s + delay_s > self._env.now:
                yield self._env.timeout(start_s + delay_s - self._env.now)
            self._struck[place].stop()
        if end_s > self._env.now:
            yield self._env.timeout(end_s - self._env.now)
        for struck in self._struck:
            struck.start()


class Rolling:
    """A deployment that rolls through nodes: batch by batch they drain, stop, start and load.

    The next batch begins when all nodes of the one before are ready, whatever kept them from it.
    """

    def __init__(
        self, env: Environment, tell: Tell, fault: FaultConfig, nodes: Sequence[Node]
    ) -> None:
        assert fault.rolling is not None
        self._env = env
        self._tell = tell
        self._fault = fault
        self._config = fault.rolling
        self._nodes = nodes

    def __call__(self, _: float) -> Life:
        """Roll through all nodes once."""
        normal, rolling = words(self._fault)
        self._tell(self._fault, self._fault.subject, normal, rolling)
        size = self._config.batch
        for start in range(0, len(self._nodes), size):
            if start:
                yield self._env.timeout(self._config.pause_s)
            batch = self._nodes[start : start + size]
            yield self._env.all_of([self._env.process(self._restart(node)) for node in batch])
        self._tell(self._fault, self._fault.subject, rolling, normal)

    def _restart(self, node: Node) -> Life:
        struck = Struck(self._tell, self._fault, node)
        struck.drain()
        yield self._env.any_of([node.emptied(), self._env.timeout(self._config.drain_s)])
        struck.stop()
        yield self._env.timeout(self._config.restart_s)
        struck.start()
        yield node.ready()


class Linked(_Switched):
    """Messages on some links are lost, late, or both."""

    def __init__(
        self,
        env: Environment,
        tell: Tell,
        fault: FaultConfig,
        number: int,
        links: Sequence[tuple[Link, bool, bool]],
    ) -> None:
        super().__init__(env, tell, fault, [fault.subject])
        self._number = number
        self._links = links

    def _strike(self, begins: bool) -> None:
        config = self._fault.link if begins else None
        for link, out, back in self._links:
            for way, struck in ((link.out, out), (link.back, back)):
                if struck:
                    way.set_fault(self._number, config)
