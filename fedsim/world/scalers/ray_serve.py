"""The autoscaler of Ray Serve."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

from fedsim.federation.settings import Apart, Positive, PositiveSeconds, Seconds
from fedsim.world.scalers.preset import Preset, SignalConfig
from fedsim.world.scalers.stages import DelayConfig
from fedsim.world.scalers.view import Decision, PoolView, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class RayServeRule:
    """As many nodes as bring the ongoing requests of each to the target, by a factor.

    Attributes:
        signal: The signal.
        up_factor: By how much of the error the pool grows.
        down_factor: By how much of the error it shrinks.
    """

    signal: SignalConfig
    up_factor: float
    down_factor: float

    def wanted(self, view: PoolView) -> Decision:
        """Return the number of nodes."""
        ready = view.ready
        if view.total is None or not ready:
            return Decision(view.ordered)
        ratio = view.total / (self.signal.target * ready)
        factor = self.up_factor if ratio > 1.0 else self.down_factor
        wanted = math.ceil(ready + factor * (ready * ratio - ready))
        if ratio < 1.0 and wanted == ready and math.ceil(ready * ratio) < ready:
            wanted -= 1  # a factor below 1 and rounding up would keep it for ever
        if wanted == view.ordered:
            return Decision(wanted)
        reason = f"{self.signal.of} {view.total:.4g} for {self.signal.target:.4g} a node: {wanted}"
        return Decision(wanted, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class RayServeSignal(SignalConfig):
    """What Ray Serve goes by: the requests that replicas serve or have waiting."""

    of: Literal["in_flight"] = "in_flight"
    target: Annotated[float, Apart()] = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RayServeDelay(DelayConfig):
    """How long decisions must be alike before the pool changes."""

    up_s: Seconds = 30.0
    down_s: Seconds = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RayServe(Preset):
    """The autoscaler of Ray Serve.

    Attributes:
        signal: What it goes by.
        up_factor: Share of the missing nodes that it orders at a time.
        down_factor: Share of the superfluous nodes that it gives up at a time.
    """

    name = "ray-serve"
    beyond = True
    by_node = False

    signal: Annotated[RayServeSignal, Apart()] = field(default_factory=RayServeSignal)
    up_factor: Positive = 1.0
    down_factor: Positive = 1.0
    every_s: PositiveSeconds = 0.1
    delay: RayServeDelay | None = field(default_factory=RayServeDelay)

    def rule(self) -> Rule:
        """Return the rule, with its memory empty."""
        return RayServeRule(
            signal=self.signal, up_factor=self.up_factor, down_factor=self.down_factor
        )
