"""What a gateway keeps for each capability or pool, and does not let others disturb."""

from __future__ import annotations

import pytest

from fedsim.federation.admission import TurnedAway
from fedsim.federation.contracts import Capability, FederationError, InferenceRequest, NodeId
from fedsim.federation.hedging import HedgeConfig
from fedsim.federation.limits import ConcurrencyConfig
from fedsim.federation.outliers import OutlierConfig, OutlierDetector, SuccessRateConfig
from fedsim.federation.shedding import SheddingConfig
from fedsim.federation.throttling import ThrottleConfig
from tests.unit.federation.gateways import GatewayScene
from tests.unit.federation.stand_ins import (
    GENERATE,
    Dice,
    HandClock,
    Onlooker,
    RouterScene,
    deployment,
    drive,
    request,
    unreachable,
)

EMBED = Capability.EMBED
A_CHATS_B_EMBEDS = [deployment("a"), deployment("b", capabilities=(EMBED,))]


def of(capability: Capability, number: object = 1) -> InferenceRequest:
    """Return a request."""
    return request(number, capability=capability)


class Ejections:
    """A detector over two chat nodes and eight embedding nodes."""

    def __init__(self, pools: bool, **settings) -> None:
        rule = SuccessRateConfig(1.9, min_nodes=5, volume=20)
        self.clock = HandClock()
        self.seen = Onlooker()
        config = OutlierConfig(**{"success_rate": rule, **settings})
        self.detector = OutlierDetector(self.clock, config, self.seen)
        chat = {NodeId(f"chat-{number}"): "chat" for number in range(2)}
        embed = {NodeId(f"embed-{number}"): "embed" for number in range(8)}
        self.detector.follow(chat | embed if pools else dict.fromkeys(chat | embed, ""))

    def interval(self, **failures: int) -> list[str]:
        """Send each node 100 requests of which so many fail; return who then is ejected."""
        for node_id in [*(f"chat-{n}" for n in range(2)), *(f"embed-{n}" for n in range(8))]:
            failed = failures.get(node_id.replace("-", ""), 0)
            for number in range(100):
                self.detector.record(NodeId(node_id), "internal" if number < failed else "ok")
        self.clock.now_s += 10.0
        self.detector.tick()
        return [node for _, node, ejected in self.seen.outliers if ejected]


class TestOutliers:
    """Nodes are compared with those of their pool."""

    def test_a_pool_that_fails_more_is_no_outlier(self):
        """Chat nodes that fail alike are not ejected because embedding nodes never fail."""
        assert Ejections(pools=True, consecutive_failures=None).interval(chat0=10, chat1=10) == []

    def test_without_pools_all_are_compared(self):
        """A catalog that knows no pools makes all nodes equals."""
        found = Ejections(pools=False, consecutive_failures=None).interval(chat0=10, chat1=10)

        assert found == ["chat-0", "chat-1"]

    def test_an_outlier_among_its_equals(self):
        """One of eight embedding nodes is, whatever the chat nodes do."""
        scene = Ejections(pools=True, consecutive_failures=None)

        assert scene.interval(embed3=10, chat0=90, chat1=90) == ["embed-3"]

    def test_the_share_of_ejected_nodes_is_that_of_the_pool(self):
        """Of two chat nodes one may go, which is half of them, though ten nodes are known."""
        scene = Ejections(pools=True, always_eject_one=False)

        assert scene.interval(chat0=100, chat1=100) == ["chat-0"]

    def test_ejected_nodes_of_another_pool_do_not_count(self):
        """Half of the embedding nodes may go while a chat node is ejected."""
        bad = {f"embed{number}": 100 for number in range(8)}
        scene = Ejections(pools=True)

        found = scene.interval(chat0=100, **bad)
        assert found == ["chat-0", "embed-0", "embed-1", "embed-2", "embed-3"]


class TestAdmission:
    """Each capability is let in by itself."""

    def turned_away(self, scene: GatewayScene, *asked: InferenceRequest) -> list[str]:
        """Send requests at once; return which of them the gateway turned away."""
        found = []

        async def infer(one):
            try:
                await scene.gateway.infer(one)
            except TurnedAway:
                found.append(one.request_id)
            except FederationError:
                pass

        for one in asked:
            scene.stage.spawn(infer(one))
        scene.stage.env.run(until=scene.now_s + 5.0)
        return found

    @pytest.mark.parametrize(
        "parts",
        [
            {"concurrency": ConcurrencyConfig("fixed", initial=2)},
            {"shedding": SheddingConfig(0.5, 2)},
        ],
    )
    def test_requests_in_flight(self, parts):
        """Embeddings in flight leave the room of chats as it is."""
        scene = GatewayScene(
            {"a": [(1.0, 1)], "b": [(1.0, 1)]}, deployments=A_CHATS_B_EMBEDS, **parts
        )
        asked = [of(EMBED, 1), of(EMBED, 2), of(EMBED, 3), of(GENERATE, 4), of(GENERATE, 5)]

        assert self.turned_away(scene, *asked, of(GENERATE, 6)) == ["3", "6"]

    def test_what_a_limit_learns(self):
        """Fast embeddings do not make chats look slow."""
        scene = GatewayScene(
            {"a": [(4.0, 1)], "b": [(0.01, 1)]},
            deployments=A_CHATS_B_EMBEDS,
            concurrency=ConcurrencyConfig("vegas", initial=20),
            rng=Dice(0.999),
        )
        for number in range(5):
            self.turned_away(scene, *(of(EMBED, f"e{number}-{n}") for n in range(10)))
        for number in range(3):
            self.turned_away(scene, *(of(GENERATE, f"c{number}-{n}") for n in range(15)))
        assert scene.gateway.admission is not None
        limit = scene.gateway.admission[GENERATE]._limit
        assert limit is not None

        assert limit.limit > 20

    def test_throttling(self):
        """A dead embedding node throttles embeddings alone, and both are told apart."""
        scene = GatewayScene(
            {"a": [(0.0, 1)], "b": [(0.0, unreachable("b"))]},
            deployments=A_CHATS_B_EMBEDS,
            throttle=ThrottleConfig(),
            retries=None,
            rng=Dice(0.4),
        )
        embeds = [of(EMBED, f"e{number}") for number in range(5)]
        chats = [of(GENERATE, f"c{number}") for number in range(5)]

        assert self.turned_away(scene, *embeds, *chats) == ["e1", "e2", "e3", "e4"]
        assert [what for _, what, _, _ in scene.seen.admissions] == ["throttle/embed"]


