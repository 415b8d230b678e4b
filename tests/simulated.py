"""Worlds for tests, built without a scenario file: the plainest there are, unless told otherwise.

Every run is checked against ``tests/laws.py``, as all runs of the suite are: that is what
``tests/conftest.py`` arranges, without which `run_world` fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame

from fedsim.federation.breaker import BreakerConfig
from fedsim.federation.builder import FederationBuilder
from fedsim.federation.contracts import (
    Capability,
    GatewayTrait,
    LoadBalanceStrategy,
    QoSRequirements,
    RoutingPolicyTrait,
)
from fedsim.federation.gateway import GatewayConfig, TimeoutConfig
from fedsim.federation.health import HealthConfig
from fedsim.federation.retries import RetryConfig
from fedsim.federation.strategies.base import Strategy
from fedsim.kernel.environment import Environment
from fedsim.kernel.streams import SERVICE, Streams, keyed_uniforms
from fedsim.results.recorder import Recorder
from fedsim.results.tables import Tables
from fedsim.workload.arrivals import ArrivalProcess, Poisson
from fedsim.workload.distributions import Distribution
from fedsim.workload.traffic import Traffic
from fedsim.world.config import RegionConfig, StreamConfig, WorldConfig
from fedsim.world.faults.config import FaultConfig
from fedsim.world.network import NetworkConfig
from fedsim.world.nodes.config import PoolConfig
from fedsim.world.service import DistributedService
from fedsim.world.world import Site, World, directory_of
from tests.laws import tables_of

HERE = "here"
DRAIN_S = 1e7
"""Long enough for any queue that can empty."""


def small_world(
    service: Distribution,
    arrivals: ArrivalProcess | float,
    duration_s: float,
    *,
    nodes: int = 1,
    slots: int = 1,
    queue_limit: int | None = None,
    round_trip_s: float = 0.0,
    jitter: float = 0.0,
    faults: Sequence[FaultConfig] = (),
    cost_usd_per_hour: float | None = None,
    warmup_s: float = 0.0,
    nodes_every_s: float | None = None,
    seed: int = 1,
) -> WorldConfig:
    """Return one region with one pool, ``node-0`` and so on, and one stream.

    Args:
        service: Service times in seconds.
        arrivals: An arrival process, or the rate of a Poisson one per second.
        duration_s: How long requests arrive, in seconds.
        nodes: Number of nodes.
        slots: Slots of each.
        queue_limit: Most requests that wait on each; None for any number.
        round_trip_s: Time to a node and back, in seconds.
        jitter: 95th percentile of a round trip over its median, minus one.
        faults: What goes wrong.
        cost_usd_per_hour: Price of a node.
        warmup_s: Start of the window that summaries cover, in seconds.
        nodes_every_s: Sampling period of the nodes table, in seconds; None for no samples.
        seed: Seed of all random streams.
    """
    if isinstance(arrivals, float):
        arrivals = Poisson(arrivals)
    pool = PoolConfig(
        name="node",
        region=HERE,
        count=nodes,
        model="model",
        capabilities=(Capability.GENERATE,),
        slots=slots,
        queue_limit=queue_limit,
        service=DistributedService(service),
        cost_usd_per_hour=cost_usd_per_hour,
    )
    traffic = Traffic("chat", ((HERE, 1.0),), arrivals)
    return WorldConfig(
        seed=seed,
        duration_s=duration_s,
        drain_s=DRAIN_S,
        regions=(RegionConfig(HERE),),
        network=NetworkConfig(round_trip_s, {}, jitter),
        pools=(pool,),
        streams=(StreamConfig(traffic, Capability.GENERATE, QoSRequirements()),),
        faults=tuple(faults),
        nodes_every_s=nodes_every_s,
        warmup_s=warmup_s,
    )


@dataclass(frozen=True)
class Federation:
    """How a gateway decides; by default it only chooses a node, and what fails, fails.

    Attributes:
        strategy: How it chooses among nodes.
        settings: Settings of a strategy that is given by its name.
        policies: Makes the policies of a gateway.
        timeout: Its deadlines, or None.
        retries: How it tries again, or None.
        breaker: Its circuit breaker, or None.
        health: Its health checker, which probes; None for one that only listens.
        parts: Further settings of the gateway, by name.
    """

    strategy: LoadBalanceStrategy | str | Strategy = LoadBalanceStrategy.ROUND_ROBIN
    settings: Mapping[str, object] = field(default_factory=dict)
    policies: Callable[[], Sequence[RoutingPolicyTrait]] = tuple
    timeout: TimeoutConfig | None = None
    retries: RetryConfig | None = None
    breaker: BreakerConfig | None = None
    health: HealthConfig | None = None
    parts: Mapping[str, Any] = field(default_factory=dict)

    def build(self, site: Site) -> GatewayTrait:
        """Return the gateway of *site*."""
        builder = FederationBuilder(
            catalog=site.catalog,
            policies=list(self.policies()),
            load_balance=self.strategy,
            strategy_settings=self.settings,
            circuit_breaker=self.breaker,
            health_config=self.health or HealthConfig(),
            config=GatewayConfig(self.timeout, self.retries, **self.parts),
        )
        gateway = builder.build(site)
        if self.health is not None:
            checker: Any = gateway.health
            site.tasks.spawn(checker.start_monitoring(), "start monitoring")
        return gateway


PLAIN = Federation()
"""Round robin, and nothing else."""


@dataclass(frozen=True)
class Outcome:
    """A world that has run, and its tables."""

    world: World
    tables: Tables

    @property
    def requests(self) -> DataFrame:
        """A row per request, in the order of arrival."""
        return self.tables.requests

    @property
    def attempts(self) -> DataFrame:
        """A row per attempt, in the order of their starts."""
        return self.tables.attempts

    @property
    def end_s(self) -> float:
        """When the world stopped, in seconds."""
        return self.world.env.now


def run_world(
    config: WorldConfig,
    federation: Federation = PLAIN,
    gateways: Mapping[str, int] | None = None,
    *,
    by_stock_steps: bool = False,
) -> Outcome:
    """Run a world once.

    Args:
        config: The world.
        federation: What every gateway is like.
        gateways: Number of gateways by region; None for one in each.
        by_stock_steps: Whether SimPy's own ``step`` processes the queue, not our run loop.
    """
    if gateways is None:
        gateways = {region.name: 1 for region in config.regions}
    recorder = Recorder(directory_of(config, gateways))
    world = World(config, gateways, federation.build, recorder)
    if by_stock_steps:
        world.env.run = lambda until: _step_until(world.env, until)  # type: ignore[assignment, method-assign, misc]
    world.run()
    return Outcome(world, tables_of(world))


def _step_until(env: Environment, until: Any) -> None:
    while not until.processed:
        env.step()


@dataclass(frozen=True)
class Draws:
    """What the single stream of a world draws, whatever becomes of it.

    Attributes:
        arrived_s: Arrival times in seconds, ascending.
        service_s: Service time of the first attempt of each, in seconds.
    """

    arrived_s: NDArray[np.float64]
    service_s: NDArray[np.float64]

    def __iter__(self) -> Iterator[tuple[float, float]]:
        """Yield arrival and service time of each request."""
        return iter(zip(self.arrived_s.tolist(), self.service_s.tolist(), strict=True))

    def take(self, rows: NDArray[np.integer[Any]]) -> Draws:
        """Return the draws of some of the requests."""
        return Draws(self.arrived_s[rows], self.service_s[rows])


def draws_of(config: WorldConfig) -> Draws:
    """Return a world's draws, from the traffic and the keys of its requests, without the world.

    Blocks have another size than in the world, which must change nothing.
    """
    (stream,), (pool,) = config.streams, config.pools
    assert isinstance(pool.service, DistributedService)
    quantile = pool.service.distribution.quantile
    arrived_s: list[float] = []
    service_s: list[float] = []
    for block in stream.traffic.blocks(Streams(config.seed), config.duration_s, block_size=1000):
        uniforms = keyed_uniforms(np.array(block.keys, dtype=np.uint64), SERVICE, attempt=1)
        arrived_s += block.times_s
        service_s += map(quantile, uniforms.tolist())
    return Draws(np.array(arrived_s), np.array(service_s))
