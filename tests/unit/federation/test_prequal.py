"""The pool of Prequal: what is probed, used, corrected and thrown away."""

from __future__ import annotations

import random
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from fedsim.federation.contracts import (
    Capability,
    HealthState,
    InferenceRequest,
    NodeHealth,
    NodeId,
    NodeUnreachable,
    QoSRequirements,
    RegionId,
    RouteTarget,
)
from fedsim.federation.strategies.base import Candidates, Turn
from fedsim.federation.strategies.prequal import AnswerPool, Prequal, PrequalSettings

REQUEST = InferenceRequest(Capability.GENERATE, b"", QoSRequirements(), "1")


class Scene:
    """Prequal before nodes whose loads are set by hand, and which answer probes at once."""

    def __init__(self, nodes: int, **settings: Any) -> None:
        self.now_s = 0.0
        self.loads = [0] * nodes
        self.probed: list[NodeId] = []
        self.silent = False
        ids = [NodeId(f"n{number}") for number in range(nodes)]
        self.fleet: Any = SimpleNamespace(
            node_ids=ids, positions={name: place for place, name in enumerate(ids)}
        )
        self.candidates = Candidates(tuple(range(nodes)), Turn(0))
        context: Any = SimpleNamespace(
            probe=self.probe,
            tasks=SimpleNamespace(spawn=self.spawn, within=self.within),
            clock=SimpleNamespace(now=lambda: self.now_s),
            rng=random.Random(1),
        )
        self.prequal = Prequal(context, PrequalSettings(**settings))

    async def probe(self, node_id: NodeId) -> NodeHealth:
        """Answer with the load of the node."""
        self.probed.append(node_id)
        if self.silent:
            raise NodeUnreachable(node_id)
        load = self.loads[self.fleet.positions[node_id]]
        return NodeHealth(
            node_id, HealthState.HEALTHY, 0.0, 0.0, 0, None, load // 2, self.now_s, load - load // 2
        )

    @staticmethod
    def within(awaitable: Any, _seconds: float) -> Any:
        """Set no deadline."""
        return awaitable

    @staticmethod
    def spawn(coroutine: Any, _name: str) -> None:
        """Run a coroutine, which does not wait for anything, to its end."""
        with pytest.raises(StopIteration):
            coroutine.send(None)

    def choose(self) -> int:
        """Return the position of the chosen node."""
        return self.prequal.select(self.fleet, self.candidates, REQUEST)

    @property
    def pool(self) -> dict[str, int]:
        """The loads in the pool by node, the oldest answer first."""
        return {str(name): answer.load for name, answer in self.answers.answers.items()}

    @property
    def answers(self) -> AnswerPool:
        """The pool of the capability of the requests."""
        return self.prequal._pools[REQUEST.capability]


def learn(scene: Scene, node: str, load: int, latency_s: float) -> None:
    """Have a request served by a node of this load."""
    target = RouteTarget(NodeId(node), RegionId("here"))
    scene.prequal._loads[NodeId(node)] = load
    scene.prequal.on_start(target, REQUEST)
    scene.prequal.on_complete(target, REQUEST, "ok", latency_s)


@pytest.mark.parametrize("probes", [0.0, 1.5, 3.0])
def test_probes_of_a_request(probes: float) -> None:
    """Each request has so many nodes probed, in the mean, and none of them twice."""
    scene = Scene(8, probes=probes)
    seen = []
    for _ in range(2_000):
        scene.probed.clear()
        scene.choose()
        seen.append(len(scene.probed))
        assert len(set(scene.probed)) == len(scene.probed)

    assert sum(seen) / len(seen) == pytest.approx(probes, abs=3.5 * 0.5 / 2_000**0.5)


def test_the_idle_node_once_it_has_been_probed() -> None:
    """The first choice is at random; then the pool tells."""
    scene = Scene(3, remove=0.0)
    scene.loads = [9, 9, 0]
    scene.choose()

    assert scene.pool == {"n0": 9, "n1": 9, "n2": 0}
    scene.prequal._latencies.clear()
    scene.prequal._settings = PrequalSettings(probes=0.0, remove=0.0, hot_quantile=0.0)
    assert [scene.choose() for _ in range(9)] == [2] * 9


def test_a_use_counts_as_a_request() -> None:
    """Nine uses of the idle node make it as busy as the others, as far as the pool knows."""
    scene = Scene(3, remove=0.0, hot_quantile=0.0)
    scene.loads = [9, 9, 0]
    scene.choose()
    scene.prequal._settings = PrequalSettings(probes=0.0, remove=0.0, hot_quantile=0.0)
    for _ in range(9):
        scene.choose()

    assert scene.pool == {"n0": 9, "n1": 9, "n2": 9}


def test_answers_age() -> None:
    """An answer older than its age limit is forgotten, and then the draw decides."""
    scene = Scene(3, remove=0.0, age_s=1.0)
    scene.choose()
    scene.prequal._settings = PrequalSettings(probes=0.0, remove=0.0, age_s=1.0)
    scene.now_s = 1.0
    scene.choose()
    assert len(scene.pool) == 3
    scene.now_s = 1.001

    assert len({scene.choose() for _ in range(50)}) == 3
    assert scene.pool == {}


def answer(scene: Scene, *nodes: int) -> None:
    """Have nodes answer a probe, in this order."""
    for node in nodes:
        scene.spawn(scene.prequal._ask(NodeId(f"n{node}"), scene.answers), "probe")


