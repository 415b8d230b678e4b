"""Panic mode: where too few nodes are usable, all are used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedsim.federation.runtime import Clock, Observer
from fedsim.federation.scopes import Scope
from fedsim.federation.settings import Share

if TYPE_CHECKING:
    from fedsim.federation.fleet import Fleet


@dataclass(frozen=True, slots=True)
class PanicConfig:
    """Settings of panic mode.

    Attributes:
        threshold: Health and ejections are ignored while the share of nodes, of those ready for a
            capability, that are neither unhealthy nor ejected is below it; with levels, of the
            nodes of a level, as long as all levels together do not carry the load.
    """

    threshold: Share = 0.5


Members = Sequence[int]
"""Positions of the nodes that are ready for a scope, ascending."""

Rule = Callable[[Members, Sequence[bool], float], frozenset[int]]
"""Says which members are used whatever their health, by which of them are usable."""


class SetsPanicRule:
    """A strategy with a rule of its own for panic mode."""

    def panicking(
        self, fleet: Fleet, members: Members, usable: Sequence[bool], threshold: float
    ) -> frozenset[int]:
        """Return the members that panic mode opens, given which of them are usable."""
        raise NotImplementedError


def all_or_none(members: Members, usable: Sequence[bool], threshold: float) -> frozenset[int]:
    """Return all members where fewer than *threshold* of them are usable, else none."""
    due = bool(usable) and sum(usable) / len(usable) < threshold
    return frozenset(members if due else ())


class PanicMode:
    """Knows for which capabilities and models a gateway panics, and over which nodes.

    It panics while the share of usable nodes among those that are ready for the capability, and the
    model where requests name one, is below the threshold: few nodes would drown in the load of all.
    Usable is a node that is neither unhealthy nor ejected. In panic neither counts; open circuits
    still do, and so do privacy and quality of service. With the threshold of 50 %, two usable nodes
    of four are enough, one is not. A strategy with levels has a rule of its own, by which one level
    may be in panic and another not.

    Source: Envoy's panic threshold, whose default is 50 % as well.

    Attributes:
        rule: Says which nodes panic opens.
        opened: By scope, the nodes that it opened when it was last updated.
    """

    def __init__(self, clock: Clock, threshold: float, observer: Observer | None = None) -> None:
        self._clock = clock
        self._threshold = threshold
        self._observer = observer
        self.rule: Rule = all_or_none
        self.opened: dict[Scope, frozenset[int]] = {}

    def due(self, members: Members, usable: Sequence[bool]) -> frozenset[int]:
        """Return the members that panic opens, of which these are usable."""
        return self.rule(members, usable, self._threshold)

    def update(self, scope: Scope, members: Members, usable: Sequence[bool]) -> bool:
        """Update which nodes panic opens; return whether they are others than before."""
        before, due = self.opened.get(scope, frozenset()), self.due(members, usable)
        self.opened[scope] = due
        if self._observer is not None and bool(before) is not bool(due):
            reason = f"{sum(usable)} of {len(usable)} nodes are usable"
            self._observer.panic_changed(self._clock.now(), scope, bool(due), reason)
        return due != before
