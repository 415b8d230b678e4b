"""A pool's scaler, as frozen values that a scenario fills in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from fedsim.federation.settings import Apart
from fedsim.workload.distributions import Distribution
from fedsim.world.scalers.preset import Preset, SignalConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSignal(SignalConfig):
    """What a user's own scaler is shown as the total of its pool."""

    target: Annotated[float, Apart()] = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnScaler:
    """A user's own scaler.

    Attributes:
        plugin: ``module:Class``.
        every_s: Time between two decisions, in seconds.
        signal: What is measured for it, and over which window.
        settings: What its context has as settings.
    """

    short_s: ClassVar[float | None] = None
    keeps_highest: ClassVar[bool] = False
    by_node: ClassVar[bool] = False
    needs_engines: ClassVar[bool] = False

    plugin: str
    every_s: float = 15.0
    signal: OwnSignal = field(default_factory=OwnSignal)
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalerConfig:
    """How the number of nodes of a pool changes.

    Attributes:
        decides: The preset with its settings, or a user's own scaler.
        max: Most nodes that are paid for at once, those that drain included.
        min: Fewest nodes, >= 1.
        start: Time in seconds from a node's order until it is ready; None takes the pool's cold
            start, and no time where it has none.
        drain_s: Longest time that a node may take to finish what it has, in seconds.
        advisory: Whether decisions are recorded only.
    """

    decides: Preset | OwnScaler
    max: int
    min: int = 1
    start: Distribution | None = None
    drain_s: float = 120.0
    advisory: bool = False

    @property
    def own(self) -> OwnScaler | None:
        """The user's own scaler, or None where it is a preset."""
        return self.decides if isinstance(self.decides, OwnScaler) else None

    @property
    def decided_by(self) -> str:
        """The preset, or the user's own class."""
        return self.decides.plugin if isinstance(self.decides, OwnScaler) else self.decides.name
