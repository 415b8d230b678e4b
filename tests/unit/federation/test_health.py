"""The health checker: what probes decide, what traffic tells, and what expires."""

from __future__ import annotations

import pytest

from fedsim.federation.contracts import HealthState, NodeId, NodeUnreachable, Timeout
from fedsim.federation.health import HealthChecker, HealthConfig
from tests.unit.federation.stand_ins import Dice, Network, Onlooker, Stage, unreachable

A, B, C = NodeId("a"), NodeId("b"), NodeId("c")


def known_of(health, node):
    """Return what is known of a node that is watched."""
    known = health.get_cached_health(node)
    assert known is not None
    return known


class Scene:
    """A health checker on simulated time, whose nodes are down while *outages* last."""

    def __init__(self, nodes=(A,), outages=(), probe_s=0.0, dice=0.5, **config):
        self.stage = Stage()
        self.seen = Onlooker()
        self.outages = outages
        self.probe_s = probe_s
        self.network = Network(self.stage.clock, telemetry=self.answer)
        self.health = HealthChecker(
            self.network,
            self.stage.clock,
            self.stage.tasks,
            Dice(dice),
            HealthConfig(**config),
            self.seen,
        )
        for node in nodes:
            self.health.register_node(node)

    def answer(self, node):
        """Return wait and outcome of a probe."""
        now_s = self.stage.clock.now()
        down = any(begin_s <= now_s < end_s for begin_s, end_s in self.outages)
        return self.probe_s, unreachable(node) if down else 70

    def monitor(self, until_s, interval_s=None):
        """Probe until *until_s* and return when node a was probed."""
        self.stage.spawn(self.health.start_monitoring(interval_s))
        self.stage.env.run(until=until_s)
        return [at_s for at_s, node in self.network.probed if node == A]


class Traffic:
    """A health checker that is not probing, fed by hand."""

    def __init__(self, **config):
        self.stage = Stage()
        self.clock = self.stage.clock
        self.seen = Onlooker()
        self.health = HealthChecker(
            Network(self.clock),
            self.clock,
            self.stage.tasks,
            Dice(),
            HealthConfig(**config),
            self.seen,
        )

    def register(self, *nodes, pool="pool"):
        """Register nodes of one pool."""
        for node in nodes:
            self.health.register_node(node, pool)

    def wait(self, seconds):
        """Let time pass."""
        self.stage.env.run(until=self.clock.now() + seconds)

    def serve(self, node, latency_s, count=1):
        """Report successes, a tenth of a second apart."""
        for _ in range(count):
            self.wait(0.1)
            self.health.report_success(node, latency_s)

    def fail(self, node, count=1):
        """Report failures."""
        for _ in range(count):
            self.health.report_failure(node)
        self.wait(0.1)

    def status(self, node):
        """Return the verdict."""
        return known_of(self.health, node).status


