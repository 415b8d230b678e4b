"""What a kind of fault is: its settings, what it does while it lasts, and what reports call it.

A kind is a frozen dataclass whose fields are its settings: `fedsim.federation.settings` has their
types. The scenario file's keys, their checks and their descriptions are derived from it.
``docs/architecture.md`` shows how to add one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np

from fedsim.federation.settings import Bare, Limits
from fedsim.world.faults.schedules import Episode, Life

if TYPE_CHECKING:
    from fedsim.kernel.environment import Environment
    from fedsim.world.links import Link, LinkTrouble
    from fedsim.world.nodes.base import Node

NORMAL = "normal"
"""What the events table calls a subject that nothing is wrong with."""

Report = Callable[[str, str, str], None]
"""Reports that a subject went from one state to another now."""

Alone = Literal["node", "group", ""]
"""What strikes by itself at random: each node, each group, or all that a fault names as one."""


Probability = Annotated[float, Limits("share", at_least=0.0, at_most=1.0), Bare()]
"""A probability, 0 to 1."""


M = TypeVar("M")


def mark_of(hint: Any, kind: type[M]) -> M | None:
    """Return the mark of that kind on the type of a setting, such as its `Limits`, or None."""
    for each in get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,):
        for mark in get_args(each)[1:] if get_origin(each) is Annotated else ():
            if isinstance(mark, kind):
                return mark
    return None


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a fault of a run happens, and whom it strikes.

    Attributes:
        env: The environment.
        subject: What the events table calls what the fault names.
        nodes: The nodes that it strikes, in order; empty for a fault of links.
        partial: Whether these are only a share of the nodes that it names.
        scripted: Whether it strikes once, rather than again and again at random.
        links: Returns the links between the two ends that it names: each with whether requests
            are struck, and whether answers are.
        rng: Returns a random stream of this fault, by purpose.
        report: Reports a change of state.
    """

    env: Environment
    subject: str
    nodes: Sequence[Node]
    partial: bool
    scripted: bool
    links: Callable[[], list[tuple[Link, bool, bool]]]
    rng: Callable[[str], np.random.Generator]
    report: Report


@dataclass(frozen=True, slots=True)
class FaultKind(ABC):
    """A kind of fault; its fields are its settings.

    Raises:
        ValueError: The settings do nothing together, in the form ``what is wrong: what to do``.

    Attributes:
        name: The ``kind`` in the scenario file, and the ``detail`` in the events table.
        phrase: How ``check`` begins its sentence, such as ``slowdown of``.
        details: What the sentence says of the settings, each a template such as ``{factor} times
            slower``; one is left out while a setting that it names is None.
        targets: What may name what it strikes, of which a fault gives one: ``region``, ``pool``,
            ``pools`` and ``node``, or ``ends``.
        alone: What strikes by itself at random.
        ends_by_itself: Whether it has neither ``lasts`` nor ``mttr``.
        has_presets: Whether a published fleet can give its ``mtbf`` and ``mttr``.
        needs_probes: Whether it strikes nothing where no gateway sends probes.
        waits_for_nodes: Whether it waits for what nodes have in hand, so that its times depend on
            who serves.
    """

    name: ClassVar[str]
    phrase: ClassVar[str]
    details: ClassVar[tuple[str, ...]] = ()
    targets: ClassVar[tuple[str, ...]]
    alone: ClassVar[Alone]
    ends_by_itself: ClassVar[bool] = False
    has_presets: ClassVar[bool] = False
    needs_probes: ClassVar[bool] = False
    waits_for_nodes: ClassVar[bool] = False

    @classmethod
    def hints(cls) -> Mapping[str, Any]:
        """Return the types of its settings by field, with their units and limits."""
        hints = get_type_hints(cls, include_extras=True)
        return {each.name: hints[each.name] for each in fields(cls)}

    @abstractmethod
    def episodes(self, scene: Scene) -> Iterator[tuple[str, Episode]]:
        """Yield what strikes by itself: its name, or "" for all, and what happens each time.

        The name is part of that of the random stream which draws when it strikes.
        """

    def no_effect(self) -> str | None:
        """Return what to change where the settings have no effect, such as ``a factor above 1``."""
        return None


class NodeFault(FaultKind):
    """A fault that nodes have from its start to its end."""

    __slots__ = ()

    targets = ("region", "pool", "node")
    alone: ClassVar[Alone] = "node"

    @abstractmethod
    def states(self) -> tuple[str, str]:
        """Return what the events table calls a subject before and while it is struck."""

    @abstractmethod
    def switch(self, node: Node, cause: object, begins: bool) -> None:
        """Begin or end the fault on a node.

        *cause* is the same object at both, and another for each fault that is under way, so that
        faults of one kind compose on a node.
        """

    def prepare(self, node: Node) -> None:
        """Do what has to be done at the start of the run on a node that it may strike."""
        return

    def strike(self, env: Environment, switch: Callable[[bool], None], lasts_s: float) -> Life:
        """Strike once: *switch* begins the fault (true) or ends it, and reports that."""
        switch(True)
        yield env.timeout(lasts_s)
        switch(False)

    def episodes(self, scene: Scene) -> Iterator[tuple[str, Episode]]:
        """Yield each node at random, else all as one."""
        for node in scene.nodes:
            self.prepare(node)
        if scene.scripted or self.alone == "":
            names = {node.name for node in scene.nodes}
            single = scene.partial or scene.subject in names
            yield "", self._episode(scene, None if single else scene.subject, scene.nodes)
        else:
            for node in scene.nodes:
                yield node.name, self._episode(scene, None, [node])

    def _episode(self, scene: Scene, place: str | None, nodes: Sequence[Node]) -> Episode:
        """Return what strikes *nodes*, by the name of their *place*, or None for each by its own.

        Nodes that are absent when it begins are not struck, but by what holds a whole place down,
        which strikes those that come meanwhile too.
        """
        from fedsim.world.nodes.base import OfPlace

        everywhere = place is not None and self.alone == ""
        cause = OfPlace() if everywhere else object()
        struck: list[Node] = []

        def switch(begins: bool) -> None:
            if begins:
                struck[:] = [node for node in nodes if everywhere or node.present]
            before, after = self.states() if begins else reversed(self.states())
            for name in [node.name for node in struck] if place is None else [place]:
                scene.report(name, before, after)
            for node in struck:
                self.switch(node, cause, begins)

        return lambda lasts_s: self.strike(scene.env, switch, lasts_s)


class LinkFault(FaultKind):
    """A fault of the messages between two ends."""

    __slots__ = ()

    targets = ("ends",)
    alone = ""

    @abstractmethod
    def states(self) -> tuple[str, str]:
        """Return what the events table calls a subject before and while it is struck."""

    @abstractmethod
    def trouble(self) -> LinkTrouble:
        """Return what happens to messages while it lasts."""

    def episodes(self, scene: Scene) -> Iterator[tuple[str, Episode]]:
        """Yield all links between the two ends as one."""
        links, cause = scene.links(), object()

        def switch(begins: bool) -> None:
            before, after = self.states() if begins else reversed(self.states())
            scene.report(scene.subject, before, after)
            trouble = self.trouble() if begins else None
            for link, out, back in links:
                for way, struck in ((link.out, out), (link.back, back)):
                    if struck:
                        way.set_trouble(cause, trouble)

        def episode(lasts_s: float) -> Life:
            switch(True)
            yield scene.env.timeout(lasts_s)
            switch(False)

        yield "", episode
