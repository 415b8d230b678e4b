from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fedsim.errors import PlugInError
from tests.contract.adapters.runs import run, runs_alike

pytest.importorskip("ray.serve")

DIGEST = """\
from tests.contract.adapters.runs import run
print(run("ray", federation__router="ray/power_of_two").digest)
"""


@pytest.mark.parametrize("kind", ["power_of_two", "round_robin", "consistent_hash"])
def test_repeatable(kind):
    """Each router serves the scenario, without Ray being started, and twice alike."""
    import ray

    done = runs_alike("ray", federation__router=f"ray/{kind}")
    assert (done.requests["outcome"] == "ok").mean() > 0.95
    assert done.attempts["node"].nunique() == 6
    assert not ray.is_initialized()


def test_any_hash_seed():
    """Another seed of Python's hashes gives the same digest."""
    digests = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": "."}
        command = [sys.executable, "-c", DIGEST]
        digests.add(
            subprocess.run(command, env=environment, check=True, capture_output=True).stdout
        )
    assert len(digests) == 1


def test_sessions_stay():
    """By consistent hashing a tenant has one replica, apart from those it overflows to."""
    requests = run("ray", federation__router="ray/consistent_hash").requests
    main = requests.groupby("tenant", observed=True)["node"].agg(
        lambda nodes: nodes.value_counts(normalize=True).max()
    )
    assert main.mean() > 0.75


def test_probes_take_a_round_trip():
    """A decision that needs an answer waits for it: some requests wait for as long as a leg."""
    done = run("ray")
    waited_s = done.attempts["started_s"] - done.attempts["request_id"].map(
        done.requests.set_index("request_id")["arrived_s"]
    )
    assert waited_s.max() > 0.05
    assert waited_s.median() < 0.05


def test_no_such_router():
    """A router that needs Ray's actors is refused, and those that work are named."""
    with pytest.raises(PlugInError, match="works without Ray's actors: use one of power_of_two"):
        run("ray", federation__router="ray/prefix_cache_affinity")