class TestProbes:
    """The schedule of probes, and what they decide."""

    def test_schedule(self):
        """A node is probed at once, after a share of the interval, then once a jittered one."""
        assert Scene().monitor(60.0) == pytest.approx([0.0, 5.0, 15.5, 26.0, 36.5, 47.0, 57.5])

    def test_without_jitter(self):
        """Without jitter, probes are exactly an interval apart once they have been spread."""
        assert Scene(jitter=0.0, dice=0.25).monitor(35.0) == pytest.approx(
            [0.0, 2.5, 12.5, 22.5, 32.5]
        )

    def test_a_probe_that_takes_too_long_has_failed(self):
        """Probes are given up at their timeout, and the next one comes an interval later."""
        scene = Scene(probe_s=7.0)
        probed = scene.monitor(31.0)

        assert probed == pytest.approx([0.0, 10.0, 25.5])
        assert scene.seen.health == [(30.5, "a", "unknown", "unhealthy")]
        assert scene.seen.reasons == ["3 in a row: a probe took longer than 5 s"]

    def test_the_first_good_probe_makes_a_node_healthy(self):
        """An unknown node that answers is healthy."""
        scene = Scene(probe_s=0.25)
        scene.monitor(1.0)

        assert scene.seen.health == [(0.25, "a", "unknown", "healthy")]

    def test_an_unhealthy_node_comes_back(self):
        """Three failed probes make a node unhealthy, two good ones bring it back; no traffic."""
        scene = Scene(outages=[(12.0, 50.0)])
        scene.monitor(90.0)

        assert scene.seen.health == [
            (0.0, "a", "unknown", "healthy"),
            (36.5, "a", "healthy", "unhealthy"),  # probes at 15.5, 26 and 36.5 failed
            (68.0, "a", "unhealthy", "healthy"),  # those at 57.5 and 68 did not
        ]
        assert scene.seen.reasons[1] == "3 in a row: a probe failed: Node unreachable: a"
        assert scene.seen.reasons[2] == "2 successful probes in a row"

    def test_a_recovered_node_begins_anew(self):
        """Failures of requests before the recovery do not count after it."""
        scene = Scene(outages=[(12.0, 50.0)])
        scene.monitor(20.0)
        for _ in range(2):
            scene.health.report_failure(A)
        scene.stage.env.run(until=90.0)
        scene.health.report_failure(A)

        assert known_of(scene.health, A).status is HealthState.HEALTHY

    def test_only_failures_in_a_row_count(self):
        """A good probe between failed ones sets the count back."""
        scene = Scene(outages=[(4.0, 16.0), (30.0, 48.0)])
        scene.monitor(60.0)

        assert [after for _, _, _, after in scene.seen.health] == ["healthy"]

    def test_a_relapse_takes_the_count_back(self):
        """One good probe, a failed one, then two good ones: back after the last."""
        scene = Scene(outages=[(0.0, 20.0), (30.0, 40.0)])
        scene.monitor(90.0)

        assert scene.seen.health == [
            (15.5, "a", "unknown", "unhealthy"),  # good at 26, failed at 36.5, good from 47 on
            (57.5, "a", "unhealthy", "healthy"),
        ]

    def test_telemetry(self):
        """Throughput, queue depth and GPU utilisation are those of the last probe."""
        scene = Scene()
        scene.monitor(1.0)
        known = known_of(scene.health, A)

        assert (known.throughput, known.queue_depth, known.gpu_utilization) == (70, 3, 0.25)

    def test_last_check_shows_staleness(self):
        """The last check is that of the newest probe, good or bad, and stays when probes stop."""
        scene = Scene(outages=[(20.0, 40.0)])
        scene.monitor(30.0)
        assert known_of(scene.health, A).last_check_s == 26.0

        scene.stage.spawn(scene.health.stop_monitoring())
        scene.stage.env.run(until=500.0)
        assert known_of(scene.health, A).last_check_s == 26.0

    def test_stopping(self):
        """After the stop nobody is probed; a new start begins anew."""
        scene = Scene()
        scene.monitor(20.0)
        assert scene.health.is_monitoring
        scene.stage.spawn(scene.health.stop_monitoring())
        scene.stage.env.run(until=100.0)
        assert not scene.health.is_monitoring
        assert len(scene.network.probed) == 3

        assert scene.monitor(101.0)[3:] == [100.0]

    def test_starting_twice(self):
        """A second start with the same interval changes nothing, one with another replaces it."""
        scene = Scene(jitter=0.0)
        scene.monitor(11.0)
        scene.monitor(12.0)
        assert [at_s for at_s, _ in scene.network.probed] == [0.0, 5.0]

        probed = scene.monitor(18.0, interval_s=2.0)
        assert probed == [0.0, 5.0, 12.0, 13.0, 15.0, 17.0]

    def test_nodes_come_and_go(self):
        """A node that is registered while probes run is probed at once; one that left is not."""
        scene = Scene()
        scene.monitor(7.0)
        scene.health.register_node(B)
        scene.stage.env.run(until=13.0)
        scene.health.deregister_node(A)
        scene.stage.env.run(until=40.0)

        assert [at_s for at_s, node in scene.network.probed if node == A] == [0.0, 5.0]
        assert [at_s for at_s, node in scene.network.probed if node == B][:2] == [7.0, 12.0]
        assert scene.health.record(A) is None

    def test_registering_again_keeps_the_record(self):
        """A node that is watched already is not forgotten by registering it again."""
        scene = Scene()
        scene.monitor(1.0)
        scene.health.register_node(A)

        assert known_of(scene.health, A).status is HealthState.HEALTHY


