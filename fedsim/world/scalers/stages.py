"""The stages between what a rule wants and what is ordered: tolerance, rates, damping, cool-down.

Each is a value and the object that remembers what it has to. They know nothing of the world: time
and numbers of nodes come in, a number of nodes goes out.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Annotated, Literal

from fedsim.federation.settings import (
    CountFrom1,
    Example,
    Limits,
    PositiveSeconds,
    Seconds,
    SettingError,
)
from fedsim.world.scalers.view import Decision, PoolView, Rule

Select = Literal["max", "min", "off"]
Increase = Annotated[float, Limits("share", above=0.0)]
Decrease = Annotated[float, Limits("share", above=0.0, at_most=1.0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpRate:
    """How fast a pool may grow.

    Attributes:
        nodes: Most nodes that are added within the time.
        share: Largest share of the nodes at its start by which they may grow within the time.
        within_s: The time, which ends at the decision.
        select: Which of the two bounds counts: max, the larger; min, the smaller; off, the pool
            does not grow.
    """

    nodes: Annotated[CountFrom1, Example(4)] | None = 4
    share: Annotated[Increase, Example("100%")] | None = 1.0
    within_s: PositiveSeconds = 15.0
    select: Select = "max"

    def __post_init__(self) -> None:
        _require_a_bound(self.nodes, self.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class DownRate:
    """How fast a pool may shrink.

    Attributes:
        nodes: Most nodes that are removed within the time.
        share: Largest share of the nodes at its start that may be removed within the time.
        within_s: The time, which ends at the decision.
        select: Which of the two bounds counts: max, the larger change; min, the smaller; off, the
            pool does not shrink.
    """

    nodes: Annotated[CountFrom1, Example(2)] | None = None
    share: Annotated[Decrease, Example("100%")] | None = 1.0
    within_s: PositiveSeconds = 15.0
    select: Select = "max"

    def __post_init__(self) -> None:
        _require_a_bound(self.nodes, self.share)


def _require_a_bound(nodes: int | None, share: float | None) -> None:
    if nodes is None and share is None:
        msg = "the rate bounds nothing: give nodes or share, or off for the rate"
        raise SettingError(msg, "share")


@dataclass(frozen=True, slots=True, kw_only=True)
class RateConfig:
    """How fast a pool may grow and shrink, as the behavior of a HorizontalPodAutoscaler.

    Attributes:
        up: How fast it may grow; off for at any pace.
        down: How fast it may shrink; off for at any pace.
    """

    up: UpRate | None = field(default_factory=UpRate)
    down: DownRate | None = field(default_factory=DownRate)


@dataclass(frozen=True, slots=True, kw_only=True)
class StabiliseConfig:
    """The pool goes by the most careful of the recommendations of a window.

    Attributes:
        up_s: To grow, the smallest recommendation of so long counts.
        down_s: To shrink, the largest recommendation of so long counts.
    """

    up_s: Seconds = 0.0
    down_s: Seconds = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayConfig:
    """The pool changes only after decisions in one direction for a time without interruption.

    Attributes:
        up_s: Time of consecutive decisions to grow before it does.
        down_s: Time of consecutive decisions to shrink before it does.
    """

    up_s: Seconds = 0.0
    down_s: Seconds = 0.0


def tolerated(ratio: float, up: float, down: float) -> bool:
    """Return whether *ratio* is as close to 1 as the tolerances, shares, say.

    Computed as Kubernetes does, so that a ratio of 66 to 60 is *not* within 10 %: in doubles
    |1 - 1.1| is 0.10000000000000009. ``test_scaler_presets.py`` guards that.
    """
    return abs(1.0 - ratio) <= (up if ratio > 1.0 else down)


class Rates:
    """Bounds changes by those within the last period."""

    def __init__(self, config: RateConfig) -> None:
        self._config = config
        self._changes: deque[tuple[float, int]] = deque()
        periods = [rate.within_s for rate in (config.up, config.down) if rate is not None]
        self._longest_s = max(periods, default=0.0)

    def limited(self, now_s: float, current: int, wanted: int) -> int:
        """Return the number of nodes nearest to *wanted* that the rates allow."""
        config = self._config
        if wanted > current and config.up is not None:
            return min(wanted, max(current, self._most(config.up, now_s, current)))
        if wanted < current and config.down is not None:
            return max(wanted, min(current, self._fewest(config.down, now_s, current)))
        return wanted

    def changed(self, now_s: float, by: int) -> None:
        """Remember that nodes were added, or with a negative number removed."""
        while self._changes and self._changes[0][0] <= now_s - self._longest_s:
            self._changes.popleft()
        self._changes.append((now_s, by))

    def _most(self, rate: UpRate, now_s: float, current: int) -> int:
        if rate.select == "off":
            return current
        start = self._start(now_s - rate.within_s, current)
        bounds = [] if rate.nodes is None else [start + rate.nodes]
        if rate.share is not None:
            bounds.append(math.ceil(start * (1.0 + rate.share)))
        return (max if rate.select == "max" else min)(bounds)

    def _fewest(self, rate: DownRate, now_s: float, current: int) -> int:
        if rate.select == "off":
            return current
        start = self._start(now_s - rate.within_s, current)
        bounds = [] if rate.nodes is None else [start - rate.nodes]
        if rate.share is not None:
            bounds.append(math.trunc(start * (1.0 - rate.share)))
        return (min if rate.select == "max" else max)(bounds)

    def _start(self, after_s: float, current: int) -> int:
        """Return the number of nodes before the changes later than *after_s*."""
        return current - sum(by for time_s, by in self._changes if time_s > after_s)


class Stabiliser:
    """Goes by the most careful recommendation of the last seconds, the newest included."""

    def __init__(self, config: StabiliseConfig) -> None:
        self._up_s, self._down_s = config.up_s, config.down_s
        self._wanted: deque[tuple[float, int]] = deque()

    def settled(self, now_s: float, current: int, wanted: int) -> int:
        """Return the number of nodes that all of a window's recommendations have in common."""
        if not self._wanted:
            self._wanted.append((now_s, current))  # what was before counts as recommended
        low = high = wanted
        for time_s, before in self._wanted:
            if time_s > now_s - self._up_s:
                low = min(low, before)
            if time_s > now_s - self._down_s:
                high = max(high, before)
        self._wanted.append((now_s, wanted))
        oldest_s = now_s - max(self._up_s, self._down_s)
        while len(self._wanted) > 1 and self._wanted[0][0] <= oldest_s:
            self._wanted.popleft()
        return min(max(current, low), high)


