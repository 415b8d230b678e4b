"""Starts the faults of a run, each with randomness of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fedsim.kernel.environment import Environment
from fedsim.kernel.streams import Streams
from fedsim.world.faults.config import FaultConfig
from fedsim.world.faults.episodes import Correlated, Flapping, Linked, Rolling, Spot, Steady
from fedsim.world.faults.schedules import Episode, again_and_again, once
from fedsim.world.faults.targets import groups_of, named_nodes, share_of
from fedsim.world.links import Links
from fedsim.world.nodes.base import Node
from fedsim.world.observer import WorldObserver

_AS_ONE = frozenset({"outage"})
"""Kinds with an effect on nodes by themselves that strike what they name as one at random too."""


class FaultInjector:
    """Starts a process for each fault, or for each node or group that it strikes by itself.

    The random stream of a fault belongs to its kind, to what it strikes and to the node or group,
    so that neither other faults nor other nodes change when it does.

    Args:
        env: The environment.
        nodes: All nodes.
        regions: Names of all regions by code.
        streams: Random streams of the run.
        observer: Is told what goes wrong and when it ends.
        links: The links that faults strike, or None where they strike none.
    """

    def __init__(
        self,
        env: Environment,
        nodes: Sequence[Node],
        regions: Sequence[str],
        streams: Streams,
        observer: WorldObserver,
        links: Links | None,
    ) -> None:
        self._env = env
        self._nodes = nodes
        self._regions = regions
        self._streams = streams
        self._observer = observer
        self._links = links

    def start(self, faults: Sequence[FaultConfig]) -> None:
        """Let *faults* happen from now on."""
        named: dict[str, int] = {}
        for place, fault in enumerate(faults):
            scripted = fault.mtbf_s is None
            name = f"faults/{fault.kind}/{fault.subject}{'/scripted' if scripted else ''}"
            named[name] = number = named.get(name, -1) + 1
            name = f"{name}/{number}"
            for unit, episode in self._episodes(fault, place, name):
                if scripted:
                    self._env.process(once(self._env, fault, episode))
                else:
                    rng = self._streams.generator(f"{name}/{unit}" if unit else name)
                    self._env.process(again_and_again(self._env, fault, episode, rng))

    def _episodes(self, fault: FaultConfig, place: int, name: str) -> Iterator[tuple[str, Episode]]:
        """Yield what strikes by itself, and what happens whenever it does."""
        env, tell = self._env, self._tell
        if fault.link is not None:
            assert self._links is not None
            yield "", Linked(env, tell, fault, place, self._links.struck_by(fault.link))
            return
        nodes = named_nodes(fault, self._nodes, self._regions)
        if fault.share < 1.0:
            nodes = share_of(nodes, fault.share, self._streams.generator(f"{name}/share"))
        if fault.group is not None:
            yield from self._groups(fault, nodes, name)
        elif fault.rolling is not None:
            yield "", Rolling(env, tell, fault, nodes)
        elif fault.kind == "spot":
            for node in nodes:
                yield node.name, Spot(env, tell, fault, node)
        else:
            kind = Flapping if fault.flapping is not None else Steady
            if fault.health is not None and fault.health.lag_s > 0.0:
                for node in nodes:
                    node.endpoint.record(fault.health.lag_s)
            for unit, subjects, struck in _units(fault, nodes):
                yield unit, kind(env, tell, fault, subjects, struck)

    def _groups(
        self, fault: FaultConfig, nodes: Sequence[Node], name: str
    ) -> Iterator[tuple[str, Episode]]:
        """Yield the groups of a correlated failure; a scripted one strikes one that it draws."""
        assert fault.group is not None
        numbered = list(enumerate(groups_of(nodes, fault.group.size)))
        if fault.mtbf_s is None and len(numbered) > 1:
            drawn = self._streams.generator(f"{name}/group").integers(len(numbered))
            numbered = [numbered[int(drawn)]]
        for number, group in numbered:
            rng = self._streams.generator(f"{name}/spread/{number}")
            yield f"group-{number}", Correlated(self._env, self._tell, fault, group, rng)

    def _tell(self, fault: FaultConfig, subject: str, before: str, after: str) -> None:
        self._observer.event(
            time_s=self._env.now,
            kind="fault",
            subject=subject,
            before=before,
            after=after,
            detail=fault.kind,
        )


def _units(
    fault: FaultConfig, nodes: Sequence[Node]
) -> Iterator[tuple[str, list[str], list[Node]]]:
    """Yield the name, the subjects of events and the nodes of what is struck by itself."""
    names = [node.name for node in nodes]
    if fault.mtbf_s is None or fault.kind in _AS_ONE:
        yield "", [fault.subject] if fault.share == 1.0 else names, list(nodes)
    else:
        yield from ((name, [name], [node]) for name, node in zip(names, nodes, strict=True))
