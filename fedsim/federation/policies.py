"""Routing policies: which nodes may serve a request, and how good each is for it.

A policy's score lies between 0 and 1; a candidate's total is the mean of the scores weighted by
the policies' weights. Every policy also scores many candidates at once (``scores``), which must
agree with ``score``; the router takes that way when all its policies have it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol

from fedsim.federation.capabilities import PolicyHooks, bind, has
from fedsim.federation.contracts import (
    InferenceRequest,
    NodeHealth,
    NodeId,
    PrivacyLevel,
    RegionId,
    RouteCandidate,
    RouteScores,
    RoutingPolicyTrait,
)
from fedsim.federation.latency import ENOUGH_SAMPLES

NEUTRAL_SCORE = 0.5
"""Score of something that is not known."""


def weight_of(policy: object) -> float:
    """Return the weight of a policy, or of a class of policies: 1 where it has none."""
    return float(bind(policy, PolicyHooks).weight)


@dataclass(slots=True)
class Columns:
    """What is known of several candidates, a list for each property, all in the same order."""

    node_ids: Sequence[NodeId]
    region_ids: Sequence[RegionId]
    estimated_latency_s: Sequence[float]
    throughput_score: Sequence[float]
    cost_score: Sequence[float]
    locality_score: Sequence[float]
    health_score: Sequence[float]


class ScoresMany:
    """A policy that scores many candidates at once."""

    def scores(self, columns: Columns, request: InferenceRequest) -> Sequence[float]:
        """Return a score for each candidate, the same as ``score`` gives."""
        raise NotImplementedError


class HealthView(Protocol):
    """The part of a health checker that policies look at."""

    def get_cached_health(self, node_id: NodeId) -> NodeHealth | None:
        """Return what is known of a node, or None."""
        ...


class HealthPolicy:
    """Prefers healthy nodes: 1 for healthy, 0.5 for degraded or unknown.

    An unhealthy node is not eligible.
    """

    announces: ClassVar[bool] = True
    rejects_as: ClassVar[str] = "health"
    weight: float = 2.0

    def __init__(self, weight: float = weight) -> None:
        self.weight = weight

    def name(self) -> str:
        """Return ``health``."""
        return "health"

    def score(self, candidate: RouteCandidate, request: InferenceRequest) -> float:
        """Return the candidate's health score."""
        return candidate.scores.health_score

    def scores(self, columns: Columns, request: InferenceRequest) -> Sequence[float]:
        """Return the health scores."""
        return columns.health_score

    def is_eligible(self, candidate: RouteCandidate, request: InferenceRequest) -> bool:
        """Return whether the node is anything but unhealthy."""
        return candidate.scores.health_score > 0.0

    def rejection(self, candidate: RouteCandidate, request: InferenceRequest) -> str:
        """Say that the node is unhealthy."""
        return "the node is unhealthy"


class LatencyPolicy:
    """Prefers fast nodes, and honors the request's ``max_latency_s``.

    The score falls linearly from 1 at 0 s to 0 at *max_latency_s*; with 5 s, a node at 1 s scores
    0.8. A node whose median exceeds the *request's* limit is not eligible until its estimate
    expires; a node of unknown latency is, with the neutral score. Where *health* says of how many
    samples a median is, one of fewer than five excludes no node: a single slow answer of a quiet
    node would keep it away until it expires.
    """

    announces: ClassVar[bool] = True
    rejects_as: ClassVar[str] = "qos"
    weight: float = 1.0

    def __init__(
        self,
        weight: float = weight,
        max_latency_s: float = 5.0,
        health: HealthView | None = None,
    ) -> None:
        self.weight = weight
        self.max_latency_s = max_latency_s
        self._health = health

    def name(self) -> str:
        """Return ``latency``."""
        return "latency"

    def score(self, candidate: RouteCandidate, request: InferenceRequest) -> float:
        """Return 1 minus the estimated latency over the longest that counts, at least 0."""
        latency_s = candidate.target.estimated_latency_s
        if latency_s == 0.0:
            return NEUTRAL_SCORE
        share = 1.0 - latency_s / self.max_latency_s
        return share if share > 0.0 else 0.0

    def scores(self, columns: Columns, request: InferenceRequest) -> Sequence[float]:
        """Return the same for many candidates."""
        longest_s = self.max_latency_s
        return [
            NEUTRAL_SCORE if latency_s == 0.0 else max(0.0, 1.0 - latency_s / longest_s)
            for latency_s in columns.estimated_latency_s
        ]

    def is_eligible(self, candidate: RouteCandidate, request: InferenceRequest) -> bool:
        """Return whether the estimate is within the request's limit, or of too few samples."""
        limit_s = request.qos.max_latency_s
        if limit_s is None or candidate.target.estimated_latency_s <= limit_s:
            return True
        health = self._health
        known = None if health is None else health.get_cached_health(candidate.target.node_id)
        return known is not None and known.samples is not None and known.samples < ENOUGH_SAMPLES

    def rejection(self, candidate: RouteCandidate, request: InferenceRequest) -> str:
        """Say by what the estimate exceeds the limit."""
        estimate_s = candidate.target.estimated_latency_s
        return (
            f"its latency, estimated at {estimate_s:.3g} s, exceeds the request's limit of "
            f"{request.qos.max_latency_s:.3g} s"
        )


