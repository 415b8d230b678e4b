"""Rules that go by the ratio of a signal to its target, and the products that are such."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from fedsim.federation.settings import Apart, Follows, Share
from fedsim.world.scalers.preset import BY_NODE, Preset, SignalConfig
from fedsim.world.scalers.stages import RateConfig, StabiliseConfig, tolerated
from fedsim.world.scalers.view import Decision, PoolView, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioRule:
    """As many nodes as bring the signal to its target.

    Attributes:
        signal: The signal.
        up: Tolerance above the target, as a share of it.
        down: Tolerance below the target, as a share of it.
        nodes: What is counted: ``ready``, the mean of ready nodes, where those that are not ready
            count as idle when the pool would grow; ``ordered``, the mean times the nodes ordered;
            ``total``, the pool's sum, whoever has it.
    """

    signal: SignalConfig
    up: float
    down: float
    nodes: str

    def wanted(self, view: PoolView) -> Decision:
        """Return the number of nodes, or the present one within the tolerance."""
        signal, current = self.signal, view.ordered
        if view.total is None or not view.ready:
            return Decision(current)
        value, wanted = self._of_pool(view) if self._sums(view) else self._of_nodes(view)
        if wanted == current:
            return Decision(current)
        return Decision(
            wanted, f"{signal.of} {value:.4g} for a target of {signal.target:.4g}: {wanted}"
        )

    def _sums(self, view: PoolView) -> bool:
        return self.nodes == "total" or self.signal.of == "arrival_rate"

    def _of_pool(self, view: PoolView) -> tuple[float, int]:
        """Return the sum by node ordered, and the nodes that it takes."""
        total, target, current = view.total or 0.0, self.signal.target, view.ordered
        if tolerated(total / (target * current), self.up, self.down):
            return total / current, current
        return total / current, math.ceil(total / target)

    def _of_nodes(self, view: PoolView) -> tuple[float, int]:
        """Return the mean, and the nodes that it takes, as Kubernetes computes them."""
        current, target = view.ordered, self.signal.target
        known = [node.value for node in view.nodes if node.value is not None]
        of_nodes = self.signal.of in BY_NODE
        if of_nodes and not known:
            return 0.0, current
        ready = len(known) if of_nodes else view.ready
        mean = math.fsum(known) / ready if of_nodes else (view.total or 0.0) / ready
        ratio = mean / target
        if self.nodes == "ordered":
            return mean, current if tolerated(ratio, self.up, self.down) else math.ceil(
                current * ratio
            )
        silent = view.ready - ready  # of these nothing is known yet
        if not of_nodes or (silent == 0 and (ratio <= 1.0 or ready == current)):
            inside = tolerated(ratio, self.up, self.down)
            return mean, current if inside else math.ceil(ratio * ready)
        counted, assumed = ready + silent, silent * target
        if ratio >= 1.0:
            counted, assumed = current, 0.0
        spread = (math.fsum(known) + assumed) / counted / target
        wanted = math.ceil(spread * counted)
        away = (spread - 1.0) * (ratio - 1.0) < 0.0 or (wanted - current) * (ratio - 1.0) < 0.0
        return mean, current if away or tolerated(spread, self.up, self.down) else wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioPreset(Preset):
    """A product that goes by the ratio of its signal to the target, with a tolerance.

    Attributes:
        signal: What it goes by.
        tolerance: The pool does not change while the signal is as close to its target.
        tolerance_up: The same above the target; tolerance where not given.
        tolerance_down: The same below the target; tolerance where not given.
    """

    counts: ClassVar[str] = "ready"
    """The ``nodes`` of its `RatioRule`."""

    signal: Annotated[SignalConfig, Apart()]
    tolerance: Share = 0.1
    tolerance_up: Annotated[Share, Follows("tolerance")] = 0.1
    tolerance_down: Annotated[Share, Follows("tolerance")] = 0.1

    def rule(self) -> Rule:
        """Return the rule, with its memory empty."""
        return RatioRule(
            signal=self.signal, up=self.tolerance_up, down=self.tolerance_down, nodes=self.counts
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HpaSignal(SignalConfig):
    """What a HorizontalPodAutoscaler goes by."""

    lag_s: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hpa(RatioPreset):
    """The HorizontalPodAutoscaler of Kubernetes, autoscaling/v2."""

    name = "hpa"

    signal: Annotated[HpaSignal, Apart()]
    rate: RateConfig | None = field(default_factory=RateConfig)
    stabilise: StabiliseConfig | None = field(default_factory=StabiliseConfig)
