"""What each kind of fault does to requests, probes and nodes, to the second.

A request of size 3 takes 3 s of service; messages take no time unless a test says otherwise.
"""

from __future__ import annotations

from typing import Any

import pytest

from fedsim.federation.catalog import DeploymentStatus
from fedsim.federation.contracts import FederationError
from fedsim.workload.distributions import Constant
from fedsim.world.faults.config import FaultConfig
from fedsim.world.faults.gray import BlackHole, Errors, Health
from fedsim.world.faults.kind import FaultKind
from fedsim.world.faults.links import BadLink, Partition
from fedsim.world.faults.maintenance import Drain, RollingDeployment
from fedsim.world.faults.stopping import Correlated, Flapping, Spot
from tests.unit.world.scripted import HERE, Reader, Script, Waiter, errors, outage, send

NODE = {"node": "node-0"}
LINK = (HERE, "node")


def fault(kind: FaultKind, at_s: float, lasts_s: float, **target: Any) -> FaultConfig:
    """Return a scripted fault, of ``node-0`` unless another target is named."""
    if not {"node", "pool", "region", "ends"} & target.keys():
        target = {"node": "node-0", **target}
    return FaultConfig(kind, at_s=at_s, lasts_s=lasts_s, **target)


def cut(at_s, lasts_s, ends=LINK, *, one_way=False):
    """Return a partition."""
    return fault(Partition(), at_s, lasts_s, ends=ends, one_way=one_way)


def probes(at_s, faults, **settings):
    """Return what probes say that are sent at times, and when: the queue's length, or an error."""
    seen = []

    async def act(site, target, request):
        sent_s = site.clock.now()
        try:
            health = await site.tasks.within(site.transport.probe(target.node_id), 20.0)
        except FederationError as error:
            seen.append((sent_s, error.kind, site.clock.now() - sent_s))
        except TimeoutError:
            seen.append((sent_s, "silence", site.clock.now() - sent_s))
        else:
            seen.append((sent_s, health.queue_depth, site.clock.now() - sent_s))
        return await send(site, target, request)

    Script([(time_s, 5) for time_s in at_s], act=act, faults=faults, **settings).play()
    return seen


class TestDrain:
    def test_finishes_the_old_and_refuses_the_new(self):
        """What is in service or waits is served; what arrives meanwhile is refused."""
        rows = [(0.0, 4), (0.5, 4), (3.0, 1), (12.0, 1)]
        played = Script(rows, slots=1, faults=[fault(Drain(), 2.0, 8.0)]).play()

        assert played.log == [
            (0, "ok", 4.0),
            (1, "ok", 8.0),
            (2, "no_capacity", 3.0),
            (3, "ok", 13.0),
        ]
        assert played.faults == [
            (2.0, "node-0", "up", "draining", "drain"),
            (10.0, "node-0", "draining", "up", "drain"),
        ]

    def test_the_catalog_knows_until_the_last_drain_ends(self):
        """Overlapping drains end one by one, and a crash in one of them changes nothing of it."""
        seen = []

        async def act(site, target, request):
            (deployment,) = site.catalog.deployments()
            seen.append(deployment.status)
            return await send(site, target, request)

        faults = [fault(Drain(), 1.0, 4.0), fault(Drain(), 3.0, 6.0), outage(4.0, 2.0)]
        rows = [(time_s, 1) for time_s in (0.5, 2.0, 5.5, 7.0, 9.5)]
        Script(rows, act=act, faults=faults).play()

        ready, draining = DeploymentStatus.READY, DeploymentStatus.DRAINING
        assert seen == [ready, draining, draining, draining, ready]


