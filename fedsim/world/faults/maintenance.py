"""Planned maintenance: draining nodes, and deployments that roll through them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedsim.federation.settings import CountFrom1, Seconds
from fedsim.world.faults.faulted import DRAINING, UP, FaultedNode
from fedsim.world.faults.kind import NORMAL, FaultKind, NodeFault, Scene
from fedsim.world.faults.schedules import Episode, Life

if TYPE_CHECKING:
    from fedsim.world.nodes.base import Node


@dataclass(frozen=True, slots=True)
class Drain(NodeFault):
    """Nodes refuse new requests and finish those that they have; the catalog says so."""

    name = "drain"
    phrase = "drain of"

    def states(self) -> tuple[str, str]:
        return UP, DRAINING

    def switch(self, node: Node, cause: object, begins: bool) -> None:
        node.set_draining(cause, begins)


@dataclass(frozen=True, slots=True)
class RollingDeployment(FaultKind):
    """Nodes are restarted batch by batch: each drains, stops, starts and loads.

    Attributes:
        batch: Nodes that are restarted at a time.
        pause_s: From the moment at which a batch is ready to the next batch.
        drain_s: Longest that a node may take to finish old requests; the rest fails.
        restart_s: From the stop of a node to its start; the pool's cold_start comes on top.
    """

    name = "rolling_deployment"
    phrase = "rolling deployment through"
    details = ("{batch} at a time",)
    targets = ("region", "pool")
    alone = ""
    ends_by_itself = True
    waits_for_nodes = True

    batch: CountFrom1 = 1
    pause_s: Seconds = 0.0
    drain_s: Seconds = 30.0
    restart_s: Seconds = 10.0

    def episodes(self, scene: Scene) -> Iterator[tuple[str, Episode]]:
        yield "", lambda _: self._roll(scene)

    def _roll(self, scene: Scene) -> Life:
        """Roll through all nodes once.

        The next batch begins when all nodes of the one before are up, whatever kept them from it.
        """
        env, nodes = scene.env, scene.nodes
        scene.report(scene.subject, NORMAL, "rolling")
        for start in range(0, len(nodes), self.batch):
            if start:
                yield env.timeout(self.pause_s)
            batch = nodes[start : start + self.batch]
            yield env.all_of([env.process(self._restart(scene, node)) for node in batch])
        scene.report(scene.subject, "rolling", NORMAL)

    def _restart(self, scene: Scene, node: Node) -> Life:
        if not node.present:
            return
        env, faulted = scene.env, FaultedNode(scene.report, node)
        faulted.drain()
        yield env.any_of([node.emptied(), env.timeout(self.drain_s)])
        faulted.stop()
        yield env.timeout(self.restart_s)
        faulted.start()
        if node.present:
            yield node.ready()
