"""Scalers in a world: what comes, what goes, what it costs, and what faults strike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from fedsim.federation.contracts import NodeUnreachable
from fedsim.workload.distributions import Constant
from fedsim.world.config import WorldConfig
from fedsim.world.faults.config import FaultConfig
from fedsim.world.faults.gray import Slowdown
from fedsim.world.faults.maintenance import Drain, RollingDeployment
from fedsim.world.faults.stopping import Crash, Outage, Spot
from fedsim.world.scalers.aibrix import AibrixApa, ApaSignal
from fedsim.world.scalers.config import ScalerConfig
from fedsim.world.scalers.keda import Keda, KedaSignal
from fedsim.world.scalers.knative import Knative, KnativeSignal
from fedsim.world.scalers.preset import Preset
from fedsim.world.scalers.ratio import Hpa, HpaSignal
from fedsim.world.scalers.ray_serve import RayServe
from fedsim.world.scalers.schedule import Appointment, Schedule
from fedsim.world.scalers.skyserve import SkyServe, SkyServeSignal
from tests.given import Given, GivenArrivals
from tests.simulated import Federation, Outcome, run_world, small_world


def planned(*times: tuple[float, int], **settings: Any) -> ScalerConfig:
    """Return a scaler that has so many nodes from such a time on."""
    plan = tuple(Appointment(at_s, nodes) for at_s, nodes in times)
    schedule = Schedule(times=plan, period_s=10_000.0, every_s=1.0)
    return ScalerConfig(**{"decides": schedule, "max": 4, **settings})


def world(
    scaler: ScalerConfig | None,
    arrivals: Sequence[tuple[float, float]] | float = 2.0,
    *,
    nodes: int = 1,
    slots: int = 4,
    duration_s: float = 100.0,
    service_s: float = 1.0,
    faults: Sequence[FaultConfig] = (),
    **others: Any,
) -> WorldConfig:
    """Return a world with one pool ``node``, which *scaler* scales.

    *arrivals* are a rate, or how many requests arrive at which times.
    """
    process: Any = arrivals
    if not isinstance(arrivals, float):
        given = [Given(at_s, 0, 1) for at_s, many in arrivals for _ in range(int(many))]
        process = GivenArrivals(given)
    config = small_world(
        Constant(service_s), process, duration_s, nodes=nodes, slots=slots, faults=faults,
        cost_usd_per_hour=3600.0, **others,
    )  # fmt: skip
    return replace(config, pools=(replace(config.pools[0], scaler=scaler),))


def changes(outcome: Outcome, kind: str) -> list[tuple[float, str, str, str]]:
    """Return time, subject, before and after of the events of a kind."""
    events = outcome.tables.events
    events = events[events["kind"] == kind]
    columns = (events[name] for name in ("time_s", "subject", "before", "after"))
    return list(zip(*columns, strict=True))


def decided(outcome: Outcome) -> list[tuple[float, int]]:
    """Return when the scaler wanted how many nodes."""
    return [(time_s, int(after)) for time_s, _, _, after in changes(outcome, "scaler")]


def assert_paid(outcome: Outcome, nodes: int, end_s: float, *, start_s: float = 0.0) -> None:
    """Check that what is paid is the integral of the nodes that are there, from order to end."""
    steps = [(0.0, nodes)]
    for at_s, _, _, after in changes(outcome, "presence"):
        steps += [(at_s, (after == "starting") - (after == "absent"))]
    totals = outcome.tables.node_totals
    for column, begin_s, until_s in (
        ("paid_s", 0.0, outcome.end_s), ("window_paid_s", start_s, end_s),
    ):  # fmt: skip
        area = sum(step * max(until_s - max(at_s, begin_s), 0.0) for at_s, step in steps)
        assert totals[column].sum() == pytest.approx(area, rel=1e-12)


def reasons(outcome: Outcome) -> list[str]:
    """Return why the scaler decided."""
    events = outcome.tables.events
    return list(events.loc[events["kind"] == "scaler", "detail"])


class TestOrders:
    def test_a_node_starts_serves_drains_and_is_gone(self):
        """Ordered at 20 s it is ready at 30 s; given up at 60 s it finishes what it has."""
        scaler = planned((0.0, 1), (20.0, 2), (60.0, 1), start=Constant(10.0))
        outcome = run_world(world(scaler, service_s=5.0, slots=100))

        assert decided(outcome) == [(20.0, 2), (60.0, 1)]
        *first, last = changes(outcome, "presence")
        assert first == [
            (20.0, "node-1", "absent", "starting"),
            (30.0, "node-1", "starting", "ready"),
            (60.0, "node-1", "ready", "draining"),
        ]
        assert last[1:] == ("node-1", "draining", "absent")
        assert 61.0 < last[0] <= 65.0
        sent_s = outcome.attempts.loc[outcome.attempts["node"] == "node-1", "started_s"]
        assert (sent_s >= 30.0).all()
        assert (sent_s <= 60.0).all()
        assert len(sent_s) == pytest.approx(30.0, abs=12)  # every other of 2 a second
        assert (outcome.requests["outcome"] == "ok").all()

    def test_without_a_time_to_start_a_node_has_the_cold_start_of_its_pool(self):
        """The pool's cold start comes before the first request."""
        config = world(planned((0.0, 1), (20.0, 2)))
        config = replace(config, pools=(replace(config.pools[0], cold_start=Constant(7.0)),))
        assert changes(run_world(config), "presence")[1][:2] == (27.0, "node-1")

    def test_a_node_that_starts_is_given_up_first_and_at_once(self):
        """Of nodes that are ready, the one ordered last goes first."""
        plan = planned((0.0, 2), (10.0, 3), (20.0, 4), (25.0, 3), (40.0, 2), start=Constant(8.0))
        outcome = run_world(world(plan, nodes=2, slots=100))
        gone = [each for each in changes(outcome, "presence") if each[3] == "absent"]
        assert gone == [
            (25.0, "node-3", "starting", "absent"),
            (pytest.approx(41.0, abs=0.5), "node-2", "draining", "absent"),
        ]

    def test_an_order_waits_for_a_place_that_drains(self):
        """No more than max are paid for at once: node-1 drains until 90 s, and comes again then."""
        requests = [(1.0, 2), (30.0, 0)]
        plan = planned((0.0, 2), (10.0, 1), (20.0, 2), max=2, start=Constant(5.0))
        outcome = run_world(world(plan, requests, nodes=2, service_s=40.0))
        assert [(at_s, after) for at_s, _, _, after in changes(outcome, "presence")] == [
            (10.0, "draining"), (41.0, "absent"), (41.0, "starting"), (46.0, "ready"),
        ]  # fmt: skip

    def test_at_the_end_of_the_drain_what_is_left_is_lost(self):
        """Requests of 50 s on a node that may drain for 10 s fail as in a crash."""
        plan = planned((0.0, 2), (20.0, 1), drain_s=10.0)
        outcome = run_world(world(plan, [(5.0, 4)], nodes=2, service_s=50.0))
        lost = outcome.requests[outcome.requests["outcome"] == NodeUnreachable.kind]
        assert list(lost["finished_s"]) == [30.0, 30.0]
        (event,) = [each for each in changes(outcome, "presence") if each[3] == "absent"]
        assert event[0] == 30.0
        assert outcome.tables.node_totals["wasted_slot_s"].tolist() == [0.0, 50.0, 0.0, 0.0]

    def test_advice_is_recorded_and_not_followed(self):
        """Each new advice is an event; the nodes stay."""
        plan = planned((0.0, 1), (20.0, 3), (60.0, 2), advisory=True)
        outcome = run_world(world(plan))
        assert decided(outcome) == [(20.0, 3), (60.0, 2)]
        assert changes(outcome, "presence") == []
        assert all(reason.startswith("advisory: schedule") for reason in reasons(outcome))


