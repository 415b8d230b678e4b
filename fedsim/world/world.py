"""The world: regions, nodes, network, faults and clients around the real federation."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from fedsim.errors import FedsimError, InternalError
from fedsim.federation.capabilities import Settles, bind
from fedsim.federation.catalog import Deployment, DeploymentStatus, ModelCatalog
from fedsim.federation.contracts import (
    GatewayTrait,
    InferenceRequest,
    ModelId,
    RegionId,
)
from fedsim.federation.runtime import Random, Surroundings
from fedsim.federation.streams import read_to_end
from fedsim.kernel.asyncio_loop import SimLoop
from fedsim.kernel.environment import Environment, Signal
from fedsim.kernel.streams import Streams
from fedsim.kernel.tasks import SimClock, SimTasks
from fedsim.workload.details import Details, Prompt
from fedsim.world.answers import idle_answer_s
from fedsim.world.config import StreamConfig, WorldConfig
from fedsim.world.decisions import DecisionReporter
from fedsim.world.faults.injector import FaultInjector
from fedsim.world.gateway_choice import GatewayChoice
from fedsim.world.insight import IdleReports, NodeInsight
from fedsim.world.links import Links
from fedsim.world.live import LiveRequest, OnOver
from fedsim.world.network import Network
from fedsim.world.nodes.base import Node, NodeSurroundings
from fedsim.world.nodes.job import Job
from fedsim.world.nodes.kinds import build_nodes
from fedsim.world.observer import Directory, NodeInfo, StreamInfo, WorldObserver
from fedsim.world.pool_meter import Traffic
from fedsim.world.reporter import FederationReporter
from fedsim.world.scaling import (
    Autoscaler,
    BuildScaler,
    ScaledPool,
    ScalerSite,
    goes_by_traffic,
    preset_scaler,
    signal_of,
)
from fedsim.world.source import Source
from fedsim.world.transport import WorldTransport
from fedsim.world.users import UserSource

PROGRESS_STEPS = 200
"""How often a run says how far it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site(Surroundings):
    """The surroundings of a gateway in a simulated world, and what plug-ins there need.

    Attributes:
        name: The gateway's name, such as ``us-east/0``.
        transport: Its way to the nodes.
        tasks: The kernel's tasks.
        loop: The asyncio loop on simulated time, for plug-ins.
        catalog: The federation's catalog, with all nodes.
        observer: Notified of what the gateway's parts find out, and of what plug-ins do.
        env: The environment.
    """

    name: str
    transport: WorldTransport
    tasks: SimTasks
    loop: SimLoop
    catalog: ModelCatalog
    observer: FederationReporter
    env: Environment


BuildGateway = Callable[[Site], GatewayTrait]
"""Builds the gateway of a site."""


def directory_of(config: WorldConfig, gateways: Mapping[str, int]) -> Directory:
    """Return the names behind the codes of a world with that many gateways by region."""
    return Directory(
        streams=tuple(
            StreamInfo(
                stream.traffic.name,
                stream.capability.key,
                stream.qos.privacy,
                stream.qos.max_latency_s,
                tuple(stream.traffic.tenant_names or ()),
                stream.traffic.conversation is not None,
                stream.model,
            )
            for stream in config.streams
        ),
        regions=tuple(region.name for region in config.regions),
        region_privacy=tuple(region.privacy for region in config.regions),
        gateways=tuple(
            f"{region}/{number}" for region, count in gateways.items() for number in range(count)
        ),
        nodes=tuple(
            NodeInfo(
                f"{pool.name}-{number}",
                pool.name,
                pool.region,
                pool.slots,
                pool.cost_usd_per_hour,
                pool.model,
                None if pool.engine is None else pool.engine.kv_blocks * pool.engine.block_tokens,
            )
            for pool in config.pools
            for number in range(pool.size)
        ),
    )


