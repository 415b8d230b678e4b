"""The six policies: their scores worked out by hand, and their verdicts in words."""

from __future__ import annotations

import pytest

from fedsim.federation.contracts import (
    HealthState,
    NodeHealth,
    NodeId,
    PrivacyLevel,
    RegionId,
    RouteCandidate,
    RouteScores,
    RouteTarget,
)
from fedsim.federation.policies import (
    CostPolicy,
    HealthPolicy,
    LatencyPolicy,
    LocalityPolicy,
    PrivacyPolicy,
    Scorer,
    ThroughputPolicy,
)
from tests.unit.federation.stand_ins import request

EAST, WEST = RegionId("east"), RegionId("west")


def candidate(latency_s=0.0, region=EAST, **scores):
    """Return a candidate."""
    target = RouteTarget(NodeId("a"), region, estimated_latency_s=latency_s)
    return RouteCandidate(target, RouteScores(**scores))


class Telemetry:
    """A health checker that knows one throughput."""

    def __init__(self, throughput):
        self.throughput = throughput

    def get_cached_health(self, node_id):
        """Return it, or None where it is None."""
        if self.throughput is None:
            return None
        return NodeHealth(node_id, HealthState.HEALTHY, 0.0, 0.0, self.throughput, None, 0, 0.0)


class TestHealth:
    """Healthy before degraded."""

    def test_score_is_the_health_score(self):
        """The score is the candidate's health score; the weight is 2."""
        assert HealthPolicy().score(candidate(health_score=0.5), request()) == 0.5
        assert HealthPolicy().weight == 2.0

    @pytest.mark.parametrize(("health_score", "eligible"), [(1.0, True), (0.5, True), (0.0, False)])
    def test_only_unhealthy_is_not_eligible(self, health_score, eligible):
        """Degraded and unknown nodes may serve, unhealthy ones may not."""
        found = candidate(health_score=health_score)

        assert HealthPolicy().is_eligible(found, request()) is eligible
        assert HealthPolicy().rejection(found, request()) == "the node is unhealthy"


class TestLatency:
    """Fast before slow, within the request's limit."""

    @pytest.mark.parametrize(
        ("latency_s", "score"), [(1.0, 0.8), (4.0, 0.2), (5.0, 0.0), (60.0, 0.0), (0.0, 0.5)]
    )
    def test_score(self, latency_s, score):
        """The score falls from 1 to 0 at 5 s; an unknown latency scores a half."""
        assert LatencyPolicy().score(candidate(latency_s), request()) == pytest.approx(score)

    def test_the_scale_does_not_exclude(self):
        """A latency beyond the policy's own scale scores 0, but is eligible."""
        assert LatencyPolicy(max_latency_s=5.0).is_eligible(candidate(60.0), request())

    @pytest.mark.parametrize(
        ("latency_s", "eligible"), [(0.0, True), (0.5, True), (1.0, True), (1.001, False)]
    )
    def test_the_request_s_limit_does(self, latency_s, eligible):
        """A median above the request's limit excludes; one at it, or an unknown one, does not."""
        wanted = request(max_latency_s=1.0)

        assert LatencyPolicy().is_eligible(candidate(latency_s), wanted) is eligible

    def test_reason(self):
        """The reason names both latencies."""
        reason = LatencyPolicy().rejection(candidate(2.5), request(max_latency_s=1.0))

        assert reason == ("its latency, estimated at 2.5 s, exceeds the request's limit of 1 s")


class TestThroughput:
    """High throughput before low, above the request's least."""

    def test_score_is_the_throughput_score(self):
        """The score is the candidate's throughput score."""
        policy = ThroughputPolicy(Telemetry(50))

        assert policy.score(candidate(throughput_score=0.7), request()) == 0.7

    @pytest.mark.parametrize(
        ("throughput", "eligible"),
        [(49, False), (50, True), (0, True), (None, True)],
        ids=["below", "at it", "not known", "node not known"],
    )
    def test_eligibility(self, throughput, eligible):
        """A known throughput below the least excludes."""
        policy = ThroughputPolicy(Telemetry(throughput))

        assert policy.is_eligible(candidate(), request(min_throughput=50)) is eligible
        assert policy.is_eligible(candidate(), request())

    def test_reason(self):
        """The reason names both throughputs."""
        reason = ThroughputPolicy(Telemetry(49)).rejection(candidate(), request(min_throughput=50))

        assert reason == (
            "its throughput of 49 tokens/s is below the 50 tokens/s that the request needs"
        )