class TestCosts:
    def test_what_is_paid_is_the_integral_of_the_nodes_there(self):
        """From order to the end of the drain, and within the summary's window."""
        plan = planned((0.0, 1), (20.0, 4), (40.0, 2), (70.0, 3), start=Constant(5.0))
        outcome = run_world(world(plan, 8.0, warmup_s=30.0, slots=3))
        totals = outcome.tables.node_totals

        assert_paid(outcome, 1, 100.0, start_s=30.0)
        assert (totals["window_up_s"] <= totals["window_paid_s"]).all()
        assert totals["window_up_s"].sum() == pytest.approx(
            totals["window_paid_s"].sum() - 5.0 - _draining_s(outcome, 30.0), abs=1e-9
        )

    def test_a_static_pool_is_paid_for_all_the_time(self):
        """To the bit: its measures must not change."""
        totals = run_world(world(None, nodes=2, warmup_s=30.0)).tables.node_totals
        assert totals["window_paid_s"].tolist() == [70.0, 70.0]


def _draining_s(outcome: Outcome, start_s: float) -> float:
    """Return the time of nodes that were starting within the window from 70 s on."""
    starts = [at_s for at_s, _, _, after in changes(outcome, "presence") if after == "starting"]
    ready = [at_s for at_s, _, _, after in changes(outcome, "presence") if after == "ready"]
    spans = zip(starts, ready, strict=True)
    return sum(max(end - max(begin, start_s), 0.0) for begin, end in spans) - 5.0


