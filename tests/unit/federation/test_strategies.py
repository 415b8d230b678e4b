"""The five strategies, each doing what its name says."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter

import pytest

from fedsim.federation.contracts import LoadBalanceStrategy, ModelId, NodeId
from tests.conftest import ROOT
from tests.unit.federation.stand_ins import Dice, RouterScene, deployment, drive, request

ROUND_ROBIN = LoadBalanceStrategy.ROUND_ROBIN
LEAST_CONNECTIONS = LoadBalanceStrategy.LEAST_CONNECTIONS
LEAST_LATENCY = LoadBalanceStrategy.LEAST_LATENCY
WEIGHTED_RANDOM = LoadBalanceStrategy.WEIGHTED_RANDOM
CONSISTENT_HASH = LoadBalanceStrategy.CONSISTENT_HASH

TEN_NODES = [f"node-{number}" for number in range(10)]
TENANTS = [f"tenant-{number}" for number in range(10_000)]


PLACE_TENANTS = """
from types import SimpleNamespace
from fedsim.federation.strategies.base import Candidates, Turn
from fedsim.federation.strategies.hashing import ConsistentHash

names = [f"node-{number}" for number in range(10)]
fleet = SimpleNamespace(version=1, node_ids=names)
strategy, candidates = ConsistentHash(), Candidates(tuple(range(10)), Turn(0))
for number in range(500):
    request = SimpleNamespace(tenant_id=f"tenant-{number}", request_id="1")
    print(names[strategy.select(fleet, candidates, request)])
"""


class FixedScores:
    """A policy that gives each node a score of its own."""

    def __init__(self, **scores):
        self._scores = scores

    def score(self, candidate, request):
        """Return the node's score."""
        return self._scores[candidate.target.node_id]

    def is_eligible(self, candidate, request):
        """Exclude nobody."""
        return True

    def name(self):
        """Return a name."""
        return "fixed"


@pytest.mark.parametrize("strategy", LoadBalanceStrategy)
def test_one_node_gets_everything(strategy):
    """With one eligible node there is no choice."""
    scene = RouterScene("a", strategy=strategy)

    assert scene.routes(5) == "aaaaa"


class TestRoundRobin:
    """Each in turn."""

    def test_turns(self):
        """Nodes are taken in the order of registration, again and again."""
        assert RouterScene("a", "b", "c").routes(7) == "abcabca"

    def test_a_smaller_round_and_back(self):
        """While a node is out the round of the others goes on; then the full one where it was."""
        scene = RouterScene("a", "b", "c")
        assert scene.routes(4) == "abca"
        scene.break_circuit("b")
        assert scene.routes(4) == "caca"

        scene.clock.now_s = 30.0
        assert scene.routes(4) == "bcab"

    def test_turns_begin_anywhere(self):
        """Where the first turn is drawn from the router's own source."""
        for luck, chosen in ((0.0, "abca"), (0.4, "bcab"), (0.99, "cabc")):
            scene = RouterScene("a", "b", "c")
            scene.router._rng = Dice(luck)
            assert scene.routes(4) == chosen

    def test_a_retry_takes_the_next_turn(self):
        """What is left of the set for a retry goes on with the turn of the whole set."""
        scene = RouterScene("a", "b", "c", "d")
        assert scene.route() == "a"
        assert scene.route(excluded=["a"]) == "b"
        assert scene.route() == "c"
        assert scene.route(excluded=["d"]) == "a"
        assert scene.route(excluded=["d", "b"]) == "c"
        assert scene.routes(2) == "da"

    def test_a_change_of_status_keeps_the_turn(self):
        """A node that drains and returns, again and again, does not favour the first node."""
        scene = RouterScene("a", "b", "c")
        chosen = ""
        for _ in range(6):
            scene.set_status("c", "draining")
            chosen += scene.route()
            scene.set_status("c", "ready")

        assert chosen == "ababab"

    def test_new_nodes_keep_the_turn(self):
        """A node that is added does not send the smaller round back to its beginning."""
        scene = RouterScene("a", "b")
        assert scene.route() == "a"
        scene.catalog.add(deployment("c"))
        scene.break_circuit("c")

        assert scene.route() == "b"


