"""Scenes: everything in them is as it was written down."""

from __future__ import annotations

import pytest

from fedsim.errors import ArgumentError
from fedsim.testing import scene


def test_times_are_exact():
    """Three requests on one slot: each waits for those before it, to the last bit."""
    found = scene([0.0, 0.25, 5.0], nodes=1, service=1.5)
    requests = found.run.requests
    assert requests["arrived_s"].tolist() == [0.0, 0.25, 5.0]
    assert requests["queue_wait_s"].tolist() == [0.0, 1.25, 0.0]
    assert requests["finished_s"].tolist() == [1.5, 3.0, 6.5]
    assert found.outcomes == ["ok"] * 3


def test_pools_faults_and_changes():
    """Pools may be unlike each other, faults strike when they are said to, and tenants have names.

    The router of each gateway is there as it was at the end.
    """
    fast = {"service": {"distribution": "constant", "value": "10ms"}}
    found = scene(
        [0.0, 1.0, 2.0, 3.0],
        nodes={"fast": fast, "slow": {"count": 1}},
        strategy="least_connections",
        tenants=["ada", "bob", "ada", "ada"],
        faults=[{"kind": "outage", "node": "fast-0", "at": "1500ms", "lasts": "1h"}],
        changes={"federation.retries": {"limit": 1, "backoff": "1ms", "jitter": "none"}},
    )
    assert found.run.requests["tenant"].tolist() == ["ada", "bob", "ada", "ada"]
    assert set(found.nodes) <= {"fast-0", "slow-0"}
    late = found.run.attempts[found.run.attempts["started_s"] >= 2.0]
    assert set(late.loc[late["outcome"] == "ok", "node"]) == {"slow-0"}
    assert [type(router).__name__ for router in found.routers] == ["Router"]


@pytest.mark.parametrize(
    ("arrivals", "tenants", "message"),
    [
        ([], None, "needs arrivals"),
        ([2.0, 1.0], None, "ascend"),
        ([0.0, 1.0], ["a"], "2 arrivals and 1 tenants"),
    ],
)
def test_what_makes_no_scene_is_said(arrivals, tenants, message):
    """Arrivals that do not ascend, and tenants that are too few, say what to write."""
    with pytest.raises(ArgumentError, match=message):
        scene(arrivals, tenants=tenants)