class TestCheckNode:
    """Checking one node now."""

    def test_returns_what_is_known(self):
        """A check returns the node's health as it is after the probe."""
        scene = Scene()
        known = scene.stage.run(scene.health.check_node(A))

        assert known == known_of(scene.health, A)
        assert known.status is HealthState.HEALTHY

    def test_raises_what_the_probe_raised(self):
        """A node that does not answer is an error, and takes the check into account."""
        scene = Scene(outages=[(0.0, 9.0)], failure_threshold=1)
        with pytest.raises(NodeUnreachable, match="Node unreachable: a"):
            scene.stage.run(scene.health.check_node(A))

        assert known_of(scene.health, A).status is HealthState.UNHEALTHY

    def test_raises_a_timeout(self):
        """A check ends at the probe's timeout."""
        scene = Scene(probe_s=9.0, timeout_s=2.0)
        with pytest.raises(Timeout, match="Timeout after 2 s"):
            scene.stage.run(scene.health.check_node(A))

    def test_an_answer_at_the_very_timeout(self):
        """It is an answer."""
        scene = Scene(probe_s=2.0, timeout_s=2.0)

        assert scene.stage.run(scene.health.check_node(A)).status is HealthState.HEALTHY

    def test_an_unknown_node_is_unreachable(self):
        """A node that is not watched is not probed."""
        scene = Scene()
        with pytest.raises(NodeUnreachable):
            scene.stage.run(scene.health.check_node(B))

        assert scene.network.probed == []


class TestTraffic:
    """What a gateway's own requests tell."""

    def test_a_new_node(self):
        """A node is unknown at first, with nothing known of it."""
        traffic = Traffic()
        traffic.stage.env.run(until=3.0)
        traffic.register(A)
        known = known_of(traffic.health, A)

        assert known.status is HealthState.UNKNOWN
        assert (known.latency_p50_s, known.latency_p99_s, known.throughput) == (0.0, 0.0, 0)
        assert (known.gpu_utilization, known.queue_depth, known.last_check_s) == (None, 0, 3.0)

    def test_the_first_success_makes_it_healthy(self):
        """One success is enough for an unknown node."""
        traffic = Traffic()
        traffic.register(A)
        traffic.serve(A, 0.5)

        assert traffic.status(A) is HealthState.HEALTHY
        assert traffic.seen.health == [(0.1, "a", "unknown", "healthy")]

    def test_failures_in_a_row_degrade(self):
        """Three failures in a row degrade a node until the next success; two do not."""
        traffic = Traffic()
        traffic.register(A)
        traffic.serve(A, 0.5)
        traffic.fail(A, 2)
        traffic.serve(A, 0.5)
        traffic.fail(A, 2)
        assert traffic.status(A) is HealthState.HEALTHY

        traffic.fail(A)
        assert traffic.status(A) is HealthState.DEGRADED
        assert traffic.seen.reasons[-1] == "3 failures in a row"
        traffic.serve(A, 0.5)
        assert traffic.status(A) is HealthState.HEALTHY

    def test_traffic_alone_makes_no_node_unhealthy(self):
        """Whatever fails in traffic, only probes decide that a node is unhealthy."""
        traffic = Traffic()
        traffic.register(A)
        traffic.fail(A, 100)

        assert traffic.status(A) is HealthState.DEGRADED

    @pytest.mark.parametrize("late", ["failures", "slow answers", "good answers"])
    def test_traffic_does_not_revive_an_unhealthy_node(self, late):
        """Late results of an unhealthy node leave the decision to the probes, however many."""
        scene = Scene(outages=[(0.0, 100.0)], degraded_latency_s=1.0)
        scene.monitor(50.0)
        for _ in range(20):
            if late == "failures":
                scene.health.report_failure(A)
            else:
                scene.health.report_success(A, 9.0 if late == "slow answers" else 0.5)

        assert known_of(scene.health, A).status is HealthState.UNHEALTHY
        assert scene.seen.health == [(15.5, "a", "unknown", "unhealthy")]

    def test_slow_against_the_own_pool(self):
        """A node whose median exceeds three times its pool's is degraded until it is fast."""
        traffic = Traffic()
        traffic.register(A, B, C)
        for node in (B, C):
            traffic.serve(node, 1.0, count=10)
        traffic.wait(2.0)
        traffic.serve(A, 3.1, count=4)
        assert traffic.status(A) is HealthState.HEALTHY  # four samples are not believed

        traffic.serve(A, 3.1)
        assert traffic.status(A) is HealthState.DEGRADED
        assert traffic.seen.reasons[-1] == "its median exceeds 3 times its pool's"
        traffic.serve(A, 1.0, count=6)
        assert traffic.status(A) is HealthState.HEALTHY

    def test_slow_for_one_pool_is_normal_for_another(self):
        """All nodes of a slow pool are healthy: they are set against their own median alone."""
        traffic = Traffic()
        traffic.register(A, B, pool="slow")
        traffic.register(C, pool="fast")
        for node, latency_s in ((A, 30.0), (B, 40.0), (C, 0.1)):
            traffic.serve(node, latency_s, count=10)
            traffic.wait(1.5)
            traffic.serve(node, latency_s, count=10)

        assert {traffic.status(node) for node in (A, B, C)} == {HealthState.HEALTHY}

    def test_a_slow_node_shows_in_a_pool_of_two(self):
        """Of two nodes, one that takes four times as long as the other is degraded."""
        traffic = Traffic()
        traffic.register(A, B)
        traffic.serve(A, 1.0, count=10)
        traffic.wait(2.0)
        traffic.serve(B, 4.0, count=10)

        assert traffic.status(A) is HealthState.HEALTHY
        assert traffic.status(B) is HealthState.DEGRADED

    def test_a_fixed_limit(self):
        """With a degraded latency set, that is the limit, whatever the pool."""
        traffic = Traffic(degraded_latency_s=1.0)
        traffic.register(A)
        traffic.serve(A, 1.0, count=10)
        assert traffic.status(A) is HealthState.HEALTHY

        traffic.serve(A, 1.01, count=15)
        assert traffic.status(A) is HealthState.DEGRADED
        assert traffic.seen.reasons[-1] == "its median exceeds 1 s"

    def test_latencies_expire(self):
        """After the window without traffic nothing is known; the next sample stands alone."""
        traffic = Traffic()
        traffic.register(A)
        traffic.serve(A, 9.0, count=20)
        last_s = traffic.clock.now()
        traffic.stage.env.run(until=last_s + 59.9)
        assert known_of(traffic.health, A).latency_p50_s == 9.0

        traffic.stage.env.run(until=last_s + 60.0)
        known = known_of(traffic.health, A)
        assert (known.latency_p50_s, known.latency_p99_s) == (0.0, 0.0)
        assert known.last_check_s == last_s
        traffic.serve(A, 0.5)
        assert known_of(traffic.health, A).latency_p50_s == 0.5

    def test_percentiles(self):
        """p50 and p99 are those of the samples in the window."""
        traffic = Traffic()
        traffic.register(A)
        for latency_s in range(1, 102):
            traffic.health.report_success(A, float(latency_s))
        known = known_of(traffic.health, A)

        assert known.latency_p50_s == 51.5  # the newest 100: 2 to 101
        assert known.latency_p99_s == pytest.approx(100.01)

    def test_unwatched_nodes_are_ignored(self):
        """Reports of a node that is not registered are dropped."""
        traffic = Traffic()
        traffic.serve(A, 1.0)
        traffic.fail(A)

        assert traffic.health.get_cached_health(A) is None

    def test_a_departed_node_leaves_its_pool(self):
        """A node that was deregistered no longer counts for its pool's median."""
        traffic = Traffic()
        traffic.register(A, B, C)
        for node, latency_s in ((A, 1.0), (B, 1.0), (C, 5.0)):
            traffic.serve(node, latency_s, count=10)
        for node in (A, B):
            traffic.health.deregister_node(node)
        traffic.wait(2.0)

        record = traffic.health.record(C)
        assert record is not None
        assert traffic.health.pool_median_s(record) == 5.0


