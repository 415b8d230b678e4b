"""The reference's policies. Each applies its own weight, and the composite is a plain mean.

So a total is not between 0 and 1 but up to 1.03 with the defaults: the weights are not divided by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fedsim.federation.contracts import (
    InferenceRequest,
    PrivacyLevel,
    RegionId,
    RouteCandidate,
    RoutingPolicyTrait,
)
from fedsim.federation.reference.config import ReferenceConfig
from fedsim.federation.reference.durations import milliseconds, nanoseconds

SAME_REGION_BOOST = 0.3
"""By how much the reference's locality policy weighs a locality score that is always 0.5."""

UNKNOWN_REGION_COST = 0.5
"""Cost of a region that the cost policy knows no price of: without prices, of all."""


class ReferenceHealthPolicy:
    """Scores a node's health; excludes what scores nothing."""

    def __init__(self, weight: float = 2.0) -> None:
        self.weight = weight

    def name(self) -> str:
        """Return ``health``."""
        return "health"

    def score(self, candidate: RouteCandidate, request: InferenceRequest) -> float:
        """Return the health score times the weight."""
        return candidate.scores.health_score * self.weight

    def is_eligible(self, candidate: RouteCandidate, request: InferenceRequest) -> bool:
        """Return whether the health score is above 0."""
        return candidate.scores.health_score > 0.0


class ReferenceLatencyPolicy:
    """Scores the moving average, and excludes a node above *max_latency_s* whatever the request.

    With 5 s: 1 at 0 ms, 0.8 at 1000 ms, 0 at 5000 ms, which is still eligible.
    """

    def __init__(self, weight: float = 1.0, max_latency_s: float = 5.0) -> None:
        self.weight = weight
        self._max_ns = nanoseconds(max_latency_s)
        self._max_ms = milliseconds(max_latency_s)

    def name(self) -> str:
        """Return ``latency``."""
        return "latency"

    def score(self, candidate: RouteCandidate, request: InferenceRequest) -> float:
        """Return 1 minus the estimate over the longest latency, at least 0, times the weight."""
        latency_s = candidate.target.estimated_latency_s
        if nanoseconds(latency_s) >= self._max_ns:
            return 0.0
        return (1.0 - milliseconds(latency_s) / self._max_ms) * self.weight

    def is_eligible(self, candidate: RouteCandidate, request: InferenceRequest) -> bool:
        """Return whether the estimate is at most the longest latency; the request's is not read."""
        return nanoseconds(candidate.target.estimated_latency_s) <= self._max_ns


class ReferencePrivacyPolicy:
    """Excludes regions that are less private than the request; an unnamed one is internal."""

    def __init__(self, region_privacy: Mapping[RegionId, PrivacyLevel] | None = None) -> None:
        self._region_privacy = dict(region_privacy or {})

    def name(self) -> str:
        """Return ``privacy``."""
        return "privacy"

    def score(self, candidate: RouteCandidate, request: InferenceRequest) -> float:
        """Return 1, which counts in the composite like any other score."""
        return 1.0

    def is_eligible(self, candidate: RouteCandidate, request: InferenceRequest) -> bool:
        """Return whether the region is at least as private as the request."""
        region = candidate.target.region_id
        level = self._region_privacy.get(region, PrivacyLevel.INTERNAL)
        return level >= request.qos.privacy


class ReferenceLocalityPolicy:
    """Scores locality, which the reference's router never works out: the same for every node."""

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def name(self) -> str:
        """Return ``locality``."""
        return "locality"

    def score(self, candidate: RouteCandidate, request: InferenceRequest) -> float:
        """Return 0.5 plus the boosted locality score, times the weight."""
        return (0.5 + candidate.scores.locality_score * SAME_REGION_BOOST) * self.weight

    def is_eligible(self, candidate: RouteCandidate, request: InferenceRequest) -> bool:
        """Return True."""
        return True


class ReferenceCostPolicy:
    """Scores thrift up to a cost tolerance of 50, and above it a throughput that is never known.

    Args:
        weight: What the score is multiplied by.
        region_costs: Cost of each region, brought to 0 to 1; 0.5 where not named.
    """

    def __init__(
        self, weight: float = 1.0, region_costs: Mapping[RegionId, float] | None = None
    ) -> None:
        self.weight = weight
        self._region_costs = {
            region: min(max(cost, 0.0), 1.0) for region, cost in (region_costs or {}).items()
        }

    def name(self) -> str:
        """Return ``cost``."""
        return "cost"

    def score(self, candidate: RouteCandidate, request: InferenceRequest) -> float:
        """Return 1 minus the region's cost, or the throughput score, times the weight."""
        if request.qos.cost_tolerance / 100.0 > 0.5:
            return candidate.scores.throughput_score * self.weight
        region = candidate.target.region_id
        return (1.0 - self._region_costs.get(region, UNKNOWN_REGION_COST)) * self.weight

    def is_eligible(self, candidate: RouteCandidate, request: InferenceRequest) -> bool:
        """Return True."""
        return True


class CompositePolicy:
    """Several policies as one: the mean of their scores, and eligible where all agree.

    An empty one scores 1.
    """

    def __init__(self, policies: Sequence[RoutingPolicyTrait]) -> None:
        self._policies = tuple(policies)

    def name(self) -> str:
        """Return ``composite``."""
        return "composite"

    def score(self, candidate: RouteCandidate, request: InferenceRequest) -> float:
        """Return the sum of the scores over the number of policies."""
        if not self._policies:
            return 1.0
        total = 0.0
        for policy in self._policies:
            total += policy.score(candidate, request)
        return total / len(self._policies)

    def parts(self, candidate: RouteCandidate, request: InferenceRequest) -> dict[str, float]:
        """Return the score of each policy but privacy, by its name in `RouteScores`."""
        return {
            f"{policy.name()}_score": policy.score(candidate, request)
            for policy in self._policies
            if policy.name() != "privacy"
        }

    def is_eligible(self, candidate: RouteCandidate, request: InferenceRequest) -> bool:
        """Return whether no policy excludes the candidate."""
        return all(policy.is_eligible(candidate, request) for policy in self._policies)


def composite(config: ReferenceConfig) -> CompositePolicy:
    """Return the composite of the policies that *config* names, in its order."""

    def build(name: str, weight: float) -> RoutingPolicyTrait:
        match name:
            case "health":
                return ReferenceHealthPolicy(weight)
            case "latency":
                return ReferenceLatencyPolicy(weight, config.max_latency_s)
            case "privacy":
                return ReferencePrivacyPolicy(config.region_privacy)
            case "locality":
                return ReferenceLocalityPolicy(weight)
            case "cost":
                return ReferenceCostPolicy(weight)
        msg = f"the reference has no policy {name!r}: use health, latency, privacy, locality, cost"
        raise ValueError(msg)

    return CompositePolicy([build(name, weight) for name, weight in config.policies.items()])
