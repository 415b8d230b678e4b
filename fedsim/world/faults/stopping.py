"""Faults that stop nodes: outage, crash, flapping, correlated failure, spot reclamation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np

from fedsim.federation.settings import CountFrom1, Example, Limits, PositiveSeconds, Seconds
from fedsim.world.faults.faulted import DOWN, UP, FaultedNode
from fedsim.world.faults.kind import FaultKind, NodeFault, Scene
from fedsim.world.faults.schedules import Episode, Life

if TYPE_CHECKING:
    from fedsim.kernel.environment import Environment
    from fedsim.world.nodes.base import Node


class _Stop(NodeFault):
    """A fault that takes nodes down."""

    __slots__ = ()

    def states(self) -> tuple[str, str]:
        return UP, DOWN

    def switch(self, node: Node, cause: object, begins: bool) -> None:
        if begins:
            node.take_down(cause)
        else:
            node.bring_up(cause)


@dataclass(frozen=True, slots=True)
class Outage(_Stop):
    """All nodes of what is named stop together; gateways and clients live on."""

    name = "outage"
    phrase = "outage of"
    alone = ""


@dataclass(frozen=True, slots=True)
class Crash(_Stop):
    """Nodes stop and are restarted: once, or at random again and again, each by itself."""

    name = "crash"
    phrase = "crash of"
    has_presets = True


@dataclass(frozen=True, slots=True)
class Flapping(_Stop):
    """Nodes go down and up, and down and up again, for as long as it lasts.

    It ends with the nodes up, in the middle of a period if need be.

    Attributes:
        period_s: From one time down to the next.
        down_share: Share of each period, from its start, in which they are down.
    """

    name = "flapping"
    phrase = "flapping of"
    details = ("down for {down_share} of every {period_s}",)

    period_s: Annotated[PositiveSeconds, Example("20s")]
    down_share: Annotated[float, Limits("share", above=0.0, at_most=0.99)] = 0.5

    def strike(self, env: Environment, switch: Callable[[bool], None], lasts_s: float) -> Life:
        end_s = env.now + lasts_s
        while (now_s := env.now) < end_s:
            switch(True)
            yield env.timeout(min(self.period_s * self.down_share, end_s - now_s))
            switch(False)
            up_s = min(self.period_s * (1.0 - self.down_share), end_s - env.now)
            if up_s <= 0.0:
                return
            yield env.timeout(up_s)


@dataclass(frozen=True, slots=True)
class Correlated(FaultKind):
    """A group of nodes of one or several pools goes down together.

    Attributes:
        group_size: Consecutive nodes that make up a group, such as a rack; at random each group
            goes down by itself, scripted one that the seed decides. All in one where not given.
        spread_s: Each node goes down at a random moment of so long a time; all come back together.
    """

    name = "correlated"
    phrase = "correlated failure of"
    details = ("in groups of {group_size}",)
    targets = ("region", "pool", "pools")
    alone = "group"

    group_size: Annotated[CountFrom1, Example(4)] | None = None
    spread_s: Seconds = 0.0

    def episodes(self, scene: Scene) -> Iterator[tuple[str, Episode]]:
        groups = list(enumerate(groups_of(scene.nodes, self.group_size)))
        if scene.scripted and len(groups) > 1:
            groups = [groups[int(scene.rng("group").integers(len(groups)))]]
        for number, group in groups:
            rng = scene.rng(f"spread/{number}")
            yield f"group-{number}", _Fall(scene, group, self.spread_s, rng)


class _Fall:
    """A group of nodes that goes down together, or one after the other within a spread."""

    def __init__(
        self, scene: Scene, nodes: Sequence[Node], spread_s: float, rng: np.random.Generator
    ) -> None:
        self._env = scene.env
        self._spread_s = spread_s
        self._rng = rng
        self._nodes = [FaultedNode(scene.report, node) for node in nodes]

    def __call__(self, lasts_s: float) -> Life:
        """Take all down within the spread, and up together *lasts_s* seconds after the start."""
        start_s = self._env.now
        end_s = start_s + lasts_s
        spread_s = min(self._spread_s, lasts_s)
        delays_s = (spread_s * self._rng.random(len(self._nodes))).tolist()
        for delay_s, place in sorted(zip(delays_s, range(len(delays_s)), strict=True)):
            if start_s + delay_s > self._env.now:
                yield self._env.timeout(start_s + delay_s - self._env.now)
            self._nodes[place].stop()
        if end_s > self._env.now:
            yield self._env.timeout(end_s - self._env.now)
        for node in self._nodes:
            node.start()


@dataclass(frozen=True, slots=True)
class Spot(FaultKind):
    """Nodes are reclaimed: after a notice, in which they drain, they are gone for a time.

    Attributes:
        notice_s: From the notice to the end; at and mtbf are about the notice, lasts and mttr about
            the time without the node.
    """

    name = "spot"
    phrase = "spot reclamation of"
    details = ("with {notice_s} of notice",)
    targets = ("region", "pool", "node")
    alone = "node"

    notice_s: Seconds = 120.0

    def episodes(self, scene: Scene) -> Iterator[tuple[str, Episode]]:
        for node in scene.nodes:
            yield node.name, self._episode(scene.env, FaultedNode(scene.report, node))

    def _episode(self, env: Environment, node: FaultedNode) -> Episode:
        def reclaim(lasts_s: float) -> Life:
            node.drain()
            yield env.timeout(self.notice_s)
            node.stop()
            yield env.timeout(lasts_s)
            node.start()

        return reclaim


def groups_of(nodes: Sequence[Node], size: int | None) -> list[list[Node]]:
    """Return groups of *size* consecutive nodes, the last one of the rest; None for one group."""
    step = size or max(len(nodes), 1)
    return [list(nodes[start : start + step]) for start in range(0, len(nodes), step)]
