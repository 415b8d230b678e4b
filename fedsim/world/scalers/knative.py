"""The autoscaler of Knative, with a stable and a panic window."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

from fedsim.federation.settings import Apart, Limits, PositiveSeconds
from fedsim.world.scalers.preset import Preset, SignalConfig
from fedsim.world.scalers.view import Decision, PoolView, Rule

Factor = Annotated[float, Limits(above=1.0)]
InnerShare = Annotated[float, Limits("share", above=0.0, at_most=1.0)]


class KnativeRule:
    """What the average of the window takes, and in a panic never fewer than at its worst."""

    def __init__(self, settings: Knative) -> None:
        self._settings = settings
        self._panic_s: float | None = None
        self._highest = 0
        self._first = True

    def wanted(self, view: PoolView) -> Decision:
        """Return the number of nodes."""
        settings, now_s = self._settings, view.time_s
        if view.total is None or view.recent is None:
            return Decision(view.ordered)
        ready = max(view.ready, 1)
        if self._first and view.ready > 1:  # it does not know what was before
            self._panic_s, self._highest = now_s, view.ready
        self._first = False
        target = settings.signal.target
        stable, panic = math.ceil(view.total / target), math.ceil(view.recent / target)
        over = panic / ready >= settings.panic_threshold
        if over:
            self._panic_s = now_s
        elif self._panic_s is not None and now_s > self._panic_s + settings.signal.window_s:
            self._panic_s, self._highest = None, 0
        most, fewest = (
            math.ceil(settings.up_factor * ready),
            math.floor(ready / settings.down_factor),
        )
        stable, panic = (min(max(each, fewest), most) for each in (stable, panic))
        if self._panic_s is None:
            mean = f"{settings.signal.of} {view.total:.4g} for {target:.4g} a node: {stable}"
            return Decision(stable, mean)
        self._highest = max(self._highest, stable, panic)
        reason = f"panic: {settings.signal.of} {view.recent:.4g} for {target:.4g} a node: "
        return Decision(self._highest, f"{reason}{self._highest}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnativeSignal(SignalConfig):
    """What Knative goes by: the window is the stable one."""

    of: Literal["in_flight", "arrival_rate"] = "in_flight"
    target: Annotated[float, Apart()] = 70.0
    window_s: PositiveSeconds = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Knative(Preset):
    """The autoscaler of Knative Serving (KPA).

    Attributes:
        signal: What it goes by.
        panic_window: The panic window, as a share of the stable one.
        panic_threshold: It panics when the panic window takes so many times the ready nodes.
        up_factor: Most nodes that it may want, as a multiple of the ready ones.
        down_factor: Fewest nodes that it may want: the ready ones divided by it.
    """

    name = "knative"
    by_node = False

    signal: Annotated[KnativeSignal, Apart()] = field(default_factory=KnativeSignal)
    panic_window: InnerShare = 0.1
    panic_threshold: Factor = 2.0
    up_factor: Factor = 1000.0
    down_factor: Factor = 2.0
    every_s: PositiveSeconds = 2.0

    @property
    def short_s(self) -> float:
        """The panic window, in seconds."""
        return self.panic_window * self.signal.window_s

    def rule(self) -> Rule:
        """Return the rule, with its memory empty."""
        return KnativeRule(self)