class ThroughputPolicy:
    """Prefers nodes of high throughput, and honors the request's ``min_throughput``.

    Throughput is what the last probe reported; the score is its share of the highest that is known
    of the pools with the request's capability. A node whose throughput is not known is eligible.
    """

    announces: ClassVar[bool] = True
    rejects_as: ClassVar[str] = "qos"
    weight: float = 1.0

    def __init__(self, health: HealthView, weight: float = weight) -> None:
        self.weight = weight
        self._health = health

    def name(self) -> str:
        """Return ``throughput``."""
        return "throughput"

    def score(self, candidate: RouteCandidate, request: InferenceRequest) -> float:
        """Return the candidate's throughput score."""
        return candidate.scores.throughput_score

    def scores(self, columns: Columns, request: InferenceRequest) -> Sequence[float]:
        """Return the throughput scores."""
        return columns.throughput_score

    def is_eligible(self, candidate: RouteCandidate, request: InferenceRequest) -> bool:
        """Return whether the node's throughput is high enough, or not known."""
        least = request.qos.min_throughput
        if least is None:
            return True
        health = self._health.get_cached_health(candidate.target.node_id)
        return health is None or health.throughput == 0 or health.throughput >= least

    def rejection(self, candidate: RouteCandidate, request: InferenceRequest) -> str:
        """Say by what the throughput falls short."""
        health = self._health.get_cached_health(candidate.target.node_id)
        known = 0 if health is None else health.throughput
        return (
            f"its throughput of {known} tokens/s is below the {request.qos.min_throughput} "
            "tokens/s that the request needs"
        )


class PrivacyPolicy:
    """Keeps data in regions that are private enough; never scores.

    A region that is not in the map may hold internal data. The weight is 0, as the score is the
    same for every candidate that is eligible.
    """

    announces: ClassVar[bool] = True
    rejects_as: ClassVar[str] = "privacy"
    weight: ClassVar[float] = 0.0

    def __init__(self, region_privacy: Mapping[RegionId, PrivacyLevel]) -> None:
        self._region_privacy = dict(region_privacy)

    def name(self) -> str:
        """Return ``privacy``."""
        return "privacy"

    def score(self, candidate: RouteCandidate, request: InferenceRequest) -> float:
        """Return 1."""
        return 1.0

    def scores(self, columns: Columns, request: InferenceRequest) -> Sequence[float]:
        """Return 1 for each."""
        return [1.0] * len(columns.node_ids)

    def is_eligible(self, candidate: RouteCandidate, request: InferenceRequest) -> bool:
        """Return whether the candidate's region is at least as private as the request."""
        return self._level(candidate) >= request.qos.privacy

    def rejection(self, candidate: RouteCandidate, request: InferenceRequest) -> str:
        """Say which levels do not match."""
        level = self._level(candidate).name.lower()
        wanted = request.qos.privacy.name.lower()
        return (
            f"region {candidate.target.region_id} may hold data up to {level}, "
            f"the request is {wanted}"
        )

    def _level(self, candidate: RouteCandidate) -> PrivacyLevel:
        return self._region_privacy.get(candidate.target.region_id, PrivacyLevel.INTERNAL)


