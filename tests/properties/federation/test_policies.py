"""Policies score many candidates at once as they do one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsim.federation.contracts import (
    NodeId,
    PrivacyLevel,
    RegionId,
    RouteCandidate,
    RouteScores,
    RouteTarget,
)
from fedsim.federation.policies import (
    Columns,
    CostPolicy,
    HealthPolicy,
    LatencyPolicy,
    LocalityPolicy,
    PrivacyPolicy,
    Scorer,
    ThroughputPolicy,
)
from tests.unit.federation.stand_ins import request

shares = st.floats(0.0, 1.0)
weights = st.floats(0.0, 10.0)
latencies = st.just(0.0) | st.floats(1e-6, 100.0)
candidates = st.builds(
    RouteCandidate,
    st.builds(
        RouteTarget,
        st.text().map(NodeId),
        st.sampled_from(["east", "west"]).map(RegionId),
        estimated_latency_s=latencies,
    ),
    st.builds(
        RouteScores,
        throughput_score=shares,
        cost_score=shares,
        locality_score=shares,
        health_score=shares,
    ),
)
policies = st.lists(
    st.one_of(
        st.builds(HealthPolicy, weights),
        st.builds(LatencyPolicy, weights, st.floats(0.1, 50.0)),
        st.builds(ThroughputPolicy, st.none(), weights),
        st.builds(PrivacyPolicy, st.just({})),
        st.builds(LocalityPolicy, weights),
        st.builds(CostPolicy, weights, st.floats(0.1, 50.0)),
    ),
    max_size=6,
)


def columns_of(candidates):
    """Return what is known of *candidates* in columns."""
    return Columns(
        [each.target.node_id for each in candidates],
        [each.target.region_id for each in candidates],
        [each.target.estimated_latency_s for each in candidates],
        [each.scores.throughput_score for each in candidates],
        [each.scores.cost_score for each in candidates],
        [each.scores.locality_score for each in candidates],
        [each.scores.health_score for each in candidates],
    )


@given(
    candidates=st.lists(candidates, min_size=1, max_size=8),
    policies=policies,
    tolerance=st.integers(0, 100),
    privacy=st.sampled_from(PrivacyLevel),
)
def test_both_ways_agree(candidates, policies, tolerance, privacy):
    """`scores` equals `score` for each policy, and so do the totals; all lie between 0 and 1."""
    asked = request(cost_tolerance=tolerance, privacy=privacy)
    columns = columns_of(candidates)
    for policy in policies:
        singly = [policy.score(each, asked) for each in candidates]
        assert list(policy.scores(columns, asked)) == pytest.approx(singly, abs=1e-12)
        assert all(0.0 <= score <= 1.0 for score in singly)

    scorer = Scorer(policies)
    totals = [scorer.total(each, asked) for each in candidates]
    assert scorer.columnar
    found = scorer.score_all(range(len(candidates)), columns, asked)
    assert found.totals == pytest.approx(totals, abs=1e-12)
    assert all(0.0 <= total <= 1.0 + 1e-12 for total in totals)
