"""The pod autoscaler of AIBrix (APA)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fedsim.federation.settings import Apart, CountFrom1, Follows, Seconds
from fedsim.world.scalers.preset import SignalConfig, SignalName
from fedsim.world.scalers.ratio import RatioPreset
from fedsim.world.scalers.stages import Decrease, DownRate, RateConfig, UpRate


@dataclass(frozen=True, slots=True, kw_only=True)
class ApaUp(UpRate):
    """How fast a pool may grow: to twice its nodes at a decision."""

    nodes: CountFrom1 | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApaDown(DownRate):
    """How fast a pool may shrink: to half its nodes at a decision."""

    share: Decrease | None = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ApaRate(RateConfig):
    """How fast a pool may grow and shrink."""

    up: ApaUp | None = field(default_factory=ApaUp)
    down: ApaDown | None = field(default_factory=ApaDown)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApaSignal(SignalConfig):
    """What AIBrix goes by."""

    of: SignalName = "kv_share"


@dataclass(frozen=True, slots=True, kw_only=True)
class AibrixApa(RatioPreset):
    """The pod autoscaler of AIBrix (APA)."""

    name = "aibrix-apa"
    counts = "ordered"

    signal: Annotated[ApaSignal, Apart()]
    rate: ApaRate | None = field(default_factory=ApaRate)
    cooldown_down_s: Annotated[Seconds, Follows("cooldown_s")] = 300.0
