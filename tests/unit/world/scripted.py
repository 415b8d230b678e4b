"""Worlds in which every arrival, size and decision is written down."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fedsim.federation.contracts import (
    Capability,
    FederationError,
    GatewayStats,
    InferenceRequest,
    InferenceResponse,
    Internal,
    NodeId,
    QoSRequirements,
    RegionId,
    RouteTarget,
    Timeout,
    TokenStream,
)
from fedsim.results.recorder import Recorder
from fedsim.results.tables import Tables
from fedsim.workload.details import Details
from fedsim.workload.traffic import Traffic
from fedsim.world.config import RegionConfig, StreamConfig, WorldConfig
from fedsim.world.faults.config import FaultConfig
from fedsim.world.faults.gray import Errors, Slowdown
from fedsim.world.faults.stopping import Outage
from fedsim.world.network import NetworkConfig
from fedsim.world.nodes.config import PoolConfig
from fedsim.world.service import ServiceModel, TokenService
from fedsim.world.world import Site, World, directory_of
from tests.given import Given, GivenArrivals

HERE = "here"


class ScriptedGateway:
    """A gateway that sends each request where it is told, once, and waits as long as it is told.

    Attributes:
        site: Where it is.
        log: What came of each request: its number, the outcome and when.
    """

    def __init__(self, site: Site, script: Script) -> None:
        self.site = site
        self.script = script
        self.log: list[tuple[int, str, float]] = []

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        """Send the request as the script says."""
        number = int(request.request_id.rpartition("-")[2])
        try:
            response = await self.attempt(number, request)
        except FederationError as error:
            self.log.append((number, error.kind, self.site.clock.now()))
            raise
        self.log.append((number, "ok", self.site.clock.now()))
        return response

    async def attempt(self, number: int, request: InferenceRequest) -> InferenceResponse:
        """Send the request, within its limit if it has one."""
        target = RouteTarget(NodeId(self.script.choose(number)), RegionId(HERE))
        work: Coroutine[Any, Any, Any] = self.script.act(self.site, target, request)
        limit_s = self.script.limits_s.get(number)
        if limit_s is None:
            response: InferenceResponse = await work
            return response
        try:
            response = await self.site.tasks.within(work, limit_s)
        except TimeoutError:
            raise Timeout(limit_s) from None
        return response

    async def infer_stream(self, request: InferenceRequest) -> TokenStream:
        """Is not used."""
        raise NotImplementedError

    def stats(self) -> GatewayStats:
        """Return nothing of interest."""
        return GatewayStats()


def send(site: Site, target: RouteTarget, request: InferenceRequest) -> Any:
    """Send a request and wait for the answer."""
    return site.transport.send(target, request)


class Reader:
    """Reads streams, and logs when each opened, each token came, and how it ended.

    Attributes:
        stop_after: Tokens after which it cancels, or None.
    """

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after = stop_after
        self.log: list[tuple[Any, float]] = []

    async def __call__(self, site: Site, target: RouteTarget, request: InferenceRequest) -> None:
        """Read the stream of one request."""
        now = site.clock.now
        try:
            stream = await site.transport.open_stream(target, request)
            self.log.append(("open", now()))
            count = 0
            while (token := await stream.next_token()) is not None:
                count += 1
                assert token == b"token_%d" % count
                self.log.append((count, now()))
                if count == self.stop_after:
                    await stream.cancel()
            self.log.append(("end", now()))
            assert await stream.next_token() is None
            if self.stop_after is not None:
                reason = "was read enough of"
                raise Internal(reason)
        except FederationError as error:
            self.log.append((error.kind, now()))
            raise


class Waiter:
    """Waits for the ends of streams, and logs what they ended in, and when.

    Attributes:
        idle_s: Longest pause between two tokens, in seconds.
    """

    def __init__(self, idle_s: float) -> None:
        self.idle_s = idle_s
        self.log: list[tuple[str, float]] = []

    async def __call__(self, site: Site, target: RouteTarget, request: InferenceRequest) -> None:
        """Wait for the end of the stream of one request."""
        stream: Any = await site.transport.open_stream(target, request)
        try:
            await stream.next_token()
            await stream.read_to_end(self.idle_s)
            self.log.append(("end", site.clock.now()))
        except FederationError as error:
            self.log.append((error.kind, site.clock.now()))
            raise


@dataclass
class Script:
    """What happens in a world.

    Attributes:
        rows: Arrival time and output tokens of each request; by default a token takes a second.
        limits_s: How long the gateway waits for some of them, by number, in seconds.
        choose: Gives the node of a request by its number.
        act: What the gateway does with a request.
        nodes: Number of nodes, ``node-0`` and so on.
        slots: Slots of each.
        queue_limit: Most requests that wait on each, or None.
        leg_s: Time to a node, or back, in seconds.
        faults: What goes wrong.
        abort: Whether nodes are told when nobody waits any more.
        service: How long service takes; one second a token unless given.
        duration_s: Arrivals stop at this time.
        drain_s: The world runs on at most this long.
        nodes_every_s: Sampling period, or None.
        warmup_s: Start of the window that summaries cover.
        seed: Seed of the faults' luck.
        prompts: Prompt tokens of each request; 0 unless given.
        details: What each request is beyond its tokens; nothing unless given.
        pool: Settings of the pool in place of those above.
    """

    rows: Sequence[tuple[float, int]]
    limits_s: Mapping[int, float] = field(default_factory=dict)
    choose: Callable[[int], str] = lambda _: "node-0"
    act: Callable[[Site, RouteTarget, InferenceRequest], Any] = send
    nodes: int = 1
    slots: int = 1
    queue_limit: int | None = None
    leg_s: float = 0.0
    faults: Sequence[FaultConfig] = ()
    abort: bool = True
    service: ServiceModel = field(default_factory=lambda: TokenService(0.0, 0.0, 1.0))
    duration_s: float = 1000.0
    drain_s: float = 1000.0
    nodes_every_s: float | None = None
    warmup_s: float = 0.0
    seed: int = 1
    prompts: Sequence[int] = ()
    details: Sequence[Details | None] = ()
    pool: Mapping[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> WorldConfig:
        """The world; a slot costs 1 USD a second."""
        given = [
            Given(
                float(time_s),
                self.prompts[number] if self.prompts else 0,
                size,
                self.details[number] if self.details else None,
            )
            for number, (time_s, size) in enumerate(self.rows)
        ]
        pool = PoolConfig(
            name="node",
            region=HERE,
            count=self.nodes,
            model="model",
            capabilities=(Capability.GENERATE,),
            slots=self.slots,
            queue_limit=self.queue_limit,
            service=self.service,
            gpu="h100",
        )
        pool = replace(pool, **self.pool)
        pool = replace(pool, cost_usd_per_hour=3600.0 * pool.slots)
        traffic = Traffic("chat", ((HERE, 1.0),), GivenArrivals(given))
        return WorldConfig(
            seed=self.seed,
            duration_s=self.duration_s,
            drain_s=self.drain_s,
            regions=(RegionConfig(HERE),),
            network=NetworkConfig(2.0 * self.leg_s, {}, 0.0),
            pools=(pool,),
            streams=(StreamConfig(traffic, Capability.GENERATE, QoSRequirements()),),
            faults=tuple(self.faults),
            nodes_every_s=self.nodes_every_s,
            abort=self.abort,
            warmup_s=self.warmup_s,
        )

    def play(self) -> Played:
        """Run the world."""
        config, gateways = self.config, {HERE: 1}
        recorder = Recorder(directory_of(config, gateways))
        built: list[ScriptedGateway] = []

        def build(site: Site) -> ScriptedGateway:
            built.append(ScriptedGateway(site, self))
            return built[-1]

        world = World(config, gateways, build, recorder)
        world.run()
        return Played(world, recorder.tables(), sorted(built[0].log))


@dataclass
class Played:
    """A script that was played.

    Attributes:
        world: The world afterwards.
        tables: Its tables.
        log: What came of each request: its number, the outcome and when the gateway knew.
    """

    world: World
    tables: Tables
    log: list[tuple[int, str, float]]

    @property
    def waits_s(self) -> list[float | None]:
        """Wait of each attempt, None where it never came into a slot."""
        return _listed(self.tables.attempts["queue_wait_s"])

    @property
    def held_s(self) -> list[float | None]:
        """Time that each attempt held a slot, None where it never did."""
        return _listed(self.tables.attempts["service_s"])

    @property
    def costs_usd(self) -> list[float]:
        """Cost of each request; a slot costs 1 USD a second."""
        return [round(cost, 9) for cost in self.tables.requests["cost_usd"]]

    @property
    def wasted_s(self) -> float:
        """Slot-seconds whose result nobody took."""
        return float(self.tables.node_totals["wasted_slot_s"].sum())

    @property
    def busy_s(self) -> float:
        """Slot-seconds in use."""
        return float(self.tables.node_totals["busy_slot_s"].sum())

    @property
    def faults(self) -> list[tuple[float, str, str, str, str]]:
        """Time, subject, before, after and kind of each fault event."""
        events = self.tables.events
        events = events[events["kind"] == "fault"]
        columns = [events[name] for name in ("time_s", "subject", "before", "after", "detail")]
        return list(zip(*columns, strict=True))


def _listed(column: Any) -> list[float | None]:
    return [None if np.isnan(value) else round(value, 9) for value in column]


def outage(at_s: float, lasts_s: float, **target: Any) -> FaultConfig:
    """Return an outage, of ``node-0`` unless another target is named."""
    return FaultConfig(Outage(), at_s=at_s, lasts_s=lasts_s, **(target or {"node": "node-0"}))


def slowdown(at_s: float, lasts_s: float, factor: float, **target: Any) -> FaultConfig:
    """Return a slowdown, of ``node-0`` unless another target is named."""
    target = target or {"node": "node-0"}
    return FaultConfig(Slowdown(factor), at_s=at_s, lasts_s=lasts_s, **target)


def errors(at_s: float, lasts_s: float, probability: float, **target: Any) -> FaultConfig:
    """Return an error fault, of ``node-0`` unless another target is named."""
    target = target or {"node": "node-0"}
    return FaultConfig(Errors(probability), at_s=at_s, lasts_s=lasts_s, **target)
