"""What a preset of a scaler is: settings with the defaults of a product, and its rule.

A preset is a frozen dataclass whose fields are its settings: `fedsim.federation.settings` has their
types. The scenario file's keys, their checks and their descriptions are derived from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from fedsim.federation.settings import Apart, Follows, PositiveSeconds, Seconds, SettingError
from fedsim.world.scalers.stages import (
    DelayConfig,
    RateConfig,
    StabiliseConfig,
    StagedScaler,
    Stages,
)
from fedsim.world.scalers.view import Rule

SignalName = Literal[
    "in_flight",
    "queue",
    "kv_share",
    "utilization",
    "arrival_rate",
    "latency_p50",
    "latency_p90",
    "latency_p95",
    "latency_p99",
    "ttft_p50",
    "ttft_p90",
    "ttft_p95",
    "ttft_p99",
]
"""What a scaler may go by."""

ADDED = ("in_flight", "queue", "arrival_rate")
"""Signals of which a node's target is a part of the pool's sum."""

SHARES = ("kv_share", "utilization")
"""Signals that are shares of what a node has."""

BY_NODE = ("in_flight", "queue", *SHARES)
"""Signals that each node has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalConfig:
    """What a scaler goes by, and what it aims at.

    Attributes:
        of: What is measured: in_flight, requests that its nodes serve or have waiting; queue, those
            that wait; kv_share, the share of the key-value caches in use; utilization, the share of
            the time in use; arrival_rate, attempts sent to its nodes; or a percentile of the
            latency, or of the time to first token, of requests that it served.
        target: What a ready node should have of it, with its unit: a number of requests, 10/s, 80%
            or 2s.
        window_s: Time over which it is averaged, or over which its percentile is taken.
        lag_s: Age of the newest sample that the scaler knows.
        every_s: Time between two samples of the nodes.
    """

    of: SignalName = "in_flight"
    target: Annotated[float, Apart()]
    window_s: PositiveSeconds = 30.0
    lag_s: Seconds = 0.0
    every_s: PositiveSeconds = 1.0

    def __post_init__(self) -> None:
        if self.window_s < self.every_s:
            msg = "the window is shorter than the time between two samples: lengthen it"
            raise SettingError(msg, "window_s")
        if self.target <= 0.0:
            msg = "the target is not above 0: write more"
            raise SettingError(msg, "target")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset(ABC):
    """A preset; its fields are its settings.

    Attributes:
        every_s: Time between two decisions.
        rate: How fast the pool may change; off for at any pace.
        stabilise: The pool goes by the most careful recommendation of a window; off for the newest.
        delay: The pool changes after consecutive decisions in one direction; off for at once.
        cooldown_s: After a change, time in which the pool does not change again.
        cooldown_up_s: The same for growing; cooldown where not given.
        cooldown_down_s: The same for shrinking; cooldown where not given.
    """

    name: ClassVar[str]
    """The ``preset`` in the scenario file."""

    beyond: ClassVar[bool] = False
    """Whether ``delay`` needs one more decision than fit into its times."""

    by_node: ClassVar[bool] = True
    """Whether the pool's signal is that of the nodes that are ready now, each over the window, not
    the mean over the window of what was ready."""

    needs_engines: ClassVar[bool] = False
    """Whether it goes by key-value caches, whatever its signal."""

    keeps_highest: ClassVar[bool] = False
    """Whether a node's sample of a window is the highest one, not the mean."""

    every_s: PositiveSeconds = 15.0
    rate: RateConfig | None = None
    stabilise: StabiliseConfig | None = None
    delay: DelayConfig | None = None
    cooldown_s: Seconds = 0.0
    cooldown_up_s: Annotated[Seconds, Follows("cooldown_s")] = 0.0
    cooldown_down_s: Annotated[Seconds, Follows("cooldown_s")] = 0.0

    @abstractmethod
    def rule(self) -> Rule:
        """Return the rule, with its memory empty."""

    def seen(self) -> SignalConfig | None:
        """Return what is measured for it; None for nothing."""
        signal: SignalConfig | None = getattr(self, "signal", None)
        return signal

    @property
    def short_s(self) -> float | None:
        """The short window over which the signal is averaged as well, in seconds, or None."""
        return None

    def scaler(self) -> StagedScaler:
        """Return a scaler with these settings, which remembers nothing yet."""
        return StagedScaler(
            self.rule(),
            Stages(
                every_s=self.every_s,
                rate=self.rate,
                stabilise=self.stabilise,
                delay=self.delay,
                beyond=self.beyond,
                cooldown_up_s=self.cooldown_up_s,
                cooldown_down_s=self.cooldown_down_s,
            ),
        )