class TestLeastConnections:
    """The fewest in flight."""

    def test_the_least_loaded(self):
        """In flight a 2, b 1, c 1: b, c, then by turn."""
        scene = RouterScene("a", "b", "c", strategy=LEAST_CONNECTIONS)
        for node in "aabc":
            scene.start(node)
        chosen = ""
        for _ in range(4):
            chosen += scene.route()
            scene.start(chosen[-1])

        assert chosen[:2] == "bc"
        assert sorted(chosen) == ["a", "b", "b", "c"] or sorted(chosen) == ["a", "b", "c", "c"]

    def test_ties_rotate(self):
        """Idle nodes are taken in turn."""
        assert RouterScene("a", "b", "c", strategy=LEAST_CONNECTIONS).routes(6) == "abcabc"

    def test_completion_counts(self):
        """A request that has ended no longer counts."""
        scene = RouterScene("a", "b", strategy=LEAST_CONNECTIONS)
        scene.start("a")
        scene.start("b")
        scene.complete("b")
        assert scene.routes(2) == "bb"

    def test_a_node_that_is_registered_again_keeps_its_count(self):
        """Requests in flight across a deregistration are neither forgotten nor counted below 0."""
        scene = RouterScene("a", "b", strategy=LEAST_CONNECTIONS)
        for node in "aab":
            scene.start(node)
        drive(scene.catalog.deregister(ModelId("llama"), NodeId("a")))
        scene.complete("a")
        scene.catalog.add(deployment("a"))
        fleet = scene.router.fleet
        assert dict(zip(fleet.node_ids, fleet.in_flight, strict=True)) == {"b": 1, "a": 1}

        scene.complete("a")
        assert dict(zip(fleet.node_ids, fleet.in_flight, strict=True)) == {"b": 1, "a": 0}


class TestLeastConnectionsByWeight:
    """The fewest in flight for the weight of a node."""

    def scene(self, rng=None):
        """Return nodes of weight 4, 1 and 1."""
        nodes = [deployment(node, weight=each) for node, each in (("a", 4), ("b", 1), ("c", 1))]
        return RouterScene(*nodes, strategy=LEAST_CONNECTIONS, rng=rng or Dice(0.0))

    def test_load_is_divided_by_weight(self):
        """Two of four in flight are less than one of one."""
        scene = self.scene()
        for node in "aabc":
            scene.start(node)

        assert scene.route() == "a"

    def test_fills_by_weight(self):
        """Of 30 requests that stay, each node has what its weight says."""
        scene = self.scene()
        chosen = ""
        for _ in range(30):
            chosen += scene.route()
            scene.start(chosen[-1])

        assert Counter(chosen) == {"a": 20, "b": 5, "c": 5}

    def test_idle_nodes_take_turns_by_weight(self):
        """Where nothing is in flight NGINX's turns decide: a, a, b, a, c, a."""
        assert self.scene().routes(12) == "aabaca" * 2

    def test_gateways_do_not_begin_alike(self):
        """Of many gateways' first requests a third go to the light nodes."""
        rng = random.Random(12)
        first = Counter(self.scene(rng).route() for _ in range(600))

        assert first["b"] + first["c"] == pytest.approx(200, abs=3.5 * (600 * 2 / 9) ** 0.5)


