"""Starts the faults of a run, each with randomness of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedsim.kernel.environment import Environment
from fedsim.kernel.streams import Streams
from fedsim.world.faults.config import FaultConfig
from fedsim.world.faults.kind import Report, Scene
from fedsim.world.faults.schedules import RandomTimes, again_and_again, once
from fedsim.world.links import Link, Links
from fedsim.world.nodes.base import Node
from fedsim.world.observer import WorldObserver


class FaultInjector:
    """Starts a process for each fault, or for each node or group that it strikes by itself.

    The random stream of a fault belongs to its kind, to what it strikes and to the node or group,
    so that neither other faults nor other nodes change when it does.

    Args:
        env: The environment.
        nodes: All nodes.
        regions: Names of all regions by code.
        streams: Random streams of the run.
        observer: Receives an event when a fault begins, changes and ends.
        links: The links that faults strike.
    """

    def __init__(
        self,
        env: Environment,
        nodes: Sequence[Node],
        regions: Sequence[str],
        streams: Streams,
        observer: WorldObserver,
        links: Links,
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
        for fault in faults:
            name = f"faults/{fault.kind.name}/{fault.subject}"
            if fault.scripted:
                name += "/scripted"
            named[name] = number = named.get(name, -1) + 1
            self._start(fault, f"{name}/{number}")

    def _start(self, fault: FaultConfig, name: str) -> None:
        env, scene = self._env, self._scene(fault, name)
        if not (scene.nodes or (fault.ends is not None and scene.links())):
            return  # no event either: whatever it names is not there
        down = None if fault.mttr_s is None else RandomTimes(fault.mttr_s, fault.down)
        for unit, episode in fault.kind.episodes(scene):
            if fault.mtbf_s is None:
                assert fault.at_s is not None
                env.process(once(env, fault.at_s, fault.lasts_s or 0.0, episode))
            else:
                up = RandomTimes(fault.mtbf_s, fault.up)
                rng = self._streams.generator(f"{name}/{unit}" if unit else name)
                env.process(again_and_again(env, up, down, episode, rng))

    def _scene(self, fault: FaultConfig, name: str) -> Scene:
        def rng(purpose: str) -> np.random.Generator:
            return self._streams.generator(f"{name}/{purpose}")

        def links() -> list[tuple[Link, bool, bool]]:
            assert fault.ends is not None
            return self._links.between(fault.ends, fault.one_way)

        nodes = self._named(fault)
        if fault.share < 1.0:
            nodes = _share_of(nodes, fault.share, rng("share"))
        return Scene(
            self._env,
            fault.subject,
            nodes,
            fault.share < 1.0,
            fault.scripted,
            links,
            rng,
            self._reporter(fault.kind.name),
        )

    def _named(self, fault: FaultConfig) -> list[Node]:
        """Return the nodes of the region, pool or pools that a fault names, or its one node."""
        return [
            node
            for node in self._nodes
            if fault.node == node.name
            or fault.pool == node.pool.name
            or fault.region == self._regions[node.region]
            or node.pool.name in fault.pools
        ]

    def _reporter(self, kind: str) -> Report:
        def report(subject: str, before: str, after: str) -> None:
            self._observer.event(
                time_s=self._env.now,
                kind="fault",
                subject=subject,
                before=before,
                after=after,
                detail=kind,
            )

        return report


def _share_of(nodes: Sequence[Node], share: float, rng: np.random.Generator) -> list[Node]:
    """Return a random share of *nodes*, rounded, at least one of them, in their own order.

    Of nodes that a scaler may order later it is a share of its own, so that those of the start are
    struck as if there were no scaler.
    """
    chosen: list[Node] = []
    for part in ([node for node in nodes if each is node.present] for each in (True, False)):
        count = max(1 - len(chosen), round(share * len(part)))
        chosen += [part[index] for index in sorted(rng.permutation(len(part))[:count].tolist())]
    return chosen