class TestErrorsThatComeLate:
    def test_hold_no_slot(self):
        """While a request waits for its error, another has the slot."""
        late = fault(Errors(1.0, 5.0), 0.0, 2.0)
        played = Script([(1.0, 3), (2.5, 3)], slots=1, faults=[late]).play()

        assert played.log == [(0, "internal", 6.0), (1, "ok", 5.5)]

    def test_after_the_arrival_at_the_node(self):
        """Network there, the time of the error, network back; no slot is ever used."""
        late = fault(Errors(1.0, 5.0), 0.0, 9.0)
        played = Script([(1.0, 3)], leg_s=1.0, faults=[late]).play()

        assert played.log == [(0, "internal", 8.0)]
        assert played.busy_s == 0.0

    def test_a_crash_comes_before_it(self):
        """A node that dies takes with it what was to fail."""
        late = fault(Errors(1.0, 5.0), 0.0, 9.0)
        played = Script([(1.0, 3)], faults=[late, outage(3.0, 1.0)]).play()

        assert played.log == [(0, "node_unreachable", 3.0)]

    def test_beside_those_that_come_at_once(self):
        """Every request is struck by the first that it does not escape."""
        faults = [
            fault(Errors(1.0, 5.0), 0.0, 9.0),
            errors(0.0, 9.0, 1.0),
        ]
        played = Script([(1.0, 3)], faults=faults).play()

        assert played.log == [(0, "internal", 6.0)]


class TestBlackHole:
    def test_never_answers(self):
        """Neither what it has when it begins nor what comes is answered; at the end all fails."""
        rows = [(0.0, 5), (3.0, 1), (11.0, 1)]
        played = Script(rows, slots=1, faults=[fault(BlackHole(), 2.0, 8.0)]).play()

        assert played.log == [
            (0, "node_unreachable", 10.0),
            (1, "node_unreachable", 10.0),
            (2, "ok", 12.0),
        ]
        assert played.wasted_s == 2.0
        assert played.busy_s == 3.0

    def test_two_at_once(self):
        """Where the first of two ends, the node stays a black hole until the second does."""
        holes = [fault(BlackHole(), 2.0, 8.0), fault(BlackHole(), 4.0, 12.0)]
        played = Script([(3.0, 1), (11.0, 1), (17.0, 1)], slots=1, faults=holes).play()

        assert played.log == [
            (0, "node_unreachable", 16.0),
            (1, "node_unreachable", 16.0),
            (2, "ok", 18.0),
        ]

    def test_a_deadline_ends_the_wait(self):
        """A gateway with a deadline hears of nothing before it."""
        played = Script(
            [(3.0, 1)], limits_s={0: 4.0}, faults=[fault(BlackHole(), 2.0, 80.0)]
        ).play()

        assert played.log == [(0, "timeout", 7.0)]

    def test_a_stream_falls_silent(self):
        """No token comes any more once it has begun, and the connection breaks at its end."""
        reader = Reader()
        Script([(0.0, 4)], act=reader, faults=[fault(BlackHole(), 2.5, 5.0)]).play()

        assert reader.log[0] == ("open", 0.0)
        assert reader.log[-1][1] == 7.5
        assert all(time_s <= 2.5 for _, time_s in reader.log[:-1])

    def test_probes_are_not_answered(self):
        """Whoever probes it has to give up by itself."""
        seen = probes([3.0, 30.0], [fault(BlackHole(), 2.0, 8.0)], leg_s=1.0)

        assert seen == [(3.0, "silence", 20.0), (30.0, 0, 2.0)]