class TestTheEndOfDegraded:
    """A node that no traffic is sent to does not stay degraded."""

    def test_good_probes_forgive_failures(self):
        """Two good probes in a row after the last failure end what failures began."""
        scene = Scene(jitter=0.0)
        scene.monitor(6.0)  # probes at 0 and 5 were good
        for _ in range(3):
            scene.health.report_failure(A)
        scene.stage.env.run(until=17.0)  # one at 15
        scene.health.report_failure(A)
        scene.stage.env.run(until=34.0)
        assert known_of(scene.health, A).status is HealthState.DEGRADED
        scene.stage.env.run(until=60.0)

        assert scene.seen.health[1:] == [
            (6.0, "a", "healthy", "degraded"),
            (35.0, "a", "degraded", "healthy"),  # after those at 25 and 35
        ]
        assert scene.seen.reasons[-1] == "2 successful probes in a row"

    def test_a_forgiven_node_begins_anew(self):
        """It takes three more failures to degrade a node that was forgiven."""
        scene = Scene(jitter=0.0)
        scene.monitor(6.0)
        for _ in range(3):
            scene.health.report_failure(A)
        scene.stage.env.run(until=40.0)
        scene.health.report_failure(A)
        scene.health.report_failure(A)

        assert known_of(scene.health, A).status is HealthState.HEALTHY

    def test_good_probes_say_nothing_of_latencies(self):
        """A slow node stays degraded for all its good probes, until its latencies expire."""
        scene = Scene(jitter=0.0, degraded_latency_s=1.0)
        scene.monitor(6.0)
        for _ in range(5):
            scene.health.report_success(A, 9.0)
        for _ in range(3):
            scene.health.report_failure(A)
        scene.stage.env.run(until=100.0)

        assert scene.seen.health[1:] == [
            (6.0, "a", "healthy", "degraded"),
            (66.0, "a", "degraded", "healthy"),
        ]
        assert scene.seen.reasons[-1] == "nothing new against it for 60 s"

    def test_failures_expire(self):
        """Where nobody probes, failures are forgotten a window after the last one."""
        scene = Scene()
        scene.stage.env.run(until=10.0)
        for _ in range(3):
            scene.health.report_failure(A)
        scene.stage.env.run(until=40.0)
        scene.health.report_failure(A)
        scene.stage.env.run(until=99.9)
        assert known_of(scene.health, A).status is HealthState.DEGRADED
        scene.stage.env.run(until=200.0)

        assert scene.seen.health == [
            (10.0, "a", "unknown", "degraded"),
            (100.0, "a", "degraded", "healthy"),
        ]

    def test_a_second_time(self):
        """A node that recovered and fell ill again is given a whole window again."""
        scene = Scene()
        for at_s in (0.0, 50.0):
            scene.stage.env.run(until=at_s) if at_s else None
            for _ in range(3):
                scene.health.report_failure(A)
            if not at_s:
                scene.health.report_success(A, 0.5)
        scene.stage.env.run(until=200.0)

        assert scene.seen.health[-2:] == [
            (50.0, "a", "healthy", "degraded"),
            (110.0, "a", "degraded", "healthy"),
        ]

    def test_a_node_that_left_is_not_looked_at(self):
        """Nothing is left behind of a degraded node that is deregistered."""
        scene = Scene()
        for _ in range(3):
            scene.health.report_failure(A)
        scene.stage.env.run(until=1.0)
        scene.health.deregister_node(A)
        scene.stage.env.run(until=200.0)

        assert scene.seen.health == [
            (0.0, "a", "unknown", "degraded"),
            (1.0, "a", "degraded", "unknown"),
        ]