class TestFaults:
    def test_crashes_strike_no_absent_node(self):
        """A random crash of the pool has no event of a node that is not there, and no effect."""
        crash = FaultConfig(Crash(), pool="node", mtbf_s=3.0, mttr_s=1.0)
        outcome = run_world(world(planned((0.0, 1), (50.0, 2)), faults=[crash]))
        struck = changes(outcome, "fault")
        assert {name for at_s, name, *_ in struck if at_s < 50.0} == {"node-0"}
        assert {name for at_s, name, *_ in struck if at_s > 50.0} == {"node-0", "node-1"}

    @pytest.mark.parametrize("kind", [Slowdown(5.0), Spot(notice_s=1.0), Drain()])
    def test_other_faults_strike_no_absent_node_either(self, kind: Any):
        """A pool is struck at 10 s; the node that is ordered at 12 s is not."""
        fault = FaultConfig(kind, pool="node", at_s=10.0, lasts_s=5.0)
        config = world(planned((0.0, 1), (12.0, 2)), faults=[fault])
        outcome = run_world(config)
        assert "node-1" not in {name for _, name, *_ in changes(outcome, "fault")}
        served = outcome.attempts[outcome.attempts["node"] == "node-1"]
        assert served["service_s"].max() == pytest.approx(1.0)
        assert len(served) > 50

    def test_an_outage_of_a_place_holds_what_is_ordered_there_down(self):
        """Ordered at 20 s in a place that is down until 40 s, a node serves from then on."""
        outage = FaultConfig(Outage(), pool="node", at_s=10.0, lasts_s=30.0)
        outcome = run_world(world(planned((0.0, 1), (20.0, 2)), faults=[outage]))
        served = outcome.requests[outcome.requests["node"] == "node-1"]
        assert served.loc[served["outcome"] == "ok", "arrived_s"].min() > 40.0
        totals = outcome.tables.node_totals
        assert totals["up_s"].iloc[1] == pytest.approx(outcome.end_s - 40.0)

    def test_a_node_that_comes_again_is_another_machine(self):
        """Slow when it was given up at 20 s, it is as fast as any when ordered again at 40 s."""
        slow = FaultConfig(Slowdown(9.0), node="node-1", at_s=10.0, lasts_s=80.0)
        plan = planned((0.0, 2), (20.0, 1), (40.0, 2), drain_s=1.0)
        outcome = run_world(world(plan, nodes=2, slots=100, faults=[slow]))
        served = outcome.attempts[outcome.attempts["node"] == "node-1"]
        late = served[served["started_s"] > 40.0]
        assert late["service_s"].max() == 1.0
        assert served.loc[served["started_s"].between(10.0, 20.0), "service_s"].max() > 1.0
        assert [each[2:] for each in changes(outcome, "fault")] == [
            ("normal", "slow x9"), ("slow x9", "normal"),
        ]  # fmt: skip

    def test_a_rolling_deployment_goes_on_when_a_node_leaves(self):
        """It waits for nobody who is gone."""
        roll = FaultConfig(RollingDeployment(drain_s=5.0, restart_s=20.0), pool="node", at_s=10.0)
        plan = planned((0.0, 3), (45.0, 2), drain_s=1.0)
        outcome = run_world(world(plan, nodes=3, faults=[roll]))
        assert changes(outcome, "fault")[-1][1:] == ("node", "rolling", "normal")