class TestLeastLatency:
    """The node that is expected to answer first."""

    def test_weights_count(self):
        """A node of weight 4 at 0.3 s comes before one of weight 1 at 0.1 s, 0.075 to 0.1."""
        scene = RouterScene(deployment("a", weight=4.0), "b", strategy=LEAST_LATENCY)
        scene.serve("a", 0.3)
        scene.serve("b", 0.1)

        assert scene.route() == "a"

    def test_the_lowest_median(self):
        """Of idle nodes, the one with the lowest median is taken."""
        scene = RouterScene("a", "b", "c", strategy=LEAST_LATENCY)
        for node, latency_s in (("a", 0.3), ("b", 0.1), ("c", 0.2)):
            scene.serve(node, latency_s)

        assert scene.routes(3) == "bbb"

    def test_load_counts(self):
        """Median times requests in flight plus one: 0.1 s thrice is as much as 0.3 s once."""
        scene = RouterScene("a", "b", strategy=LEAST_LATENCY)
        scene.serve("a", 0.101)
        scene.serve("b", 0.3)
        chosen = ""
        for _ in range(6):
            chosen += scene.route()
            scene.start(chosen[-1])

        assert chosen == "aabaaa"

    def test_no_herd(self):
        """Many requests before the first answer spread in proportion to the nodes' speed."""
        scene = RouterScene("a", "b", "c", strategy=LEAST_LATENCY)
        for node, latency_s in (("a", 0.191), ("b", 0.201), ("c", 0.4)):
            scene.serve(node, latency_s)
        chosen: Counter[str] = Counter()
        for _ in range(1000):
            node = scene.route()
            chosen[node] += 1
            scene.start(node)
        speeds = {"a": 1 / 0.191, "b": 1 / 0.201, "c": 1 / 0.4}
        expected = {node: 1000 * speed / sum(speeds.values()) for node, speed in speeds.items()}

        assert all(abs(chosen[node] - expected[node]) <= 2 for node in "abc")

    def test_new_nodes_get_one_trial_at_a_time(self):
        """A node with fewer than five samples gets a request, and no second before it has ended."""
        scene = RouterScene("a", "b", strategy=LEAST_LATENCY)
        scene.serve("a", 0.1)
        scene.serve("b", 9.0, count=4)
        assert scene.route() == "b"
        scene.start("b")
        assert scene.routes(5) == "aaaaa"

        scene.complete("b")
        assert scene.route() == "b"
        scene.serve("b", 9.0, count=1)
        assert scene.routes(5) == "aaaaa"  # five samples: it is known to be slow

    def test_all_new(self):
        """Where nothing is known, trials go round, and beyond them the least loaded is taken."""
        scene = RouterScene("a", "b", "c", strategy=LEAST_LATENCY)
        chosen = ""
        for _ in range(6):
            chosen += scene.route()
            scene.start(chosen[-1])

        assert sorted(chosen[:3]) == ["a", "b", "c"]
        assert sorted(chosen[3:]) == ["a", "b", "c"]

    def test_an_old_estimate_drifts_to_the_pool_s(self):
        """A median of 3.8 s counts as 2.4 s half a window after its sample, the pool's being 1."""
        scene = RouterScene("a", "b", "c", strategy=LEAST_LATENCY)
        scene.serve("a", 3.8)
        scene.clock.now_s = 28.0
        for node in "bc":
            scene.serve(node, 1.0, count=8)
            for _ in range(2):
                scene.start(node)  # counts as 3 s
        scene.clock.now_s = 30.0
        assert scene.route() == "a"

        scene.start("a")  # counts as 4.8 s
        assert scene.route() in "bc"

    def test_an_expired_estimate_is_tried_anew(self):
        """A slow past is forgotten after the window: the node gets a trial."""
        scene = RouterScene("a", "b", strategy=LEAST_LATENCY)
        scene.serve("b", 9.0)
        scene.clock.now_s = 59.0
        scene.serve("a", 0.1)
        assert scene.routes(3) == "aaa"

        scene.clock.now_s = 60.0
        assert scene.route() == "b"


class TestWeightedRandom:
    """At random by score."""

    def shares(self, scene, count=20_000):
        """Return each node's share of many requests."""
        chosen = Counter(scene.route() for _ in range(count))
        return {node: chosen[node] / count for node in sorted(chosen)}

    def test_shares_follow_the_scores(self):
        """Scores 0.6, 0.3 and 0.1 give these shares, within 3.5 standard errors."""
        policy = FixedScores(a=0.6, b=0.3, c=0.1)
        scene = RouterScene(
            "a", "b", "c", strategy=WEIGHTED_RANDOM, policies=[policy], rng=random.Random(1)
        )
        for node, share in self.shares(scene).items():
            expected = policy._scores[node]
            error = (expected * (1.0 - expected) / 20_000) ** 0.5
            assert abs(share - expected) < 3.5 * error

    def test_even_without_policies(self):
        """Without policies all shares are the same, within 3.5 standard errors."""
        scene = RouterScene("a", "b", "c", "d", strategy=WEIGHTED_RANDOM, rng=random.Random(2))
        error = (0.25 * 0.75 / 20_000) ** 0.5

        assert all(abs(share - 0.25) < 3.5 * error for share in self.shares(scene).values())

    @pytest.mark.parametrize(
        ("roll", "node"),
        [(0.0, "a"), (0.599, "a"), (0.601, "b"), (0.899, "b"), (0.901, "c"), (0.9999999, "c")],
    )
    def test_where_the_die_falls(self, roll, node):
        """The shares lie beside each other in the order of the nodes."""
        scene = RouterScene(
            "a",
            "b",
            "c",
            strategy=WEIGHTED_RANDOM,
            policies=[FixedScores(a=0.6, b=0.3, c=0.1)],
            rng=Dice(roll),
        )
        assert scene.route() == node

    def test_zero_and_negative_scores_get_nothing(self):
        """A node that scores 0 or less is not drawn while another scores more."""
        scene = RouterScene(
            "a",
            "b",
            "c",
            strategy=WEIGHTED_RANDOM,
            policies=[FixedScores(a=0.0, b=0.5, c=-3.0)],
            rng=random.Random(3),
        )
        assert set(scene.routes(200)) == {"b"}

    def test_all_zero_is_even(self):
        """Where nobody scores, all are drawn alike."""
        scene = RouterScene(
            "a",
            "b",
            strategy=WEIGHTED_RANDOM,
            policies=[FixedScores(a=0.0, b=0.0)],
            rng=Dice(0.25, 0.75),
        )
        assert scene.routes(4) == "abab"