class TestPartition:
    def test_requests_do_not_connect(self):
        """What is sent while it lasts fails after the connect timeout of 1 s."""
        played = Script([(2.0, 1), (4.5, 1)], leg_s=1.0, faults=[cut(1.0, 3.0)]).play()

        assert played.log == [(0, "node_unreachable", 3.0), (1, "ok", 7.5)]
        assert played.faults == [
            (1.0, f"{HERE} <> node", "normal", "cut", "partition"),
            (4.0, f"{HERE} <> node", "cut", "normal", "partition"),
        ]

    def test_messages_under_way_arrive(self):
        """A request sent before it, and its answer sent after it, are not struck."""
        played = Script([(0.5, 3)], leg_s=1.0, faults=[cut(1.0, 3.0)]).play()

        assert played.log == [(0, "ok", 5.5)]

    def test_answers_are_lost(self):
        """The node works in vain on what came before; the attempt's deadline decides."""
        script = Script([(0.0, 2)], leg_s=1.0, limits_s={0: 9.0}, faults=[cut(1.5, 4.0)])
        played = script.play()

        assert played.log == [(0, "timeout", 9.0)]
        assert played.wasted_s == played.busy_s == 2.0

    def test_last_tokens_are_lost(self):
        """A stream whose last tokens are due while it lasts has no end for who waits for that."""
        waiter = Waiter(idle_s=2.0)
        faults = [cut(4.75, 1.0)]  # tokens are due at 2, 3, 4 and 5 s
        played = Script([(0.0, 4)], leg_s=0.5, act=waiter, faults=faults).play()

        assert waiter.log == [("timeout", 6.0)]
        assert played.wasted_s == played.busy_s == 4.0

    def test_one_way(self):
        """Only messages from the first end are struck: requests in one case, answers in the other.

        A gateway that cannot be answered still makes its nodes work.
        """
        to_node, to_gateway = ("here/0", "node"), ("node", "here/0")
        for ends, outcome, worked_s in (
            (to_node, "node_unreachable", 0.0),
            (to_gateway, "timeout", 2.0),
        ):
            script = Script(
                [(1.0, 2)], limits_s={0: 6.0}, leg_s=1.0, faults=[cut(0.5, 9.0, ends, one_way=True)]
            )
            played = script.play()
            assert [outcome for _, outcome, _ in played.log] == [outcome]
            assert played.busy_s == worked_s

    def test_aborts_are_lost(self):
        """A node does not hear that nobody waits any more, and works on."""
        script = Script([(0.0, 9)], leg_s=1.0, limits_s={0: 3.0}, faults=[cut(2.0, 4.0)])

        assert script.play().busy_s == 9.0

    def test_probes_do_not_connect(self):
        """A probe fails after the connect timeout; one whose answer is lost hears nothing."""
        assert probes([2.0], [cut(1.0, 9.0)], leg_s=1.0) == [(2.0, "node_unreachable", 1.0)]
        back = cut(1.0, 9.0, ("node", HERE), one_way=True)
        assert probes([2.0], [back], leg_s=1.0) == [(2.0, "silence", 20.0)]

    def test_two_at_once(self):
        """A link is whole again when the last of its partitions is over."""
        faults = [cut(1.0, 3.0), cut(2.0, 4.0)]
        played = Script([(5.0, 1), (6.5, 1)], leg_s=1.0, faults=faults).play()

        assert [outcome for _, outcome, _ in played.log] == ["node_unreachable", "ok"]


class TestLink:
    def test_latency_in_each_direction(self):
        """Each message that is sent while it lasts takes longer by the latency."""
        slow = fault(BadLink(latency_s=0.5), 1.0, 3.0, ends=LINK)
        played = Script([(0.5, 1), (2.0, 5)], leg_s=1.0, faults=[slow]).play()

        assert played.log == [(0, "ok", 0.5 + 1.0 + 1.0 + 1.5), (1, "ok", 2.0 + 1.5 + 5.0 + 1.0)]
        assert played.tables.requests["network_s"].tolist() == [2.5, 2.5]

    def test_one_way(self):
        """With from and to, only messages in that direction take longer; latencies add up."""
        slow = fault(BadLink(0.5), 1.0, 30.0, ends=("node", HERE), one_way=True)
        faults = [slow] * 2
        played = Script([(2.0, 1)], leg_s=1.0, faults=faults).play()

        assert played.log == [(0, "ok", 2.0 + 1.0 + 1.0 + 2.0)]

    def test_loss_is_that_of_a_partition(self):
        """Of lost requests the gateway hears after the connect timeout, of lost answers never."""
        link = fault(BadLink(loss=0.3), 0.0, 2000.0, ends=LINK)
        rows = [(float(time_s), 1) for time_s in range(1, 401)]
        limits_s = dict.fromkeys(range(400), 10.0)
        played = Script(
            rows,
            slots=1000,
            leg_s=1.0,
            limits_s=limits_s,
            faults=[link],
            duration_s=500.0,
        ).play()

        counts = played.tables.requests["outcome"].value_counts()
        assert abs(counts["node_unreachable"] / 400 - 0.3) < 3.5 * (0.3 * 0.7 / 400) ** 0.5
        assert abs(counts["ok"] / 400 - 0.49) < 3.5 * (0.49 * 0.51 / 400) ** 0.5
        assert counts.sum() == counts["ok"] + counts["node_unreachable"] + counts["timeout"]

    def test_jitter(self):
        """The 95th percentile of a message's time is so much above its median."""
        link = fault(BadLink(jitter=0.5), 0.0, 2000.0, ends=("here/0", "node"), one_way=True)
        rows = [(float(time_s), 1) for time_s in range(1000)]
        played = Script(
            rows,
            slots=1000,
            leg_s=1.0,
            faults=[link],
            duration_s=1000.0,
        ).play()

        legs_s = played.tables.requests["network_s"] - 1.0
        assert abs((legs_s > 1.5).mean() - 0.05) < 3.5 * (0.05 * 0.95 / 1000) ** 0.5
        assert abs((legs_s > 1.0).mean() - 0.5) < 3.5 * (0.25 / 1000) ** 0.5