def _request(
    config: StreamConfig, request_id: str, tenant_id: str | None, details: Details | None
) -> InferenceRequest:
    """Return what the federation sees of a request."""
    blocks: tuple[int, ...] = ()
    size = 0
    if isinstance(details, Prompt):
        blocks, size = details.blocks, details.block_tokens
    return InferenceRequest(
        config.capability,
        b"",
        config.qos,
        request_id,
        tenant_id,
        blocks,
        size,
        config.priority,
        config.model,
    )


async def _read(gateway: GatewayTrait, request: InferenceRequest) -> None:
    """Have *request* served as a stream, and read that to its end."""
    await read_to_end(await gateway.infer_stream(request))


class _TenantIds(dict[int, str]):
    """The names of a stream's tenants, each made once."""

    def __init__(self, info: StreamInfo) -> None:
        super().__init__()
        self._info = info

    def __missing__(self, tenant: int) -> str:
        name = self[tenant] = self._info.tenant_id(tenant)
        return name


class _Times(NamedTuple):
    """What a node has done since some time, in seconds and slot-seconds."""

    busy_slot_s: float
    busy_s: float
    up_s: float
    paid_s: float

    @classmethod
    def of(cls, node: Node) -> _Times:
        """Return what a node has done since the start."""
        return cls(node.busy_slot_s(), node.busy_s(), node.up_s(), node.paid_s())


_NOTHING = _Times(0.0, 0.0, 0.0, 0.0)


def _deployment(node: Node) -> Deployment:
    """Return what the catalog has of a node that takes requests."""
    pool = node.pool
    return Deployment(
        ModelId(pool.model),
        node.node_id,
        RegionId(pool.region),
        pool.capabilities,
        endpoint=f"sim://{node.name}",
        pool=pool.name,
        gpu=pool.gpu,
        cost_usd_per_hour=pool.cost_usd_per_hour,
        weight=pool.weight,
        priority=pool.priority,
        metadata=pool.metadata,
    )


