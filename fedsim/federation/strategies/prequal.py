"""Prequal: asynchronous probes, and the choice between hot and cold nodes."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import (
    FederationError,
    InferenceRequest,
    NodeId,
    RouteTarget,
)
from fedsim.federation.fleet import Fleet
from fedsim.federation.scopes import Scope, Scoped, scope_of
from fedsim.federation.strategies.base import Candidates
from fedsim.federation.strategies.choices import any_of, draw

NEAREST = 5
"""Latencies that make an estimate, those at the nearest loads; as many are kept of each load."""

LATENCY_AGE_S = 60.0
"""Age at which a latency is forgotten, in seconds, so that a node that was slow is tried again."""

RECENT = 128
"""Answers of late, whether still in the pool or not, by whose loads a node is called hot."""


@dataclass(frozen=True, slots=True)
class PrequalSettings:
    """Prequal's parameters, with the values of its authors but for the probe's timeout.

    Attributes:
        probes: Probes sent for each request, on average.
        pool: Most answers to probes that are kept.
        age_s: Age at which an answer is thrown away, in seconds.
        timeout_s: A probe that takes longer is given up, in seconds; 3 ms suit one cluster, nodes
            in other regions need more.
        hot_quantile: Nodes above this quantile of the loads that the last 128 probes found are hot,
            0 to 1; 0 goes by loads alone.
        remove: Answers thrown away for each request, on average.
        reuse: How much more often an answer is used than would keep the pool in balance.
    """

    probes: float = 3.0
    pool: int = 16
    age_s: float = 1.0
    timeout_s: float = 1.0
    hot_quantile: float = 0.84
    remove: float = 1.0
    reuse: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.hot_quantile <= 1.0:
            msg = "hot_quantile is a quantile: use 0 to 1"
            raise ValueError(msg)
        if self.pool < 2:
            msg = "pool is below 2: use 2 or more"
            raise ValueError(msg)
        if min(self.age_s, self.timeout_s) <= 0.0:
            msg = "age and timeout must be above 0: no answer would ever be used"
            raise ValueError(msg)
        if min(self.probes, self.remove, self.reuse) < 0.0:
            msg = "probes, remove and reuse cannot be negative: use 0 or more"
            raise ValueError(msg)


@dataclass(slots=True)
class Answer:
    """What a probe said of a node.

    Attributes:
        node_id: The node.
        load: Requests in flight on it, own requests since the probe included.
        latency_s: Estimated latency at such a load, in seconds; 0 where nothing is known.
        at_s: When the answer came, in seconds.
        uses: How often it may still be used.
    """

    node_id: NodeId
    load: int
    latency_s: float
    at_s: float
    uses: float


class AnswerPool:
    """The answers that are kept of the nodes that serve one scope.

    Attributes:
        answers: By node, the one whose answer came last at the end.
        nodes: How many nodes there were to choose from at the last decision.
    """

    def __init__(self, settings: PrequalSettings) -> None:
        self._settings = settings
        self._recent: deque[int] = deque(maxlen=RECENT)
        self._oldest_is_next = True
        self.answers: dict[NodeId, Answer] = {}
        self.nodes = 0

    def add(self, answer: Answer) -> None:
        """Keep the newest answer of a node; without room, the oldest of all goes."""
        self._recent.append(answer.load)
        self.answers.pop(answer.node_id, None)  # the newest stands last
        if len(self.answers) >= self._settings.pool:
            del self.answers[next(iter(self.answers))]
        self.answers[answer.node_id] = answer

    def forget_old(self, now_s: float) -> None:
        """Throw away answers that are too old."""
        oldest_s = now_s - self._settings.age_s
        for node_id in [each.node_id for each in self.answers.values() if each.at_s < oldest_s]:
            del self.answers[node_id]

    def hot_above(self) -> float:
        """Return the load above which a node is hot; below 0 where loads alone count."""
        share = self._settings.hot_quantile
        return quantile(self._recent, share) if share > 0.0 else -1.0

    def use(self, answer: Answer) -> None:
        """Count a request that is sent because of an answer."""
        answer.load += 1
        answer.uses -= 1.0
        if answer.uses <= 0.0:
            self.answers.pop(answer.node_id, None)

    def remove_one(self) -> None:
        """Throw away the oldest answer, or the worst: the busiest of the hot, or the slowest."""
        if len(self.answers) <= 2:
            return  # with fewer, every choice would be at random
        answers = list(self.answers.values())
        if self._oldest_is_next:
            chosen = answers[0]
        else:
            limit = self.hot_above()
            hot = [each for each in answers if each.load > limit]
            if hot:
                chosen = max(hot, key=lambda each: each.load)
            else:
                chosen = max(answers, key=lambda each: each.latency_s)
        self._oldest_is_next = not self._oldest_is_next
        del self.answers[chosen.node_id]


class Prequal:
    """The fastest of the nodes that are not hot, by probes that do not hold a request up.

    Rule: each request has ``probes`` random nodes probed in the background for their requests in
    flight; answers are kept for ``age`` in a pool. A node above the ``hot_quantile`` of the loads
    that the last 128 answers gave is hot, so that all of the pool may be. If any node is cold, the
    cold one with the lowest latency is taken, of equals the one with less load, else the one with
    the least load; with fewer than two answers, one at random. An answer that is used counts one
    request more, and goes when it has been used up; each request also removes ``remove`` answers,
    by turns the oldest and the worst: the busiest of the hot, or where none is hot the slowest.
    Cost: O(pool), 12 us, and three probes. Example: loads a 1, b 2, c 9 with latencies 80, 60, 10
    ms, and nothing hot up to 4: c is hot, and of a and b the latter is taken; once both have been
    used up to 5, all are hot, and the least load counts. Failure: a node that fails fast has little
    load and a short latency, and attracts requests until it is excluded. Source: Wydrowski et al.,
    Prequal, NSDI 2024. Nodes of ours do not report latencies by load: a node's latency is the
    median of this gateway's own of the last 60 s at about the load probed, and a node without any
    is tried first; and of each node the newest answer alone is kept, since fleets of this kind are
    smaller than the pool. Each capability has a pool of its own.
    """

    def __init__(self, context: GatewayContext, settings: PrequalSettings | None = None) -> None:
        if context.probe is None:
            msg = "prequal needs a context whose nodes can be probed"
            raise ValueError(msg)
        self._settings = settings or PrequalSettings()
        self._probe = context.probe
        self._tasks, self._clock, self._rng = context.tasks, context.clock, context.rng
        self._pools: Scoped[Scope, AnswerPool] = Scoped(lambda _: AnswerPool(self._settings))
        self._loads: dict[NodeId, int] = {}
        self._sent_at: dict[tuple[str, NodeId], int] = {}
        self._latencies: dict[NodeId, dict[int, deque[tuple[float, float]]]] = {}

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the node that the pool speaks for, and have some more probed."""
        pool = self._pools[scope_of(request)]
        pool.nodes = len(candidates.positions)
        pool.forget_old(self._clock.now())
        usable = [
            each
            for each in pool.answers.values()
            if fleet.positions.get(each.node_id, -1) in candidates
        ]
        if len(usable) < 2:
            chosen = any_of(candidates.positions, self._rng)
        else:
            answer = hot_cold(usable, pool.hot_above())
            pool.use(answer)
            chosen = fleet.positions[answer.node_id]
        for _ in range(self._rounded(self._settings.remove)):
            pool.remove_one()
        for index in draw(self._rng, pool.nodes, self._rounded(self._settings.probes)):
            node_id = fleet.node_ids[candidates.positions[index]]
            self._tasks.spawn(self._ask(node_id, pool), f"prequal probe {node_id}")
        return chosen

    def on_start(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Remember how busy the request finds the node, as far as is known, and count it there."""
        node_id = target.node_id
        load = self._sent_at[request.request_id, node_id] = self._loads.get(node_id, 0)
        self._loads[node_id] = load + 1

    def on_complete(
        self, target: RouteTarget, request: InferenceRequest, outcome: str, latency_s: float
    ) -> None:
        """Learn a latency and the load that it was met at."""
        load = self._sent_at.pop((request.request_id, target.node_id), 0)
        if outcome != "cancelled":
            levels = self._latencies.setdefault(target.node_id, {})
            known = levels.setdefault(load, deque(maxlen=NEAREST))
            known.appendleft((latency_s, self._clock.now()))

    async def _ask(self, node_id: NodeId, pool: AnswerPool) -> None:
        try:
            said = await self._tasks.within(self._probe(node_id), self._settings.timeout_s)
        except (TimeoutError, FederationError):
            return
        load = (said.running or 0) + said.queue_depth
        self._loads[node_id] = load
        latency_s, uses = self._latency_s(node_id, load), self._allowed_uses(pool.nodes)
        pool.add(Answer(node_id, load, latency_s, self._clock.now(), uses))

    def _latency_s(self, node_id: NodeId, load: int) -> float:
        """Return the median latency of late at about *load*, in seconds; 0 where none is known."""
        levels = self._latencies.get(node_id, {})
        oldest_s = self._clock.now() - LATENCY_AGE_S
        alike: list[float] = []
        for at in sorted(levels, key=lambda at: abs(at - load)):
            alike += [latency_s for latency_s, when_s in levels[at] if when_s >= oldest_s]
            if len(alike) >= NEAREST:
                break
        return median(alike[:NEAREST]) if alike else 0.0

    def _allowed_uses(self, nodes: int) -> float:
        """Return how often an answer may be used, rounded at random to a whole number."""
        settings = self._settings
        fresh = 1.0 - settings.pool / max(nodes, settings.pool + 1)
        spare = fresh * settings.probes - settings.remove
        if nodes <= settings.pool or spare <= 0.0:
            return inf  # the pool holds every node: age alone limits an answer
        return float(self._rounded(max(1.0, (1.0 + settings.reuse) / spare)))

    def _rounded(self, mean: float) -> int:
        """Return a whole number next to *mean*, at random so that the mean is *mean*."""
        whole = int(mean)
        return whole + (self._rng.random() < mean - whole) if mean != whole else whole


def hot_cold(pool: Sequence[Answer], hot_above: float) -> Answer:
    """Return the cold answer with the lowest latency, or where all are hot that of least load.

    Args:
        pool: Answers, at least one.
        hot_above: Load above which a node is hot.
    """
    cold = [each for each in pool if each.load <= hot_above]
    if cold:
        return min(cold, key=lambda each: (each.latency_s, each.load))
    return min(pool, key=lambda each: each.load)


def quantile(values: Collection[int], share: float) -> float:
    """Return the value below which *share* of *values* lie, by linear interpolation."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