def test_flapping():
    """Down for the share of each period from its start, up for the rest, and up at the end."""
    flapping = fault(Flapping(10.0, 0.3), 10.0, 25.0)

    played = Script([(0.0, 1)], faults=[flapping], duration_s=60.0).play()

    assert [(time, after) for time, _, _, after, _ in played.faults] == [
        (10.0, "down"),
        (13.0, "up"),
        (20.0, "down"),
        (23.0, "up"),
        (30.0, "down"),
        (33.0, "up"),
    ]
    assert played.tables.node_totals["up_s"].tolist() == [51.0]


class TestHealth:
    def test_says_well(self):
        """The endpoint answers while the node is down, or a black hole."""
        lie = fault(Health("well"), 0.0, 90.0)
        faults = [lie, outage(1.0, 4.0), fault(BlackHole(), 9.0, 4.0)]

        assert probes([2.0, 10.0], faults, leg_s=1.0) == [(2.0, 0, 2.0), (10.0, 0, 2.0)]

    def test_says_ill(self):
        """The endpoint calls a node ill that serves as ever."""
        lie = fault(Health("ill"), 0.0, 5.0)

        assert probes([2.0, 8.0], [lie]) == [(2.0, "internal", 0.0), (8.0, 0, 0.0)]

    def test_lags(self):
        """The verdict is that of some time ago, also when the node has come back."""
        lie = fault(Health(lag_s=10.0), 0.0, 90.0)

        seen = probes([5.5, 12.5, 18.5], [lie, outage(2.1, 4.0)])

        assert [verdict for _, verdict, _ in seen] == [0, 0, 0]
        seen = probes([13.5, 15.5, 17.5], [lie, outage(2.1, 4.0)])
        assert [verdict for _, verdict, _ in seen] == ["node_unreachable"] * 2 + [0]

    def test_the_longest_of_several_lags_counts(self):
        """10 s ago the node was down, 2 s ago it was up, whichever fault began first."""
        long, short = (fault(Health(lag_s=lag_s), 0.0, 90.0) for lag_s in (10.0, 2.0))
        for lies in ([long, short], [short, long]):
            seen = probes([5.5, 13.5], [*lies, outage(2.1, 4.0)])
            assert [verdict for _, verdict, _ in seen] == [0, "node_unreachable"]


def test_spot():
    """Notice, in which it drains; gone, with what it had not finished; back, cold."""
    spot = fault(Spot(3.0), 2.0, 5.0)
    rows = [(1.0, 3), (1.5, 9), (3.0, 1), (6.0, 1), (11.0, 1), (13.0, 1)]

    played = Script(rows, slots=9, faults=[spot], pool={"cold_start": Constant(2.0)}).play()

    assert played.log == [
        (0, "ok", 4.0),
        (1, "node_unreachable", 5.0),
        (2, "no_capacity", 3.0),
        (3, "node_unreachable", 6.0),
        (4, "node_unreachable", 11.0),
        (5, "ok", 14.0),
    ]
    assert played.faults == [
        (2.0, "node-0", "up", "draining", "spot"),
        (5.0, "node-0", "draining", "down", "spot"),
        (10.0, "node-0", "down", "up", "spot"),
    ]


