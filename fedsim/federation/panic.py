"""Panic mode: where too few nodes are usable, all are used."""

from __future__ import annotations

from collections.abc import Sequence

from fedsim.federation.contracts import Capability
from fedsim.federation.runtime import Clock, Observer


class PanicMode:
    """Knows for which capabilities a gateway panics.

    It panics while the share of usable nodes among those that are ready for the capability is
    below the threshold: few nodes would drown in the load of all. Usable is a node that is neither
    unhealthy nor ejected. In panic neither counts; open circuits still do, and so do privacy and
    quality of service. With the threshold of 50 %, two usable nodes of four are enough, one is
    not.

    Source: Envoy's panic threshold, whose default is 50 % as well.
    """

    def __init__(self, clock: Clock, threshold: float, observer: Observer | None = None) -> None:
        self._clock = clock
        self._threshold = threshold
        self._observer = observer
        self._panicking: dict[Capability, bool] = {}

    def is_due(self, usable: Sequence[bool]) -> bool:
        """Return whether there is panic over nodes of which these are usable."""
        return bool(usable) and sum(usable) / len(usable) < self._threshold

    def panics(self, capability: Capability) -> bool:
        """Return whether there was panic when it was last noted."""
        return self._panicking.get(capability, False)

    def note(self, capability: Capability, usable: Sequence[bool]) -> bool:
        """Take note of how many nodes are usable; return whether panic began or ended."""
        due = self.is_due(usable)
        if due is self.panics(capability):
            return False
        self._panicking[capability] = due
        if self._observer is not None:
            reason = f"{sum(usable)} of {len(usable)} nodes are usable"
            self._observer.panic_changed(self._clock.now(), capability, due, reason)
        return True