class LocalityPolicy:
    """Prefers the gateway's own region: 1 there, 0 elsewhere."""

    announces: ClassVar[bool] = True
    weight: float = 1.0

    def __init__(self, weight: float = weight) -> None:
        self.weight = weight

    def name(self) -> str:
        """Return ``locality``."""
        return "locality"

    def score(self, candidate: RouteCandidate, request: InferenceRequest) -> float:
        """Return the candidate's locality score."""
        return candidate.scores.locality_score

    def scores(self, columns: Columns, request: InferenceRequest) -> Sequence[float]:
        """Return the locality scores."""
        return columns.locality_score

    def is_eligible(self, candidate: RouteCandidate, request: InferenceRequest) -> bool:
        """Return True: distance alone excludes no node."""
        return True


class CostPolicy:
    """Prefers cheap nodes as far as the request asks for it.

    With ``cost_tolerance`` c, the score is (1 - c / 100) times the cost score plus c / 100 times
    the latency score: 0 looks at the price alone, 100 at speed alone. The cost score is 0 for the
    most expensive of the nodes with the request's capability, and would be 1 for one that costs
    nothing.
    """

    announces: ClassVar[bool] = True
    weight: float = 1.0

    def __init__(self, weight: float = weight, max_latency_s: float = 5.0) -> None:
        self.weight = weight
        self._speed = LatencyPolicy(1.0, max_latency_s)

    def name(self) -> str:
        """Return ``cost``."""
        return "cost"

    def score(self, candidate: RouteCandidate, request: InferenceRequest) -> float:
        """Return the mix of the cost score and the latency score."""
        tolerance = request.qos.cost_tolerance / 100.0
        speed = self._speed.score(candidate, request)
        return (1.0 - tolerance) * candidate.scores.cost_score + tolerance * speed

    def scores(self, columns: Columns, request: InferenceRequest) -> Sequence[float]:
        """Return the same for many candidates."""
        tolerance = request.qos.cost_tolerance / 100.0
        thrift = 1.0 - tolerance
        speeds = self._speed.scores(columns, request)
        return [
            thrift * cost + tolerance * speed
            for cost, speed in zip(columns.cost_score, speeds, strict=True)
        ]

    def is_eligible(self, candidate: RouteCandidate, request: InferenceRequest) -> bool:
        """Return True: the price alone excludes no node."""
        return True


@dataclass(frozen=True, slots=True)
class OwnPolicy:
    """A built-in policy, as scenario files name it.

    Attributes:
        policy: Its class, called with keyword arguments: ``weight``, settings and needs. Where the
            class has a weight of 0, the policy only excludes nodes, and takes no ``weight``.
        part: The part of a candidate's scores that it gives, by its name in `RouteScores`.
        settings: Its settings apart from the weight, each with what it means. All are numbers; the
            name of one in seconds ends in ``_s``.
        needs: What it is given of its gateway: ``health``, ``region_privacy``.
        by_default: Whether a federation that names no policies has it.
    """

    policy: type[RoutingPolicyTrait]
    part: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    needs: Sequence[str] = ()
    by_default: bool = False

    @property
    def weight(self) -> float:
        """Its weight where none is given."""
        return weight_of(self.policy)


POLICIES: Mapping[str, OwnPolicy] = {
    "health": OwnPolicy(HealthPolicy, "health_score", by_default=True),
    "latency": OwnPolicy(
        LatencyPolicy,
        "latency_score",
        settings={"max_latency_s": "the latency that scores 0."},
        needs=("health",),
        by_default=True,
    ),
    "throughput": OwnPolicy(
        ThroughputPolicy, "throughput_score", needs=("health",), by_default=True
    ),
    "privacy": OwnPolicy(PrivacyPolicy, needs=("region_privacy",), by_default=True),
    "locality": OwnPolicy(LocalityPolicy, "locality_score", by_default=True),
    "cost": OwnPolicy(CostPolicy, "cost_score", by_default=True),
}
"""Every built-in policy by its name."""

NAMES: Mapping[type, str] = {entry.policy: name for name, entry in POLICIES.items()}
"""The names of the built-in policies by their classes."""

DEFAULT_POLICIES: Mapping[str, Mapping[str, float]] = {
    name: {"weight": entry.weight} for name, entry in POLICIES.items() if entry.by_default
}
"""The policies of a federation that names none, with their weights."""