class World:
    """One run of a simulated world.

    Args:
        config: What the world is made of.
        gateways: Number of gateways by region.
        build_gateway: Builds the real gateway of each site.
        observer: Receives all that happens.
        router_name: Name of the routers, for errors.
        progress: Is called now and then with the share of the duration that has passed.
        decisions_of: Returns whether the decisions on a request, given its id, are reported;
            None reports none.
        build_scaler: Builds the scaler of each pool that has one.

    Attributes:
        env: Its time and queue.
        loop: The event loop for plug-ins.
        nodes: All nodes.
        gateways: The code of its region with each gateway.
        directory: The names behind the codes.
        jobs: Attempts that are under way.
        scalers: What decides how many nodes pools have, of those that have a scaler.
        awaited_plugins: Calls of plug-ins that had not returned when the run ended, in words.
    """

    def __init__(
        self,
        config: WorldConfig,
        gateways: Mapping[str, int],
        build_gateway: BuildGateway,
        observer: WorldObserver,
        router_name: str = "router",
        progress: Callable[[float], None] | None = None,
        decisions_of: Callable[[str], bool] | None = None,
        build_scaler: BuildScaler = preset_scaler,
    ) -> None:
        self.env = Environment()
        self.tasks = SimTasks(self.env)
        self.streams = Streams(config.seed)
        self.loop = SimLoop(self.env)
        self.directory = directory_of(config, gateways)
        self.awaited_plugins: list[str] = []
        self._config = config
        self._observer = observer
        self._progress = progress
        self._decisions_of = decisions_of
        self._region_codes = {region.name: code for code, region in enumerate(config.regions)}
        self._network = Network(config.network, self.directory.regions)
        surroundings = NodeSurroundings(self.env, self.streams, self)
        self.nodes = build_nodes(config.pools, self._region_codes, surroundings)
        self._links = Links(self.directory, self.streams)
        for fault in config.faults:  # transports are given the links that exist when they are built
            if fault.ends is not None:
                self._links.between(fault.ends, fault.one_way)
        self._catalog = self._build_catalog()
        self._traffic = self._build_traffic()
        self._live: dict[str, LiveRequest] = {}
        self._tenants = [_TenantIds(info) for info in self.directory.streams]
        self.jobs = 0
        self._arriving = True
        self._stop = self.env.event()
        self._window_start = [_NOTHING] * len(self.nodes)
        self._window = [_NOTHING] * len(self.nodes)
        with self.loop.installed():  # plug-ins may look at the time, or start tasks
            self.gateways = self._build_gateways(gateways, build_gateway, router_name)
            self.scalers = list(self._build_scalers(build_scaler))
        self._gateway_choice = GatewayChoice(
            config.gateway_choice,
            [
                [gateway for region, gateway in self.gateways if region == code]
                for code in range(len(config.regions))
            ],
            self.streams,
        )

    # Building

    def _build_gateways(
        self, gateways: Mapping[str, int], build_gateway: BuildGateway, router_name: str
    ) -> list[tuple[int, GatewayTrait]]:
        by_id = {node.node_id: node for node in self.nodes}
        idle = IdleReports(self.env, self.nodes, self._network, self.streams)
        built: list[tuple[int, GatewayTrait]] = []
        for code, name in enumerate(self.directory.gateways):
            region = name.rpartition("/")[0]
            region_code = self._region_codes[region]
            transport = WorldTransport(
                self.env,
                code,
                region_code,
                by_id,
                self._live,
                self._network,
                self,
                self._observer if self._traffic is None else self._traffic,
                self._config.abort,
                router_name,
                self._links.of(code),
                self._config.network.connect_timeout_s,
            )
            decisions = None
            if self._decisions_of is not None:
                decisions = DecisionReporter(
                    self.env, code, by_id, self._live, self._observer, self._decisions_of
                )
            site = Site(
                name=name,
                region=RegionId(region),
                transport=transport,
                clock=SimClock(self.env),
                tasks=self.tasks,
                loop=self.loop,
                random_for=self._random_for(name),
                catalog=self._catalog,
                observer=FederationReporter(self._observer, self.env, name),
                env=self.env,
                insight=NodeInsight(by_id, idle, region_code),
                decisions=decisions,
            )
            built.append((region_code, build_gateway(site)))
        return built

    def _random_for(self, gateway: str) -> Callable[[str], Random]:
        return lambda purpose: self.streams.python_random(f"federation/{gateway}/{purpose}")

    def _build_catalog(self) -> ModelCatalog:
        catalog = ModelCatalog()
        for node in self.nodes:
            if node.present:
                catalog.add(_deployment(node))
        return catalog

    def _build_traffic(self) -> Traffic | None:
        """Return what counts attempts and latencies, if a scaler goes by them."""
        scalers = [pool.scaler for pool in self._config.pools if pool.scaler is not None]
        if any(goes_by_traffic(signal_of(scaler)) for scaler in scalers):
            return Traffic(self._observer, self.env, self.nodes)
        return None

    def _build_scalers(self, build_scaler: BuildScaler) -> Iterator[Autoscaler]:
        for pool in self._config.pools:
            if pool.scaler is None:
                continue
            nodes = [node for node in self.nodes if node.pool is pool]
            reporter = FederationReporter(self._observer, self.env, "")
            site = ScalerSite(self.env, self.loop, reporter, self.streams.python_random)
            yield Autoscaler(
                self.env,
                self.tasks,
                pool,
                nodes,
                ScaledPool(self.env, nodes, pool.scaler, self, self._observer, self.streams),
                self._observer,
                build_scaler(pool, site),
                self._traffic,
            )

    # Running

    def run(self) -> None:
        """Run until the world is empty after the last arrival, or the drain has passed.

        Raises:
            PlugInError: A plug-in raised, or did what its contract does not allow.
            DeadlockError: Nothing is scheduled, and tasks wait.
            InternalError: fedsim itself failed.
        """
        config, env = self._config, self.env
        for code, stream in enumerate(config.streams):
            self._source(code, stream).start()
        regions = self.directory.regions
        FaultInjector(env, self.nodes, regions, self.streams, self._observer, self._links).start(
            config.faults
        )
        for scaler in self.scalers:
            scaler.start()
        env.call_at(config.warmup_s, self._note_window_start)
        env.call_at(config.duration_s, self._stop_arrivals)
        if config.nodes_every_s is not None:
            env.process(self._sample_nodes(config.nodes_every_s))
        if self._progress is not None:
            env.process(self._tell_progress(self._progress))
        stop_at_s = config.duration_s + config.drain_s
        env.call_at(stop_at_s, lambda _: self._end())
        self._run_to_the_end()
        self._close_books()
        if self._progress is not None:
            self._progress(1.0)

    def _source(self, code: int, stream: StreamConfig) -> Source | UserSource:
        """Return what lets the requests of a stream arrive."""
        until_s = self._config.duration_s
        regions = [self._region_codes[region] for region, _ in stream.traffic.origins]
        if stream.traffic.is_reactive:
            answer_s = idle_answer_s(self._config.pools, stream)
            users = stream.traffic.users(self.streams, until_s, answer_s=answer_s)
            stretch = self._network.stretch
            return UserSource(self.env, code, users, until_s, regions, stretch, self._arrive)
        blocks = stream.traffic.blocks(self.streams, until_s)
        return Source(self.env, code, blocks, regions, self._network.stretches, self._arrive)

    def _run_to_the_end(self) -> None:
        """Run the queue, with the asyncio loop for plug-ins installed."""
        try:
            with self.loop.installed():
                self.env.run(until=self._stop)
                self._settle()
        except FedsimError:
            raise
        except Exception as error:
            msg = (
                f"fedsim failed at simulated time {self.env.now:.6f} s: "
                f"{type(error).__name__}: {error}. Please report it with the scenario and the seed."
            )
            raise InternalError(msg) from error
        finally:
            self.awaited_plugins = self.loop.awaited_tasks()
            self.loop.close()
        self.loop.raise_unhandled()

    def _arrive(
        self,
        stream: int,
        index: int,
        origin: int,
        arrived_s: float,
        tenant: int,
        prompt_tokens: int,
        output_tokens: int,
        key: int,
        service_uniform: float,
        stretch: float,
        details: Details | None = None,
        on_over: OnOver | None = None,
        user: int = -1,
        turn: int = -1,
    ) -> None:
        """Let a request arrive now at a gateway of its region."""
        config = self._config.streams[stream]
        info = self.directory.streams[stream]
        row = self._observer.request_arrived(
            stream=stream,
            index=index,
            tenant_number=tenant,
            origin=origin,
            arrived_s=arrived_s,
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
        )
        if user >= 0:
            self._observer.turn_taken(request=row, user=user, turn=turn)
        request_id = info.request_id(index)
        tenant_id = self._tenants[stream][tenant] if tenant >= 0 else None
        request = _request(config, request_id, tenant_id, details)
        gateway = self._gateway_choice.of(origin, key, tenant_id)
        if self._traffic is not None:
            on_over = self._traffic.watching(on_over)
        self._live[request_id] = live = LiveRequest(
            self.env,
            _read(gateway, request) if config.streamed else gateway.infer(request),
            request_id,
            self,
            row,
            config.capability,
            key,
            service_uniform,
            stretch,
            prompt_tokens,
            output_tokens,
            arrived_s,
            details,
            config.priority,
            on_over,
        )
        live.step(None)

    def request_over(self, live: LiveRequest, outcome: str) -> None:
        """Report what came of a request."""
        live.over = True
        if outcome == "ok":
            self._observer.request_finished(
                live.row,
                finished_s=self.env.now,
                outcome=outcome,
                node=live.node,
                network_s=live.network_s,
                queue_wait_s=live.queue_wait_s,
                service_s=live.service_s,
                ttft_s=live.ttft_s,
                tpot_s=live.tpot_s,
                cached_tokens=live.cached_tokens,
                preemptions=live.preemptions,
                cost_usd=live.cost_usd,
            )
        else:  # an attempt may have succeeded all the same, too late for the request
            self._observer.request_finished(
                live.row,
                finished_s=self.env.now,
                outcome=outcome,
                node=live.node,
                cost_usd=live.cost_usd,
            )
        del self._live[live.name]
        if live.on_over is not None:
            live.on_over(live, outcome)
        if not self._arriving:
            self._end_if_empty()

    def job_over(self, job: Job) -> None:
        """Uncount an attempt, and charge its request for the slot time that it held."""
        self.jobs -= 1
        if job.begun_s >= 0.0:  # else it was never in service, and this is NaN
            live = job.live
            cost_usd = (job.ended_s - job.begun_s) * job.node.usd_per_slot_s
            if live.over:
                self._observer.request_cost_added(live.row, cost_usd)
            else:
                live.cost_usd += cost_usd
        if not self._arriving:
            self._end_if_empty()

    # What nodes report

    def node_event(self, node: Node, kind: str, before: str, after: str, detail: str) -> None:
        """Report what happens on a node."""
        self._observer.event(
            time_s=self.env.now,
            kind=kind,
            subject=node.name,
            before=before,
            after=after,
            detail=detail,
        )

    def node_status(self, node: Node, status: DeploymentStatus) -> None:
        """Let the catalog know that a node is loading, draining, or ready to serve."""
        self._catalog.set_status(node.node_id, status)

    # What scalers report

    def node_appeared(self, node: Node) -> None:
        """Have the catalog list a node that has started."""
        self._catalog.add(_deployment(node))

    def node_left(self, node: Node) -> None:
        """Have the catalog forget a node that is gone."""
        self._catalog.update([], [(ModelId(node.pool.model), node.node_id)])

    # Bookkeeping

    def _note_window_start(self, _: Signal) -> None:
        self._window_start = [_Times.of(node) for node in self.nodes]

    def _stop_arrivals(self, _: Signal) -> None:
        self._arriving = False
        self._window = [
            _Times(
                *(now_s - before_s for now_s, before_s in zip(_Times.of(node), start, strict=True))
            )
            for node, start in zip(self.nodes, self._window_start, strict=True)
        ]
        self._end_if_empty()

    def _end_if_empty(self) -> None:
        if not self._arriving and not self._live and not self.jobs:
            self._end()

    def _end(self) -> None:
        if not self._stop.triggered:
            self._stop.succeed()

    def _sample_nodes(self, every_s: float) -> Generator[Any, Any, None]:
        """Sample all nodes, with their utilisation since the sample before."""
        busy_before_s = [0.0] * len(self.nodes)
        while True:
            yield self.env.timeout(every_s)
            for node in self.nodes:
                if not node.present:
                    continue
                busy_s = node.busy_s()
                share = (busy_s - busy_before_s[node.code]) / every_s
                busy_before_s[node.code] = busy_s
                self._observer.node_sampled(
                    time_s=self.env.now,
                    node=node.code,
                    up=node.up,
                    running=node.running,
                    queued=node.queued,
                    utilization=share,
                    kv_used_tokens=node.kv_used_tokens(),
                )

    def _tell_progress(self, progress: Callable[[float], None]) -> Generator[Any, Any, None]:
        duration_s = self._config.duration_s
        for step in range(PROGRESS_STEPS):
            progress(step / PROGRESS_STEPS)
            yield self.env.timeout(duration_s / PROGRESS_STEPS)

    def _settle(self) -> None:
        """Have gateways and breakers report the changes that they have not reported yet."""
        for _, gateway in self.gateways:
            bind(gateway, Settles).settle()

    def _close_books(self) -> None:
        for node, window in zip(self.nodes, self._window, strict=True):
            self._observer.node_totals(
                node.code,
                up_s=node.up_s(),
                busy_slot_s=node.busy_slot_s(),
                wasted_slot_s=node.wasted_slot_s,
                window_busy_slot_s=window.busy_slot_s,
                window_busy_s=window.busy_s,
                paid_s=node.paid_s(),
                window_up_s=window.up_s,
                window_paid_s=window.paid_s,
            )