class TestBestThroughput:
    """Throughputs are set against the best that some node has now."""

    def test_of_a_node_that_is_gone(self):
        """A node that left, or that has slowed down, is no measure for the others."""
        scene = Scene(nodes=(A, B))
        throughputs = {A: 100, B: 40}
        scene.network.telemetry = lambda node: (0.0, throughputs[node])
        for node in (A, B):
            scene.stage.run(scene.health.check_node(node))
        record = scene.health.record(A)
        assert record is not None
        pool = record.pool
        assert pool.best_throughput == 100

        scene.network.telemetry = lambda _: (0.0, 60)
        scene.stage.run(scene.health.check_node(A))
        assert pool.best_throughput == 60
        scene.health.deregister_node(A)
        assert pool.best_throughput == 40


class TestAnnouncements:
    """Subscribers hear of what may change a node's eligibility."""

    def test_crossing_a_watched_latency(self):
        """A median that crosses a watched limit is announced, one that stays on its side is not."""
        traffic = Traffic()
        traffic.register(A)
        traffic.serve(A, 1.0)
        told: list[str] = []
        traffic.health.subscribe(told.append)
        traffic.health.add_latency_limit(2.0)
        traffic.serve(A, 1.5)
        assert told == []

        traffic.serve(A, 9.0, count=2)
        assert told == [A]
        traffic.serve(A, 9.0)  # the fifth sample, from which the median is believed
        assert told == [A, A]
        traffic.serve(A, 1.0, count=5)
        assert told == [A, A, A]

    def test_changes_of_throughput(self):
        """A throughput that crosses what some request needs is announced, and no other."""
        scene = Scene()
        scene.health.add_throughput_limit(71)
        told: list[str] = []
        scene.stage.run(scene.health.check_node(A))
        scene.health.subscribe(told.append)
        scene.stage.run(scene.health.check_node(A))
        assert told == []

        scene.network.telemetry = lambda _: (0.0, 71)
        scene.stage.run(scene.health.check_node(A))
        assert told == [A]