def places(nodes, tenants=TENANTS):
    """Return where a gateway puts tenants."""
    scene = RouterScene(*nodes, strategy=CONSISTENT_HASH)
    return {tenant: scene.route(request(1, tenant)) for tenant in tenants}


class TestConsistentHash:
    """A tenant stays where it is."""

    def test_removing_a_node_moves_only_its_tenants(self):
        """Of ten nodes four are removed, one at a time; tenants of the others stay."""
        before = places(TEN_NODES)
        for gone in TEN_NODES[::3]:
            after = places([node for node in TEN_NODES if node != gone])
            moved = {tenant for tenant in TENANTS if before[tenant] != after[tenant]}
            assert moved == {tenant for tenant in TENANTS if before[tenant] == gone}

    def test_an_ineligible_node_moves_only_its_tenants(self):
        """An open circuit has the same effect as a removal, and its end brings all back."""
        scene = RouterScene(*TEN_NODES, strategy=CONSISTENT_HASH)
        some = TENANTS[:2000]
        before = {tenant: scene.route(request(1, tenant)) for tenant in some}
        scene.break_circuit("node-4")
        during = {tenant: scene.route(request(1, tenant)) for tenant in some}
        scene.clock.now_s = 30.0
        after = {tenant: scene.route(request(1, tenant)) for tenant in some}

        assert after == before
        assert {tenant for tenant in some if during[tenant] != before[tenant]} == {
            tenant for tenant in some if before[tenant] == "node-4"
        }
        assert during == places([node for node in TEN_NODES if node != "node-4"], some)

    @pytest.mark.parametrize("prefix", ["node", "us-chat", "eu-west-code", "n"])
    def test_load_is_even(self, prefix):
        """10,000 tenants on ten nodes load none above 1.25 times the mean."""
        load = Counter(places([f"{prefix}-{number}" for number in range(10)]).values())

        assert len(load) == 10
        assert max(load.values()) <= 1250

    def test_gateways_agree(self):
        """Another gateway, which learnt of the nodes in another order, places tenants alike."""
        assert places(TEN_NODES) == places(TEN_NODES[::-1])

    def test_without_a_tenant_the_request_id_decides(self):
        """Requests without a tenant spread by id, and one id stays where it is."""
        scene = RouterScene(*TEN_NODES, strategy=CONSISTENT_HASH)
        chosen = [scene.route(request(number)) for number in range(100)]

        assert len(set(chosen)) == 10
        assert chosen == [scene.route(request(number)) for number in range(100)]
        assert chosen[7] == scene.route(request("another", tenant="7"))

    def test_a_new_node_takes_its_share_from_all(self):
        """Adding a node moves tenants to it and to no other."""
        before = places(TEN_NODES)
        after = places([*TEN_NODES, "node-10"])
        moved = {tenant for tenant in TENANTS if before[tenant] != after[tenant]}

        assert {after[tenant] for tenant in moved} == {"node-10"}
        assert 0.06 < len(moved) / len(TENANTS) < 0.125

    def test_independent_of_the_hash_seed(self):
        """Processes with different PYTHONHASHSEED place tenants alike."""
        answers = [
            subprocess.run(
                [sys.executable, "-c", PLACE_TENANTS],
                env={"PYTHONHASHSEED": seed},
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            ).stdout.split()
            for seed in ("1", "2")
        ]
        assert answers == [list(places(TEN_NODES, TENANTS[:500]).values())] * 2