class Streak:
    """Lets a change pass after so many decisions in its direction without interruption.

    Args:
        config: The times.
        every_s: Time between two decisions, in seconds.
        beyond: Whether one more is needed than fit into the time.
    """

    def __init__(self, config: DelayConfig, every_s: float, *, beyond: bool) -> None:
        self._up = max(int(config.up_s / every_s) + beyond, 1)
        self._down = max(int(config.down_s / every_s) + beyond, 1)
        self._count = 0

    def passed(self, current: int, wanted: int) -> int:
        """Return *wanted* once enough decisions were like it, else *current*."""
        if wanted == current:
            self._count = 0
            return current
        step = 1 if wanted > current else -1
        self._count = self._count + step if self._count * step > 0 else step
        if abs(self._count) < (self._up if step > 0 else self._down):
            return current
        self._count = 0
        return wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """The stages behind a rule.

    Attributes:
        every_s: Time between two decisions, in seconds.
        rate: How fast the pool may change, or None.
        stabilise: Windows of recommendations, or None.
        delay: Times of consecutive decisions, or None.
        beyond: Whether *delay* needs one more decision than fit into its times.
        cooldown_up_s: After a change, time in which the pool does not grow, in seconds.
        cooldown_down_s: After a change, time in which it does not shrink, in seconds.
    """

    every_s: float
    rate: RateConfig | None = None
    stabilise: StabiliseConfig | None = None
    delay: DelayConfig | None = None
    beyond: bool = False
    cooldown_up_s: float = 0.0
    cooldown_down_s: float = 0.0


class StagedScaler:
    """A scaler: a rule, and the stages behind it.

    What it decided counts as done where the next view shows it, so that a pool which is only
    advised, or has no room, is asked again.
    """

    def __init__(self, rule: Rule, stages: Stages) -> None:
        self._rule = rule
        self._stages = stages
        self._rates = None if stages.rate is None else Rates(stages.rate)
        self._stabiliser = None if stages.stabilise is None else Stabiliser(stages.stabilise)
        self._streak = None
        if stages.delay is not None:
            self._streak = Streak(stages.delay, stages.every_s, beyond=stages.beyond)
        self._decided: tuple[float, int] | None = None
        self._changed_s = -math.inf

    def desired(self, view: PoolView) -> Decision:
        """Return how many nodes the pool should have from now on, and why."""
        now_s, current = view.time_s, view.ordered
        self._note_change(current)
        self._decided = now_s, current
        raw = self._rule.wanted(view)
        notes = [raw.reason]
        wanted = nodes = min(max(raw.nodes, view.min), view.max)
        if nodes != raw.nodes:
            notes.append(f"bounded to {nodes}")
        if self._stabiliser is not None:
            nodes = self._stabiliser.settled(now_s, current, nodes)
            if nodes != wanted:
                notes.append(f"stabilized to {nodes}")
        if self._streak is not None:
            nodes = self._streak.passed(current, nodes)
        if self._cools_down(now_s, current, nodes):
            nodes = current
        if self._rates is not None:
            allowed = self._rates.limited(now_s, current, nodes)
            if allowed != nodes:
                notes.append(f"rate limit {allowed}")
            nodes = allowed
        nodes = min(max(nodes, view.min), view.max)
        capped = raw.nodes > view.max
        if nodes == current:
            return Decision(current, capped=capped)
        return Decision(nodes, ", ".join(filter(None, notes)), capped)

    def _note_change(self, current: int) -> None:
        """Remember that the last decision was carried out, if it was."""
        if self._decided is None or self._decided[1] == current:
            return
        decided_s, before = self._decided
        self._changed_s = decided_s
        if self._rates is not None:
            self._rates.changed(decided_s, current - before)

    def _cools_down(self, now_s: float, current: int, wanted: int) -> bool:
        """Return whether a change to *wanted* comes too soon after the last one."""
        stages = self._stages
        wait_s = stages.cooldown_up_s if wanted > current else stages.cooldown_down_s
        return wanted != current and now_s - self._changed_s < wait_s