class TestPresets:
    def _run(self, preset: Preset, arrivals: Any, **others: Any) -> Outcome:
        scaler = ScalerConfig(
            decides=preset, max=others.pop("most", 20), **others.pop("scaler", {})
        )
        settings = {"nodes": 3, "slots": 1000, **others}
        return run_world(
            world(scaler, arrivals, **settings), Federation(strategy="least_connections")
        )

    def test_hpa_goes_from_3_to_20_in_three_ticks_and_stays_five_minutes(self):
        """160 requests in flight for a target of 8; they end together at 101 s."""
        preset = Hpa(signal=HpaSignal(target=8.0, window_s=1.0, lag_s=0.0))
        outcome = self._run(preset, [(1.0, 160)], service_s=100.0, duration_s=600.0)
        assert decided(outcome) == [(15.0, 7), (30.0, 14), (45.0, 20), (390.0, 1)]

    def test_hpa_does_not_flap_within_its_tolerance(self):
        """A constant load of 5 % above the target changes nothing in an hour."""
        preset = Hpa(signal=HpaSignal(target=8.0))
        arrivals = [(1.0 + 0.5 * step, 1) for step in range(400)]
        outcome = self._run(preset, arrivals, service_s=12.6, duration_s=200.0, scaler={"min": 3})
        assert decided(outcome) == []

    def test_knative_panics_at_a_burst_and_holds_for_the_stable_window(self):
        """70 requests at 80 s for a target of 7 a node, on one node.

        At 82 s two of six buckets are full: ceil(23.3 / 7) = 4 nodes, four times those ready. At
        84 and 86 s it takes 7 and 10, less than twice those ready, so that the panic is over with
        the first tick later than 82 s + 60 s.
        """
        preset = Knative(signal=KnativeSignal(target=7.0))
        outcome = self._run(preset, [(80.0, 70)], nodes=1, service_s=8.0, duration_s=300.0)
        assert decided(outcome)[:4] == [(82.0, 4), (84.0, 7), (86.0, 10), (144.0, 5)]
        assert decided(outcome)[-1][1] == 1

    def test_ray_serve_grows_after_30_s(self):
        """14 ongoing on 4 nodes for a target of 2: 7 nodes with decision 301."""
        outcome = self._run(
            RayServe(), [(0.05, 14)], nodes=4, service_s=500.0, duration_s=100.0, most=10
        )
        ((at_s, nodes),) = decided(outcome)
        assert nodes == 7
        assert at_s == pytest.approx(31.0, abs=0.11)  # it knows nothing before the first sample

    def test_keda_takes_its_part_of_the_queue_and_shrinks_five_minutes_after_it(self):
        """One of 46 requests is served every 10 s, from 1 s on, and a node may have 10 that wait.

        At 15 s 44 wait: 5 nodes. 41 still do at 45 s, 31 at 150 s, 21 at 240 s and 11 at 345 s:
        what these ask for counts for 300 s. Whatever comes meanwhile goes to the new nodes.
        """
        signal = KedaSignal(target=10.0, window_s=1.0)
        arrivals = [(1.0, 46), *((float(at_s), 1) for at_s in range(103, 340, 10))]
        outcome = self._run(
            Keda(signal=signal), arrivals, nodes=1, slots=1, service_s=10.0, duration_s=700.0
        )
        assert decided(outcome) == [(15.0, 5), (345.0, 4), (450.0, 3), (540.0, 2), (645.0, 1)]
        late = outcome.requests[outcome.requests["arrived_s"] > 100.0]
        assert late["queue_wait_s"].max() == 0.0
        assert "node-0" not in set(late["node"])
        assert_paid(outcome, 1, 700.0)

    def test_skyserve_grows_after_15_decisions_and_shrinks_after_60(self):
        """A request every 4 s for a target of one every 10 s: 3 nodes, from the 15th decision on.

        The first decision that knows a rate is at 20 s, and five minutes of them end at 300 s. From
        600 s on a request comes every 20 s: at 620 s the last minute has 11 and asks for two nodes,
        and at 1,800 s, with the 60th decision to shrink, for one.
        """
        arrivals = [(2.0 + 4.0 * n, 1) for n in range(150)]
        arrivals += [(610.0 + 20.0 * n, 1) for n in range(65)]
        preset = SkyServe(signal=SkyServeSignal(target=0.1))
        outcome = self._run(preset, arrivals, nodes=1, slots=1, service_s=8.0, duration_s=1900.0)
        assert decided(outcome) == [(300.0, 3), (1800.0, 1)]
        late = outcome.requests[outcome.requests["arrived_s"] > 300.0]
        assert late["queue_wait_s"].max() == 0.0
        assert_paid(outcome, 1, 1900.0)

    def test_skyserve_does_not_follow_bursts(self):
        """Two minutes that ask for three nodes are over before five have asked."""
        arrivals = [(2.0 + 4.0 * n, 1) for n in range(500) if n % 60 < 30]
        preset = SkyServe(signal=SkyServeSignal(target=0.1))
        outcome = self._run(preset, arrivals, nodes=1, duration_s=1900.0)
        assert decided(outcome) == []

    def test_aibrix_grows_within_its_bound_and_halves_every_five_minutes(self):
        """32 requests on 4 nodes for a target of 5: 7 nodes, whose mean is within its tolerance.

        Three more at 50 s go to the new nodes, and make it 5 a node. They end at 151 s, and five
        minutes after the last change half of the nodes go, rounded down, and again.
        """
        preset = AibrixApa(signal=ApaSignal(of="in_flight", target=5.0, window_s=1.0))
        arrivals = [(1.0, 32), (50.0, 3)]
        outcome = self._run(
            preset, arrivals, nodes=4, slots=1000, service_s=101.0, duration_s=700.0
        )
        assert decided(outcome) == [(15.0, 7), (315.0, 3), (615.0, 1)]
        late = outcome.requests[outcome.requests["arrived_s"] > 40.0]
        assert set(late["node"]) == {"node-4", "node-5", "node-6"}
        assert_paid(outcome, 4, 700.0)

    def test_what_is_ordered_serves(self):
        """An overload of one node is served by those that come, and nothing waits at the end."""
        preset = Hpa(signal=HpaSignal(target=3.0, window_s=5.0, lag_s=0.0))
        config = world(
            ScalerConfig(decides=preset, max=8, start=Constant(5.0)), 12.0,
            nodes=1, slots=4, duration_s=180.0,
        )  # fmt: skip
        outcome = run_world(config, Federation(strategy="least_connections"))
        late = outcome.requests[outcome.requests["arrived_s"] > 120.0]
        assert late["queue_wait_s"].max() < 0.5
        assert outcome.requests["queue_wait_s"].max() > 10.0
        assert decided(outcome)[-1][1] <= 8

    def test_runs_repeat(self):
        """The same seed gives the same decisions, at the same times and for the same reasons."""
        preset = Hpa(signal=HpaSignal(of="latency_p95", target=1.5, window_s=20.0))
        runs = [
            self._run(preset, 8.0, nodes=1, slots=4, duration_s=90.0).tables.events
            for _ in range(2)
        ]
        assert len(runs[0]) > 0
        assert runs[0].equals(runs[1])

    def test_an_arrival_rate_counts_attempts_sent_to_the_pool(self):
        """8 requests a second for 2 a node: four nodes."""
        preset = Hpa(signal=HpaSignal(of="arrival_rate", target=2.0, lag_s=0.0))
        arrivals = [(0.0625 + 0.125 * step, 1) for step in range(800)]
        outcome = self._run(preset, arrivals, nodes=1, duration_s=100.0, service_s=0.1)
        assert decided(outcome)[-1][1] == 4
        assert reasons(outcome)[0].startswith("arrival_rate")
