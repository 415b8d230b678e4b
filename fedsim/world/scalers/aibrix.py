"""The pod autoscaler of AIBrix (APA)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fedsim.federation.settings import Apart, CountFrom1, Follows, Seconds, Share
from fedsim.world.scalers.preset import Preset, SignalConfig, SignalName
from fedsim.world.scalers.ratio import RatioRule
from fedsim.world.scalers.stages import Decrease, DownRate, RateConfig, UpRate
from fedsim.world.scalers.view import Rule


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
class AibrixApa(Preset):
    """The pod autoscaler of AIBrix (APA).

    Attributes:
        signal: What it goes by.
        tolerance: The pool does not change while the signal is as close to its target.
        tolerance_up: The same above the target; tolerance where not given.
        tolerance_down: The same below the target; tolerance where not given.
    """

    name = "aibrix-apa"

    signal: Annotated[ApaSignal, Apart()]
    tolerance: Share = 0.1
    tolerance_up: Annotated[Share, Follows("tolerance")] = 0.1
    tolerance_down: Annotated[Share, Follows("tolerance")] = 0.1
    rate: ApaRate | None = field(default_factory=ApaRate)
    cooldown_down_s: Annotated[Seconds, Follows("cooldown_s")] = 300.0

    def rule(self) -> Rule:
        """Return the rule, with its memory empty."""
        return RatioRule(
            signal=self.signal, up=self.tolerance_up, down=self.tolerance_down, nodes="ordered"
        )