class TestRollingDeployment:
    def test_batch_by_batch(self):
        """Each node drains, stops, starts and loads; then the pause; then the next batch."""
        rolling = RollingDeployment(batch=2, pause_s=5.0, drain_s=30.0, restart_s=10.0)
        deployment = FaultConfig(rolling, pool="node", at_s=2.0)
        script = Script(
            [(1.0, 4)],
            nodes=3,
            faults=[deployment],
            pool={"cold_start": Constant(3.0)},
            duration_s=60.0,
        )

        told = [(time, subject, after) for time, subject, _, after, _ in script.play().faults]

        assert told == [
            (2.0, "node", "rolling"),
            (2.0, "node-0", "draining"),
            (2.0, "node-1", "draining"),
            (2.0, "node-1", "down"),
            (5.0, "node-0", "down"),
            (12.0, "node-1", "up"),
            (15.0, "node-0", "up"),
            (23.0, "node-2", "draining"),
            (23.0, "node-2", "down"),
            (33.0, "node-2", "up"),
            (36.0, "node", "normal"),
        ]

    def test_impatient(self):
        """What a node has not finished in time fails."""
        rolling = RollingDeployment(drain_s=3.0, restart_s=1.0)
        deployment = FaultConfig(rolling, pool="node", at_s=2.0)

        played = Script([(1.0, 40)], faults=[deployment]).play()

        assert played.log == [(0, "node_unreachable", 5.0)]


class TestCorrelated:
    def test_within_a_spread(self):
        """Each node of the group goes down within the spread, and all come back together."""
        group = fault(Correlated(spread_s=4.0), 10.0, 20.0, region=HERE)
        events = Script([(0.0, 1)], nodes=5, faults=[group], duration_s=60.0).play().faults

        downs = [(time, subject) for time, subject, _, after, _ in events if after == "down"]
        assert {subject for _, subject in downs} == {f"node-{number}" for number in range(5)}
        assert all(10.0 <= time <= 14.0 for time, _ in downs)
        assert len({time for time, _ in downs}) == 5
        assert {time for time, _, _, after, _ in events if after == "up"} == {30.0}

    def test_a_spread_ends_with_the_fault(self):
        """With a spread above its length, all go down while it lasts, and all come back."""
        group = fault(Correlated(spread_s=90.0), 10.0, 5.0, region=HERE)
        script = Script([(0.0, 1)], nodes=5, faults=[group], duration_s=120.0)
        events = [(time, after) for time, _, _, after, _ in script.play().faults]

        assert [time for time, after in events if after == "up"] == [15.0] * 5
        downs = [time for time, after in events if after == "down"]
        assert len(downs) == 5
        assert 10.0 <= min(downs) < max(downs) < 15.0

    def test_racks(self):
        """Scripted, one rack of consecutive nodes goes down, which the seed decides."""
        rack = fault(Correlated(2), 10.0, 20.0, pool="node")
        struck = set()
        for seed in range(12):
            script = Script([(0.0, 1)], nodes=5, faults=[rack], duration_s=60.0, seed=seed)
            struck.add(tuple(subject for _, subject, *_ in script.play().faults[:-1][:2]))

        assert struck >= {("node-0", "node-1"), ("node-2", "node-3")}


@pytest.mark.parametrize(("share", "count"), [(0.25, 1), (0.5, 2), (0.01, 1)])
def test_share(share, count):
    """A share of the nodes is struck, at least one, always the same ones for a seed."""
    faults = [fault(Drain(), 1.0, 2.0, pool="node", share=share)]
    runs = [Script([(0.0, 1)], nodes=4, faults=faults, seed=3).play().faults for _ in range(2)]

    assert runs[0] == runs[1]
    assert len({subject for _, subject, *_ in runs[0]}) == count