def test_removal_takes_turns_between_the_oldest_and_the_worst() -> None:
    """The oldest answer goes, then that of the busiest node that is hot, and so on."""
    scene = Scene(7, hot_quantile=0.6)
    scene.loads = [1, 2, 3, 50, 4, 40, 5]
    answer(scene, *range(7))
    removed = []
    for _ in range(5):
        before = scene.pool
        scene.answers.remove_one()
        removed += [node for node in before if node not in scene.pool]

    assert removed == ["n0", "n3", "n1", "n5", "n2"]


def test_where_none_is_hot_the_slowest_is_the_worst() -> None:
    """Other nodes were busier of late: after the oldest answer, the slowest of these goes."""
    scene = Scene(6, age_s=1.0)
    scene.loads = [1, 2, 3, 4, 1, 90]
    answer(scene, *[5] * 40)
    scene.now_s = 1.5
    for node, latency_s in ((1, 0.9), (2, 0.3), (4, 0.2)):
        learn(scene, f"n{node}", 0, latency_s)
    scene.answers.forget_old(scene.now_s)
    answer(scene, *range(5))
    scene.answers.remove_one()
    scene.answers.remove_one()

    assert list(scene.pool) == ["n2", "n3", "n4"]


def test_all_of_the_pool_may_be_hot() -> None:
    """Loads of late were 0; of nodes at 7, 8 and 9 the least busy one is taken, not the fastest."""
    scene = Scene(4, probes=0.0, remove=0.0, age_s=1.0)
    scene.loads = [9, 7, 8, 0]
    for node, latency_s in (("n0", 0.3), ("n1", 5.0), ("n2", 0.1)):
        learn(scene, node, 8, latency_s)
    answer(scene, *[3] * 40)
    scene.now_s = 1.5
    answer(scene, 0, 1, 2)

    assert scene.choose() == 1


def test_latencies_are_forgotten() -> None:
    """A node that was slow a minute ago is tried again, though nothing was sent to it since."""
    scene = Scene(2, probes=0.0, remove=0.0, age_s=1e9)
    for node, latency_s in (("n0", 9.0), ("n1", 0.1)):
        learn(scene, node, 0, latency_s)
    answer(scene, 0, 1)
    assert scene.choose() == 1
    scene.now_s = 60.5
    learn(scene, "n1", 0, 0.1)
    answer(scene, 0, 1)

    assert scene.choose() == 0


def test_the_pool_has_a_size() -> None:
    """The pool keeps the newest answers."""
    scene = Scene(40, probes=8.0, pool=16, remove=0.0)
    for _ in range(30):
        scene.choose()

    assert len(scene.pool) <= 16


def test_each_capability_has_a_pool() -> None:
    """Requests of another capability push no answer out, and share none."""
    scene = Scene(4, probes=2.0, pool=4, remove=1.0)
    scene.candidates = Candidates((0, 1), Turn(0))
    scene.choose()
    assert set(scene.pool) == {"n0", "n1"}
    embed = replace(REQUEST, capability=Capability.EMBED)
    for _ in range(20):
        scene.prequal.select(scene.fleet, Candidates((2, 3), Turn(2)), embed)

    assert set(scene.pool) == {"n0", "n1"}
    assert set(scene.prequal._pools[Capability.EMBED].answers) == {"n2", "n3"}


def test_answers_are_used_up() -> None:
    """In a large fleet an answer may be used (1 + 1) / ((1 - 16/32) 3 - 1) = 4 times."""
    scene = Scene(32)
    assert {scene.prequal._allowed_uses(32) for _ in range(50)} == {4.0}


def test_a_node_that_does_not_answer() -> None:
    """A probe that fails brings nothing, and harms nobody."""
    scene = Scene(3)
    scene.silent = True

    assert len({scene.choose() for _ in range(50)}) == 3
    assert scene.pool == {}


def test_latencies_at_about_the_load() -> None:
    """A node's latency is the median of those met at about the load that it has now."""
    scene = Scene(2)
    for load, latency_s in [(0, 0.1)] * 5 + [(10, 2.0)] * 5:
        learn(scene, "n0", load, latency_s)

    assert scene.prequal._latency_s(NodeId("n0"), 1) == 0.1
    assert scene.prequal._latency_s(NodeId("n0"), 9) == 2.0
    assert scene.prequal._latency_s(NodeId("n1"), 9) == 0.0


def test_a_latency_belongs_to_the_load_that_the_request_found() -> None:
    """Of three requests to a node with 4 in flight, the first finds 4, the second 5, and so on."""
    scene = Scene(2, probes=0.0, remove=0.0, age_s=1e9)
    scene.loads = [4, 9]
    answer(scene, 0, 1)
    target = RouteTarget(NodeId("n0"), RegionId("here"))
    for number, latency_s in enumerate((0.4, 0.5, 0.6)):
        request = replace(REQUEST, request_id=str(number))
        assert scene.choose() == 0
        scene.prequal.on_start(target, request)
        scene.prequal.on_complete(target, request, "ok", latency_s)

    levels = scene.prequal._latencies[NodeId("n0")]
    known = [(load, latency_s) for load, level in levels.items() for latency_s, _ in level]
    assert known == [(4, 0.4), (5, 0.5), (6, 0.6)]
