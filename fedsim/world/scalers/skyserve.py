"""The autoscaler of SkyServe, by the rate of requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from fedsim.federation.settings import Apart, PositiveSeconds, Seconds
from fedsim.world.scalers.preset import Preset, SignalConfig
from fedsim.world.scalers.ratio import RatioRule
from fedsim.world.scalers.stages import DelayConfig
from fedsim.world.scalers.view import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyServeSignal(SignalConfig):
    """What SkyServe goes by: the requests of the last minute, by those that a replica can take."""

    of: Literal["arrival_rate"] = "arrival_rate"
    window_s: PositiveSeconds = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyServeDelay(DelayConfig):
    """How long decisions must be alike before the pool changes."""

    up_s: Seconds = 300.0
    down_s: Seconds = 1200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyServe(Preset):
    """The autoscaler of SkyServe (SkyPilot).

    Attributes:
        signal: What it goes by.
    """

    name = "skyserve"
    by_node = False

    signal: Annotated[SkyServeSignal, Apart()]
    every_s: PositiveSeconds = 20.0
    delay: SkyServeDelay | None = field(default_factory=SkyServeDelay)

    def rule(self) -> Rule:
        """Return the rule, with its memory empty."""
        return RatioRule(signal=self.signal, up=0.0, down=0.0, nodes="total")
