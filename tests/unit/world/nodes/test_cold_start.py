from __future__ import annotations

import pytest

from fedsim.federation.catalog import DeploymentStatus
from fedsim.kernel.streams import Streams
from fedsim.workload.distributions import Constant, Lognormal
from tests.unit.world.scripted import Script, errors, outage, send

COLD = {"cold_start": Constant(5.0)}


def loading(played):
    """Return time, before and after of each loading event."""
    events = played.tables.events.query("kind == 'loading'")
    return list(zip(events["time_s"], events["before"], events["after"], strict=True))


def test_a_node_that_comes_back_is_loading_first():
    """Until it has loaded it is unreachable; the time is not time up."""
    rows = [(0.5, 1), (3.0, 1), (5.0, 1), (8.9, 1), (9.1, 1)]
    played = Script(rows, pool=COLD, faults=[outage(2.0, 2.0)], duration_s=20.0).play()

    outcomes = [outcome for _, outcome, _ in played.log]
    assert outcomes == ["ok", *["node_unreachable"] * 3, "ok"]
    assert loading(played) == [(4.0, "down", "loading"), (9.0, "loading", "ready")]
    assert played.tables.node_totals["up_s"].tolist() == [2.0 + 11.0]


def test_the_catalog_knows():
    """The catalog has the node as loading, so that gateways do not route to it."""
    seen = []

    async def act(site, target, request):
        (deployment,) = site.catalog.deployments()
        seen.append(deployment.status)
        return await send(site, target, request)

    rows = [(1.0, 1), (3.0, 1), (5.0, 1), (9.1, 1)]
    Script(rows, act=act, pool=COLD, faults=[outage(2.0, 2.0)]).play()

    ready, is_loading = DeploymentStatus.READY, DeploymentStatus.LOADING
    assert seen == [ready, ready, is_loading, ready]


def test_a_fault_while_it_loads():
    """A node that goes down while it loads starts to load anew when it comes back."""
    faults = [outage(2.0, 2.0), outage(5.0, 3.0)]
    played = Script([(9.5, 1), (13.5, 1)], pool=COLD, faults=faults, duration_s=20.0).play()

    assert loading(played) == [
        (4.0, "down", "loading"),
        (8.0, "down", "loading"),
        (13.0, "loading", "ready"),
    ]
    assert [outcome for _, outcome, _ in played.log] == ["node_unreachable", "ok"]
    assert played.tables.node_totals["up_s"].tolist() == [2.0 + 7.0]


def test_two_faults_at_once():
    """It loads when the last fault that holds it down is over."""
    faults = [outage(2.0, 2.0), outage(3.0, 4.0)]
    played = Script([(13.0, 1)], pool=COLD, faults=faults, duration_s=20.0).play()

    assert loading(played) == [(7.0, "down", "loading"), (12.0, "loading", "ready")]


def test_errors_outlast_it():
    """An error fault that began before goes on after a cold start."""
    faults = [
        outage(2.0, 2.0),
        errors(1.0, 9.0, 1.0),
    ]
    played = Script([(5.0, 1), (9.5, 1), (10.5, 1)], pool=COLD, faults=faults).play()

    assert [outcome for _, outcome, _ in played.log] == ["node_unreachable", "internal", "ok"]


def test_times_are_drawn_by_node():
    """Each node draws its times from a stream of its own, one for each start."""
    law = Lognormal.from_mean_cv(5.0, 0.5)
    faults = [outage(at_s, 1.0, pool="node") for at_s in (10.0, 100.0)]
    played = Script([(0.0, 1)], nodes=2, pool={"cold_start": law}, faults=faults).play()

    for name in ("node-0", "node-1"):
        events = played.tables.events.query("kind == 'loading' and subject == @name")
        begun_s = events["time_s"].to_numpy()[::2]
        took_s = events["time_s"].to_numpy()[1::2] - begun_s
        rng = Streams(1).generator(f"world/{name}/cold_start")
        assert took_s == pytest.approx([law.quantile(rng.random()) for _ in begun_s])
        assert begun_s.tolist() == [11.0, 101.0]