class TestHedges:
    """Each capability has its percentile and its budget."""

    def test_the_percentile(self):
        """Chats are hedged after what chats take, embeddings after what they take."""
        scene = GatewayScene(
            {"a": [(4.0, 1)], "b": [(0.25, 1)]},
            deployments=A_CHATS_B_EMBEDS,
            hedge=HedgeConfig("p50"),
        )
        for number in range(10):
            scene.infer(of(GENERATE, number))
            scene.infer(of(EMBED, number))
        hedging = scene.gateway._hedging
        assert hedging is not None

        assert hedging[GENERATE].delay_s(streamed=False) == pytest.approx(4.0)
        assert hedging[EMBED].delay_s(streamed=False) == pytest.approx(0.25)

    def test_the_budget(self):
        """A hundred embeddings pay for no hedge of a chat."""
        scene = GatewayScene(
            {"a": [(4.0, 1)], "b": [(0.25, 1)], "c": [(4.0, 1)]},
            deployments=[*A_CHATS_B_EMBEDS, deployment("c")],
            hedge=HedgeConfig(after_s=1.0, budget=0.1),
        )
        for number in range(20):
            scene.infer(of(EMBED, number))
        scene.infer(of(GENERATE))
        scene.infer(of(GENERATE))

        assert [node for _, node in scene.sent if node != "b"] == ["a", "c", "a"]


class TestScores:
    """A node's throughput and price are measured by those of the request's capability."""

    def scores(self, scene: RouterScene, capability: Capability, node: str):
        """Return the scores of a node."""
        candidates = drive(scene.router.get_candidates(of(capability)))
        return next(each.scores for each in candidates if each.target.node_id == node)

    def test_throughput(self):
        """An embedding node of a million tokens a second leaves chat nodes as they are."""
        scene = RouterScene(
            deployment("a", pool="fast"),
            deployment("b", pool="slow"),
            deployment("e", pool="embed", capabilities=(EMBED,)),
        )
        for node, throughput in (("a", 1000), ("b", 500), ("e", 1_000_000)):
            scene.probe(node, throughput)

        assert self.scores(scene, GENERATE, "a").throughput_score == 1.0
        assert self.scores(scene, GENERATE, "b").throughput_score == 0.5
        assert self.scores(scene, EMBED, "e").throughput_score == 1.0
        assert self.scores(scene, GENERATE, "e").throughput_score == 1.0

    def test_a_capability_of_which_no_throughput_is_known(self):
        """A node that does not have it is explained all the same."""
        scene = RouterScene(
            deployment("a", pool="chat"),
            deployment("e", pool="embed", capabilities=(EMBED,)),
        )
        scene.probe("a", 49)

        assert self.scores(scene, EMBED, "a").throughput_score == 1.0
        assert self.scores(scene, EMBED, "e").throughput_score == 0.5

    def test_a_node_that_is_watched_anew(self):
        """The scale follows a node into the pool that it is in now."""
        scene = RouterScene(deployment("a", pool="x"), deployment("b", pool="x"))
        scene.probe("a", 1000)
        scene.probe("b", 500)
        assert self.scores(scene, GENERATE, "b").throughput_score == 0.5
        for node in "ab":
            scene.health.deregister_node(NodeId(node))
            scene.health.register_node(NodeId(node), "y")
        scene.probe("b", 500)

        assert self.scores(scene, GENERATE, "b").throughput_score == 1.0

    def test_price(self):
        """The dearest is the dearest of those that can serve the request."""
        scene = RouterScene(
            deployment("a", cost_usd_per_hour=2.0),
            deployment("b", cost_usd_per_hour=4.0),
            deployment("e", capabilities=(EMBED,), cost_usd_per_hour=40.0),
        )

        assert self.scores(scene, GENERATE, "a").cost_score == 0.5
        assert self.scores(scene, GENERATE, "b").cost_score == 0.0
        assert self.scores(scene, GENERATE, "e").cost_score == 0.0
        assert self.scores(scene, EMBED, "e").cost_score == 0.0
        assert self.scores(scene, EMBED, "a").cost_score == 0.95