class TestPrivacy:
    """Data stays where it may be."""

    @pytest.mark.parametrize("region", PrivacyLevel)
    @pytest.mark.parametrize("wanted", PrivacyLevel)
    def test_a_region_must_be_as_private_as_the_request(self, region, wanted):
        """All sixteen pairs: eligible where the region's level is at least the request's."""
        policy = PrivacyPolicy({EAST: region})

        assert policy.is_eligible(candidate(), request(privacy=wanted)) == (region >= wanted)

    def test_an_unknown_region_may_hold_internal_data(self):
        """A region that is not in the map counts as internal."""
        policy = PrivacyPolicy({EAST: PrivacyLevel.RESTRICTED})
        elsewhere = candidate(region=WEST)

        assert policy.is_eligible(elsewhere, request(privacy=PrivacyLevel.INTERNAL))
        assert not policy.is_eligible(elsewhere, request(privacy=PrivacyLevel.CONFIDENTIAL))

    def test_reason(self):
        """The reason names region and levels."""
        policy = PrivacyPolicy({EAST: PrivacyLevel.PUBLIC})

        assert policy.rejection(candidate(), request()) == (
            "region east may hold data up to public, the request is internal"
        )

    def test_does_not_score(self):
        """The same for all candidates, privacy has no weight."""
        assert PrivacyPolicy({}).weight == 0.0
        assert PrivacyPolicy({}).score(candidate(), request()) == 1.0


def test_locality():
    """The score is 1 in the gateway's region and 0 elsewhere, and excludes nobody."""
    policy = LocalityPolicy()

    assert policy.score(candidate(locality_score=1.0), request()) == 1.0
    assert policy.is_eligible(candidate(locality_score=0.0), request())


@pytest.mark.parametrize(("tolerance", "score"), [(0, 0.2), (50, 0.5), (100, 0.8), (25, 0.35)])
def test_cost(tolerance, score):
    """The tolerance mixes price (0.2) and speed (0.8 at 1 s) without a jump at 50."""
    found = candidate(1.0, cost_score=0.2)

    assert CostPolicy().score(found, request(cost_tolerance=tolerance)) == pytest.approx(score)
    assert CostPolicy().is_eligible(found, request())


class Flat:
    """A foreign policy: a fixed score, no weight, no columns."""

    def __init__(self, score):
        self._score = score

    def score(self, candidate, request):
        """Return it."""
        return self._score

    def is_eligible(self, candidate, request):
        """Exclude nobody."""
        return True

    def name(self):
        """Return a name."""
        return "flat"


class TestScorer:
    """The total of several policies."""

    def test_mean_by_weight(self):
        """Weights 2 and 1 on scores 1 and 0.4 give 0.8, never more than the best."""
        scorer = Scorer([HealthPolicy(2.0), LocalityPolicy(1.0), PrivacyPolicy({})])
        found = candidate(health_score=1.0, locality_score=0.4)

        assert scorer.total(found, request()) == pytest.approx(0.8)

    def test_without_policies(self):
        """Without policies, or with weightless ones alone, every candidate scores 1."""
        assert Scorer([]).total(candidate(), request()) == 1.0
        assert Scorer([PrivacyPolicy({}), HealthPolicy(0.0)]).total(candidate(), request()) == 1.0

    def test_a_foreign_policy_weighs_1(self):
        """A policy without a weight counts once, and makes the scorer ask one by one."""
        scorer = Scorer([Flat(0.0), HealthPolicy(1.0)])

        assert scorer.total(candidate(health_score=1.0), request()) == 0.5
        assert not scorer.columnar
        assert Scorer([HealthPolicy()]).columnar