def build_policy(
    name: str,
    settings: Mapping[str, float],
    health: HealthView,
    region_privacy: Mapping[RegionId, PrivacyLevel],
) -> RoutingPolicyTrait:
    """Return a new built-in policy for one gateway.

    Args:
        name: Its name in `POLICIES`.
        settings: Its weight and settings, where they are not the defaults.
        health: The gateway's health checker.
        region_privacy: Privacy levels by region; one that is not in it may hold internal data.
    """
    entry = POLICIES[name]
    known = {"health": health, "region_privacy": region_privacy}
    given = {key: value for key, value in settings.items() if key != "weight" or entry.weight}
    build: Callable[..., RoutingPolicyTrait] = entry.policy
    return build(**given, **{need: known[need] for need in entry.needs})


def default_policies(health: HealthView) -> list[RoutingPolicyTrait]:
    """Return the policies of a gateway that was given none, with their own weights.

    They enforce ``max_latency_s``, ``min_throughput`` and ``privacy`` of requests; every region
    may hold internal data.
    """
    return [build_policy(name, {}, health, {}) for name in DEFAULT_POLICIES]


@dataclass(frozen=True, slots=True)
class Scored:
    """What the policies made of several nodes for one request.

    Attributes:
        positions: The nodes.
        totals: Their totals, in the same order.
        parts: The scores of each built-in policy with a weight, by their names in `RouteScores`.
    """

    positions: Sequence[int]
    totals: Sequence[float]
    parts: Mapping[str, Sequence[float]]

    def of(self, position: int, unknown: RouteScores) -> RouteScores:
        """Return the scores of a node; *unknown* has those that no policy gave."""
        if position not in self.positions:
            return unknown
        place = self.positions.index(position)
        parts = {name: scores[place] for name, scores in self.parts.items()}
        return replace(unknown, **parts, total=self.totals[place])


class Scorer:
    """Adds up the scores of several policies: their mean by weight, 1 where none has a weight.

    A policy without ``weight`` weighs 1. Policies of weight 0 are not asked.

    Attributes:
        columnar: Whether all policies can score many candidates at once.
    """

    def __init__(self, policies: Sequence[RoutingPolicyTrait]) -> None:
        weighed = [(policy, weight_of(policy)) for policy in policies]
        counted = [(policy, weight) for policy, weight in weighed if weight]
        self.columnar = all(has(policy, ScoresMany) for policy, _ in counted)
        self._asked = [policy.score for policy, _ in counted]
        self._columns = [policy.scores for policy, _ in counted if has(policy, ScoresMany)]
        self._weights = [weight for _, weight in counted]
        self._whole = sum(self._weights)
        self._parts = [_part_of(policy) for policy, _ in counted]

    def total(self, candidate: RouteCandidate, request: InferenceRequest) -> float:
        """Return the score of one candidate."""
        weights = self._weights
        if not weights:
            return 1.0
        total = 0.0
        for score, weight in zip(self._asked, weights, strict=True):
            total += weight * score(candidate, request)
        return total / self._whole

    def score_all(
        self,
        positions: Sequence[int],
        candidates: Columns | Sequence[RouteCandidate],
        request: InferenceRequest,
    ) -> Scored:
        """Return what the policies make of several nodes: columns only where ``columnar`` holds."""
        if isinstance(candidates, Columns):
            parts = [scores(candidates, request) for scores in self._columns]
        else:
            rows = [[score(each, request) for score in self._asked] for each in candidates]
            parts = [list(column) for column in zip(*rows, strict=True)]
        totals = [0.0] * len(positions) if self._weights else [1.0] * len(positions)
        for part, weight in zip(parts, self._weights, strict=True):
            totals = [total + weight * score for total, score in zip(totals, part, strict=True)]
        if self._weights:
            totals = [total / self._whole for total in totals]
        named = {
            name: part for name, part in zip(self._parts, parts, strict=True) if name is not None
        }
        return Scored(positions, totals, named)


def _part_of(policy: RoutingPolicyTrait) -> str | None:
    """Return the part of a candidate's scores that a built-in policy gives."""
    name = NAMES.get(type(policy))
    return None if name is None else POLICIES[name].part
