"""Faults: what goes wrong with nodes, as SimPy processes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from fedsim.kernel.environment import Environment
from fedsim.kernel.streams import Streams
from fedsim.world.config import FaultConfig
from fedsim.world.nodes.base import Node
from fedsim.world.observer import WorldObserver

Switch = Callable[[Node, object, bool], None]
Life = Generator[Any, Any, None]


class FaultInjector:
    """Starts one process for each scripted fault, and one for each node of a random one.

    Args:
        env: The environment.
        nodes: All nodes.
        regions: Names of all regions by code.
        streams: Random streams of the run.
        observer: Is told what goes wrong and when it ends.
    """

    def __init__(
        self,
        env: Environment,
        nodes: Sequence[Node],
        regions: Sequence[str],
        streams: Streams,
        observer: WorldObserver,
    ) -> None:
        self._env = env
        self._nodes = nodes
        self._regions = regions
        self._streams = streams
        self._observer = observer

    def start(self, faults: Sequence[FaultConfig]) -> None:
        """Let *faults* happen from now on."""
        named: dict[str, int] = {}
        for fault in faults:
            struck = self.struck_by(fault)
            if fault.mtbf_s is None:
                self._env.process(self._scripted(fault, struck))
                continue
            name = f"faults/{fault.kind}/{_subject(fault)}"
            named[name] = number = named.get(name, -1) + 1
            for node in struck:
                self._env.process(self._random(f"{name}/{number}/{node.name}", fault, node))

    def struck_by(self, fault: FaultConfig) -> list[Node]:
        """Return the nodes that a fault strikes."""
        return [
            node
            for node in self._nodes
            if fault.node == node.name
            or fault.pool == node.pool.name
            or fault.region == self._regions[node.region]
        ]

    def _scripted(self, fault: FaultConfig, struck: Sequence[Node]) -> Life:
        assert fault.at_s is not None
        assert fault.lasts_s is not None
        subject, cause = _subject(fault), object()
        if fault.at_s > 0.0:  # else before the first arrival, which may be at 0 as well
            yield self._env.timeout(fault.at_s)
        self._switch(fault, subject, struck, cause, True)
        yield self._env.timeout(fault.lasts_s)
        self._switch(fault, subject, struck, cause, False)

    def _random(self, stream: str, fault: FaultConfig, node: Node) -> Life:
        """Let one node go up and down for ever, with exponential times.

        The stream belongs to what the fault strikes and to the node, so that neither other faults
        nor other nodes change when it does.
        """
        assert fault.mtbf_s is not None
        assert fault.mttr_s is not None
        rng, cause = self._streams.generator(stream), object()
        while True:
            yield self._env.timeout(float(rng.exponential(fault.mtbf_s)))
            self._switch(fault, node.name, [node], cause, True)
            yield self._env.timeout(float(rng.exponential(fault.mttr_s)))
            self._switch(fault, node.name, [node], cause, False)

    def _switch(
        self,
        fault: FaultConfig,
        subject: str,
        struck: Sequence[Node],
        cause: object,
        begins: bool,
    ) -> None:
        """Let *fault* begin or end; two faults that are alike have causes of their own."""
        normal, faulty = _words(fault)
        before, after = (normal, faulty) if begins else (faulty, normal)
        self._observer.event(self._env.now, "fault", subject, "", before, after, fault.kind)
        for node in struck:
            if fault.kind == "slowdown":
                node.set_slowdown(cause, fault.factor if begins else None)
            elif fault.kind == "errors":
                node.set_error_probability(cause, fault.probability if begins else None)
            elif begins:
                node.take_down(cause)
            else:
                node.bring_up(cause)


def _subject(fault: FaultConfig) -> str:
    """Return the name of what a fault strikes."""
    return fault.node or fault.pool or fault.region or ""


def _words(fault: FaultConfig) -> tuple[str, str]:
    """Return how the events table calls the normal state and the faulty one."""
    if fault.kind == "slowdown":
        return "normal", f"slow x{fault.factor:g}"
    if fault.kind == "errors":
        return "normal", f"errors {100.0 * fault.probability:g}%"
    return "up", "down"
