"""The benchmark world: four regions of equal nodes at 70 % load, with all that is on by default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fedsim.federation.contracts import (
    Capability,
    GatewayTrait,
    LoadBalanceStrategy,
    QoSRequirements,
    RegionId,
)
from fedsim.results.recorder import Recorder
from fedsim.scenario.assembly import OwnGateways
from fedsim.scenario.plugins import find_plugin
from fedsim.scenario.spec import FederationSpec
from fedsim.workload.arrivals import Poisson
from fedsim.workload.distributions import Exponential
from fedsim.workload.tenants import Tenants
from fedsim.workload.traffic import Traffic
from fedsim.world.config import RegionConfig, StreamConfig, WorldConfig
from fedsim.world.network import NetworkConfig
from fedsim.world.nodes.config import PoolConfig
from fedsim.world.observer import WorldObserver
from fedsim.world.service import DistributedService
from fedsim.world.world import Site, World, directory_of

REGIONS = ("eu-west", "us-east", "us-west", "ap-south")
SLOTS = 4
LOAD = 0.7
SERVICE_MEAN_S = 0.5
"""Short enough that none of a million exponential service times comes near a deadline of 10 s."""

GATEWAYS = dict.fromkeys(REGIONS, 1)


@dataclass(frozen=True, slots=True)
class Size:
    """How large a benchmark world is.

    Attributes:
        nodes: Nodes in all, a multiple of four.
        requests: Mean number of requests that arrive; the arrivals are a Poisson process.
    """

    nodes: int = 16
    requests: int = 50_000

    @property
    def rate_rps(self) -> float:
        """Arrival rate in requests per second that keeps ``LOAD`` of all slots busy."""
        return self.nodes * SLOTS * LOAD / SERVICE_MEAN_S

    @property
    def duration_s(self) -> float:
        """Time over which that many requests arrive, in seconds."""
        return self.requests / self.rate_rps


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A world that is ready to run, and what records it.

    Attributes:
        world: The world.
        recorder: What it is told to, unless another observer was asked for.
    """

    world: World
    recorder: Recorder


def default_federation() -> FederationSpec:
    """Return the preset ``default`` as it is, but for the strategy: least connections."""
    strategy = LoadBalanceStrategy.LEAST_CONNECTIONS.value
    return FederationSpec(gateways=GATEWAYS, strategy=strategy)


@dataclass(frozen=True, slots=True)
class Variant:
    """What a benchmark world is run with.

    Attributes:
        federation: The real objects.
        gateway: Builds a gateway in place of theirs, or None.
        observer: Is told in place of the recorder, or None.
    """

    federation: FederationSpec = field(default_factory=default_federation)
    gateway: Callable[[Site], GatewayTrait] | None = None
    observer: WorldObserver | None = None


def world_config(size: Size) -> WorldConfig:
    """Return the benchmark world of that size."""
    return WorldConfig(
        seed=1,
        duration_s=size.duration_s,
        drain_s=600.0,
        regions=tuple(RegionConfig(name) for name in REGIONS),
        network=NetworkConfig(
            within_region_s=0.001,
            between_s={(a, b): 0.08 for a in REGIONS for b in REGIONS if a != b},
            jitter=0.05,
        ),
        pools=tuple(
            PoolConfig(
                name=f"{region}-chat",
                region=region,
                count=size.nodes // len(REGIONS),
                model="chat",
                capabilities=(Capability.GENERATE,),
                slots=SLOTS,
                queue_limit=64,
                service=DistributedService(Exponential(SERVICE_MEAN_S)),
                gpu="H100",
                cost_usd_per_hour=3.0,
            )
            for region in REGIONS
        ),
        streams=(
            StreamConfig(
                Traffic(
                    name="chat",
                    origins=tuple((region, 1.0) for region in REGIONS),
                    arrivals=Poisson(size.rate_rps),
                    tenants=Tenants(5_000, 0.5),  # none so large that it fills a node
                ),
                Capability.GENERATE,
                QoSRequirements(max_latency_s=8.0),
            ),
        ),
    )


def build(size: Size, variant: Variant | None = None) -> Benchmark:
    """Return the benchmark world of that size, ready to run."""
    variant = variant or Variant()
    config = world_config(size)
    factory = OwnGateways(
        variant.federation,
        {RegionId(region.name): region.privacy for region in config.regions},
        lambda text, kind: find_plugin(text, Path(), kind),
    )
    recorder = Recorder(directory_of(config, GATEWAYS))
    world = World(config, GATEWAYS, variant.gateway or factory, variant.observer or recorder)
    return Benchmark(world, recorder)
