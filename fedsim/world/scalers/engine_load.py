"""Scalers that look at the key-value cache and the queue of each node: llm-d's and Dynamo's."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import Annotated, Literal

from fedsim.federation.settings import Example, Positive, PositiveSeconds, Seconds, Share
from fedsim.world.scalers.preset import Preset, SignalConfig
from fedsim.world.scalers.stages import StabiliseConfig
from fedsim.world.scalers.view import Decision, NodeView, PoolView, Rule

REMEMBERED = 10
"""Tokens in use on nodes with long queues that WVA remembers, of the last ones."""


def _known(view: PoolView) -> list[NodeView]:
    """Return the ready nodes of which there are samples."""
    return [node for node in view.nodes if node.state == "ready" and node.queued is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class WvaStabilise(StabiliseConfig):
    """The windows that llm-d recommends for the HorizontalPodAutoscaler behind it."""

    up_s: Seconds = 240.0
    down_s: Seconds = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _EngineLoad(Preset):
    """What the presets of this file share.

    Attributes:
        window_s: Time over which the load of nodes is looked at.
        lag_s: Age of the newest sample that the scaler knows.
    """

    needs_engines = True

    window_s: PositiveSeconds = 60.0
    lag_s: Seconds = 0.0

    def seen(self) -> SignalConfig | None:
        """Return what is measured for it."""
        return SignalConfig(of="kv_share", target=1.0, window_s=self.window_s, lag_s=self.lag_s)


# llm-d, by saturation


@dataclass(frozen=True, slots=True, kw_only=True)
class WvaV1(_EngineLoad):
    """The Workload Variant Autoscaler of llm-d, by saturation (V1).

    Attributes:
        kv_threshold: A node with so full a key-value cache is saturated.
        queue_threshold: A node with so many requests waiting is saturated.
        kv_spare: The pool grows when the others have less than this to the threshold, on average.
        queue_spare: The same for the queue, in requests.
    """

    name = "wva-v1"
    keeps_highest = True

    kv_threshold: Share = 0.8
    queue_threshold: Positive = 5.0
    kv_spare: Share = 0.1
    queue_spare: Positive = 3.0
    every_s: PositiveSeconds = 60.0
    stabilise: WvaStabilise | None = field(default_factory=WvaStabilise)

    def rule(self) -> Rule:
        """Return the rule, with its memory empty."""
        return WvaV1Rule(self)


class WvaV1Rule:
    """One node more when those not saturated have little to spare, one less when they have much."""

    def __init__(self, settings: WvaV1) -> None:
        self._settings = settings

    def wanted(self, view: PoolView) -> Decision:
        """Return one node more or less; nothing while a node starts."""
        settings, nodes, current = self._settings, _known(view), view.ordered
        if not nodes or view.starting:
            return Decision(current)
        loads = [(node.kv_share or 0.0, node.queued or 0.0) for node in nodes]
        free = [
            (kv, queued)
            for kv, queued in loads
            if kv < settings.kv_threshold and queued < settings.queue_threshold
        ]
        kv, queued = self._spare(free)
        said = f"{len(free)} of {len(loads)} nodes not saturated, spare cache {kv:.3g}, "
        said += f"spare queue {queued:.3g}"
        if not free or kv < settings.kv_spare or queued < settings.queue_spare:
            return Decision(current + 1, said)
        if len(free) >= 2:
            factor = len(free) / (len(free) - 1)
            kv, queued = self._spare([(factor * kv, factor * queued) for kv, queued in free])
            if kv >= settings.kv_spare and queued >= settings.queue_spare:
                return Decision(current - 1, said)
        return Decision(current)

    def _spare(self, loads: list[tuple[float, float]]) -> tuple[float, float]:
        """Return what nodes have on average to the thresholds."""
        if not loads:
            return 0.0, 0.0
        settings = self._settings
        kv = sum(settings.kv_threshold - kv for kv, _ in loads) / len(loads)
        return kv, sum(settings.queue_threshold - queued for _, queued in loads) / len(loads)


# llm-d, by tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class WvaV2(_EngineLoad):
    """The Workload Variant Autoscaler of llm-d, by tokens (V2).

    Attributes:
        prompt_tokens: Tokens that a waiting request is counted as.
        kv_threshold: Share of the key-value cache that counts as what a node can hold.
        queue_threshold: With so many requests waiting, what a node has in use is what it can hold.
        up_share: The pool grows until the load is this share of what its nodes can hold.
        down_share: It shrinks as long as the load is below this share of it.
    """

    name = "wva-v2"
    keeps_highest = True

    prompt_tokens: Annotated[Positive, Example(1000)]
    kv_threshold: Share = 0.8
    queue_threshold: Positive = 5.0
    up_share: Share = 0.85
    down_share: Share = 0.7
    every_s: PositiveSeconds = 60.0
    stabilise: WvaStabilise | None = field(default_factory=WvaStabilise)

    def rule(self) -> Rule:
        """Return the rule, with its memory empty."""
        return WvaV2Rule(self)


class WvaV2Rule:
    """As many nodes as the tokens in use and waiting need."""

    def __init__(self, settings: WvaV2) -> None:
        self._settings = settings
        self._held: dict[str, deque[float]] = {}

    def wanted(self, view: PoolView) -> Decision:
        """Return the number of nodes."""
        settings, current = self._settings, view.ordered
        nodes = [node for node in _known(view) if node.kv_capacity and node.kv_tokens is not None]
        if not nodes:
            return Decision(current)
        holds = median(self._holds(node) for node in nodes)
        demand = sum(
            (node.kv_tokens or 0.0) + (node.queued or 0.0) * settings.prompt_tokens
            for node in nodes
        )
        said = f"{demand:.4g} tokens for {holds:.4g} a node"
        required = demand / settings.up_share - (len(nodes) + view.starting) * holds
        if required > 0.0:
            return Decision(current + math.ceil(required / holds), said)
        spare = len(nodes) * holds - demand / settings.down_share
        less = math.floor(spare / holds) if spare > 0.0 else 0
        return Decision(current - less, said if less else "")

    def _holds(self, node: NodeView) -> float:
        """Return the tokens that a node can hold, by its cache and by what it had with a queue."""
        settings, held = self._settings, self._held.setdefault(node.name, deque(maxlen=REMEMBERED))
        assert node.kv_capacity is not None
        most = node.kv_capacity * settings.kv_threshold
        if (node.queued or 0.0) >= settings.queue_threshold and node.kv_tokens:
            held.append(node.kv_tokens)
            return min(most, node.kv_tokens)
        return min(most, sum(held) / len(held)) if held else most


# Dynamo


_LIMITS = {"throughput": (1.0, 0.6), "latency": (0.4, 0.1)}
"""Load of the key-value cache above which a pool grows, and below which it shrinks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamoLoad(_EngineLoad):
    """The load-based planner of Dynamo for decode workers, without a latency objective.

    Attributes:
        prompt_tokens: Tokens that a waiting request is counted as.
        mode: throughput, which grows above 100 % of the key-value cache and shrinks below 60 %, or
            latency, with 40 % and 10 %; requests that wait count as well.
    """

    name = "dynamo-load"

    prompt_tokens: Annotated[Positive, Example(1000)]
    mode: Literal["throughput", "latency"] = "throughput"
    window_s: PositiveSeconds = 5.0
    every_s: PositiveSeconds = 5.0

    def rule(self) -> Rule:
        """Return the rule, with its memory empty."""
        return DynamoRule(self)


class DynamoRule:
    """One node more when any node is above the limit, one less when all are below the other."""

    def __init__(self, settings: DynamoLoad) -> None:
        self._settings = settings

    def wanted(self, view: PoolView) -> Decision:
        """Return one node more or less; nothing while a change is under way."""
        settings, current = self._settings, view.ordered
        above, below = _LIMITS[settings.mode]
        loads = [
            ((node.kv_tokens or 0.0) + (node.queued or 0.0) * settings.prompt_tokens)
            / node.kv_capacity
            for node in _known(view)
            if node.kv_capacity
        ]
        if not loads or len(loads) < current or view.draining:
            return Decision(current)
        said = f"cache load {min(loads):.0%} to {max(loads):.0%}"
        if max(loads) > above:
            return Decision(current + 1, said)
        return Decision(current - 1, said) if max(loads) < below else Decision(current)
