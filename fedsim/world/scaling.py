"""Carries out what scalers decide: orders nodes, has them start, drains them, takes them away."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fedsim.federation.runtime import Random
from fedsim.kernel.asyncio_loop import SimLoop
from fedsim.kernel.environment import Environment, Signal
from fedsim.kernel.streams import Streams
from fedsim.kernel.tasks import SimClock, SimTasks
from fedsim.world.nodes.base import Node
from fedsim.world.nodes.config import PoolConfig
from fedsim.world.observer import WorldObserver
from fedsim.world.pool_meter import Key, NodeLoad, PoolMeter, Traffic
from fedsim.world.reporter import FederationReporter
from fedsim.world.scalers.config import OwnScaler, ScalerConfig
from fedsim.world.scalers.preset import BY_NODE, SignalConfig
from fedsim.world.scalers.view import Decision, NodeView, PoolView

LINGER_S = 1.0
"""How long a node that drains at least refuses what is under way to it, in seconds."""

ABSENT, STARTING, READY, DRAINING = "absent", "starting", "ready", "draining"
"""What the events table calls a node that a scaler has come and go."""


class Registry(Protocol):
    """Is notified of nodes that come and go."""

    def node_appeared(self, node: Node) -> None:
        """Register a node that is ready for the first time."""
        ...

    def node_left(self, node: Node) -> None:
        """Forget a node that is gone."""
        ...


class Scaler(Protocol):
    """Decides how many nodes a pool should have: a preset's, or the guard of a user's own."""

    def desired(self, view: PoolView) -> Decision | Awaitable[Decision]:
        """Return how many nodes there should be from now on, and why."""
        ...


@dataclass(frozen=True, slots=True)
class ScalerSite:
    """What a scaler and its guard have of the world.

    Attributes:
        env: The environment.
        loop: The asyncio loop on simulated time.
        observer: Notified of what a plug-in does.
        random_for: Gives randomness by purpose.
    """

    env: Environment
    loop: SimLoop
    observer: FederationReporter
    random_for: Callable[[str], Random]


BuildScaler = Callable[[PoolConfig, ScalerSite], Scaler]
"""Builds the scaler of a pool that has one."""


class ScaledPool:
    """The nodes of a pool, of which a scaler says how many there are.

    Orders take the absent node with the lowest number; what goes first is a node that starts, then
    the one that was ordered last, of several the one with the highest number.

    Args:
        env: The environment.
        nodes: All nodes that the pool can have, the absent ones included.
        config: How their number changes.
        registry: Is notified of nodes that come and go.
        observer: Receives the events.
        streams: Random streams of the run.

    Attributes:
        target: How many nodes there should be.
        lost: Requests that were lost because a node's time to drain was over.
    """

    def __init__(
        self,
        env: Environment,
        nodes: Sequence[Node],
        config: ScalerConfig,
        registry: Registry,
        observer: WorldObserver,
        streams: Streams,
    ) -> None:
        self._env = env
        self._nodes = nodes
        self._config = config
        self._registry = registry
        self._observer = observer
        self._streams = streams
        self._start = config.start if config.start is not None else nodes[0].pool.cold_start
        self._draws: dict[int, Any] = {}
        self._starting: dict[Node, Signal] = {}
        self._draining: dict[Node, None] = {}
        self._ordered: dict[Node, int] = {node: 0 for node in nodes if node.present}
        self._orders = 0
        self.target = len(self._ordered)
        self.lost = 0

    def carry_out(self, wanted: int) -> None:
        """Order or give up nodes until *wanted* are there or on their way.

        Where all other nodes still drain, orders wait for one that is gone.
        """
        self.target = wanted
        while len(self._ordered) > wanted:
            self._give_up(max(self._ordered, key=self._leaves_first))
        self._fill()

    def _fill(self) -> None:
        for node in self._nodes:
            if len(self._ordered) >= self.target:
                return
            if node not in self._ordered and node not in self._draining:
                self._order(node)

    def _leaves_first(self, node: Node) -> tuple[bool, int, int]:
        return node in self._starting, self._ordered[node], node.code

    def _order(self, node: Node) -> None:
        self._orders += 1
        self._ordered[node] = self._orders
        node.order()
        start_s = 0.0
        if self._start is not None:
            if node.code not in self._draws:
                name = f"world/{node.name}/start"
                self._draws[node.code] = self._streams.generator(name)
            start_s = self._start.quantile(max(self._draws[node.code].random(), 2.0**-54))
        self._report(node, ABSENT, STARTING, f"ready in {start_s:.3f} s")
        at_s = self._env.now + start_s
        self._starting[node] = self._env.call_at(at_s, lambda _: self._started(node))

    def _started(self, node: Node) -> None:
        del self._starting[node]
        node.appear()
        self._registry.node_appeared(node)
        self._report(node, STARTING, READY, "")

    def _give_up(self, node: Node) -> None:
        del self._ordered[node]
        if node in self._starting:
            self._starting.pop(node).cancel()
            node.leave()
            self._report(node, STARTING, ABSENT, "not wanted any more")
            return
        self._draining[node] = None
        self._report(node, READY, DRAINING, "")
        self._env.process(self._drain(node))

    def _drain(self, node: Node) -> Generator[Any, Any, None]:
        """Let a node finish what it has, within the time that it is given."""
        env, drain_s = self._env, self._config.drain_s
        node.set_draining(self, True)
        linger_s = min(LINGER_S, drain_s)
        yield env.timeout(linger_s)
        yield env.any_of([node.emptied(), env.timeout(drain_s - linger_s)])
        left = node.running + node.queued
        self.lost += left
        self._registry.node_left(node)
        node.leave()
        del self._draining[node]
        detail = f"time is over, {left} requests lost" if left else "empty"
        self._report(node, DRAINING, ABSENT, detail)
        self._fill()

    def views(self, known: Mapping[Key, NodeLoad]) -> list[NodeView]:
        """Return the nodes that are ordered, with what is *known* of those that are ready.

        An order that waits for a place is a node that starts.
        """
        found = []
        for node in self._nodes:
            if node not in self._ordered:
                continue
            if node in self._starting:
                found.append(NodeView(node.name, "starting"))
            elif not node.takes_requests:
                found.append(NodeView(node.name, "down"))
            else:
                load = known.get((node.code, node.machine), ())
                found.append(NodeView(node.name, "ready", *load))
        return found + [NodeView("", "starting")] * (self.target - len(found))

    @property
    def draining(self) -> int:
        """Number of nodes that finish what they have."""
        return len(self._draining)

    def _report(self, node: Node, before: str, after: str, detail: str) -> None:
        self._observer.event(
            time_s=self._env.now,
            kind="presence",
            subject=node.name,
            before=before,
            after=after,
            detail=detail,
        )


class Autoscaler:
    """Has a pool's scaler decide again and again, and carries out what it decides.

    Args:
        env: The environment.
        tasks: The kernel's tasks.
        pool: The pool, which has a scaler.
        nodes: All its nodes.
        scaled: Carries out.
        observer: Receives the decisions.
        scaler: Decides.
        traffic: Counts attempts and latencies, where the scaler goes by them.
    """

    def __init__(
        self,
        env: Environment,
        tasks: SimTasks,
        pool: PoolConfig,
        nodes: Sequence[Node],
        scaled: ScaledPool,
        observer: WorldObserver,
        scaler: Scaler,
        traffic: Traffic | None,
    ) -> None:
        config = pool.scaler
        assert config is not None
        self._env = env
        self._clock = SimClock(env)
        self._tasks = tasks
        self._pool = pool
        self._config = config
        self._scaled = scaled
        self._observer = observer
        self._scaler = scaler
        self._advised: int | None = None
        self._decisions = self._changes = self._capped = 0
        self._signal = signal_of(config)
        self._meter: PoolMeter | None = None
        if self._signal is not None:
            decides = config.decides
            self._meter = PoolMeter(
                env,
                nodes,
                self._signal,
                decides.short_s,
                traffic if goes_by_traffic(self._signal) else None,
                keeps_highest=decides.keeps_highest,
                by_node=decides.by_node,
                details=decides.needs_engines or config.own is not None,
            )

    def start(self) -> None:
        """Measure and decide from now on, after all else that begins now, such as probes."""
        self._env.call_soon(lambda _: self._begin())

    def _begin(self) -> None:
        if self._meter is not None and self._signal is not None:
            self._tasks.spawn(self._measure(self._meter, self._signal), "scaler samples")
        self._tasks.spawn(self._decide(), f"scaler of {self._pool.name}")

    async def _measure(self, meter: PoolMeter, signal: SignalConfig) -> None:
        taken = 0
        while True:
            taken += 1
            await self._clock.sleep(taken * signal.every_s - self._env.now)
            meter.sample_if_due()  # a decision at this very time may have seen to it

    async def _decide(self) -> None:
        every_s, tick = self._config.decides.every_s, 0
        while True:
            view = self._view()
            decision = self._scaler.desired(view)
            self._carry_out(await decision if inspect.isawaitable(decision) else decision)
            tick = max(tick, int(self._env.now / every_s)) + 1
            await self._clock.sleep(tick * every_s - self._env.now)

    def _view(self) -> PoolView:
        config, meter, known = self._config, self._meter, None
        if meter is not None:
            meter.sample_if_due()
            known = meter.known()
        return PoolView(
            self._env.now,
            self._scaled.views({} if known is None else known.nodes),
            config.min,
            config.max,
            None if known is None else known.total,
            None if known is None else known.recent,
            self._scaled.draining,
            self._pool.name,
        )

    def _carry_out(self, decision: Decision) -> None:
        before = self._scaled.target
        self._decisions += 1
        self._capped += decision.capped
        if self._config.advisory:
            if decision.nodes != (before if self._advised is None else self._advised):
                self._report(before, decision.nodes, f"advisory: {decision.reason}")
            self._advised = decision.nodes
        elif decision.nodes != before:
            self._report(before, decision.nodes, decision.reason)
            self._scaled.carry_out(decision.nodes)

    def notes(self) -> list[str]:
        """Return what to know of the run that the scaler could not help, as sentences."""
        name, found = self._pool.name, []
        if self._changes == 0:
            found.append(f"The scaler of {name} changed nothing in {self._decisions:,} decisions.")
        if self._capped:
            found.append(
                f"The scaler of {name} wanted more than its max of {self._config.max} nodes in "
                f"{self._capped:,} of {self._decisions:,} decisions."
            )
        if self._scaled.lost:
            found.append(
                f"{self._scaled.lost} requests to {name} were lost because nodes that were given "
                f"up had not finished them within {self._config.drain_s:g} s; see scaler.drain."
            )
        return found

    def _report(self, before: int, after: int, reason: str) -> None:
        self._changes += 1
        self._observer.event(
            time_s=self._env.now,
            kind="scaler",
            subject=self._pool.name,
            before=str(before),
            after=str(after),
            detail=reason,
        )


def signal_of(config: ScalerConfig) -> SignalConfig | None:
    """Return what is measured for a scaler; None for nothing."""
    decides = config.decides
    return decides.signal if isinstance(decides, OwnScaler) else decides.seen()


def goes_by_traffic(signal: SignalConfig | None) -> bool:
    """Return whether a signal is one of attempts or latencies, not of nodes."""
    return signal is not None and signal.of not in BY_NODE


def preset_scaler(pool: PoolConfig, _: ScalerSite) -> Scaler:
    """Return the scaler of a pool whose scaler is a preset; it needs nothing of its site."""
    assert pool.scaler is not None
    assert not isinstance(pool.scaler.decides, OwnScaler)
    return pool.scaler.decides.scaler()
