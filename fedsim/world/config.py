"""What the simulated world is made of, as frozen values that a scenario fills in."""

from __future__ import annotations

from dataclasses import dataclass

from fedsim.federation.contracts import Capability, PrivacyLevel, QoSRequirements
from fedsim.workload.traffic import Traffic
from fedsim.world.faults.config import FaultConfig
from fedsim.world.gateway_choice import GatewayChoiceName
from fedsim.world.network import NetworkConfig
from fedsim.world.nodes.config import PoolConfig


@dataclass(frozen=True, slots=True)
class RegionConfig:
    """A region and the strictest privacy level whose data it may hold."""

    name: str
    privacy: PrivacyLevel = PrivacyLevel.INTERNAL


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """A stream of requests: its traffic, and what each request asks for.

    Attributes:
        traffic: When they come, where from, from whom and how large.
        capability: What they ask for.
        qos: The quality of service that they ask for.
        priority: Their priority in an engine whose order is ``priority``; lower is served first.
        streamed: Whether clients read the answers as streams of tokens, to their end.
        model: The model that they ask for, or None for any with the capability.
    """

    traffic: Traffic
    capability: Capability
    qos: QoSRequirements
    priority: int = 0
    streamed: bool = False
    model: str | None = None

    def fits(self, pool: PoolConfig) -> bool:
        """Return whether *pool* has the capability, and the model where the stream names one."""
        return self.capability in pool.capabilities and self.model in (None, pool.model)


@dataclass(frozen=True, slots=True)
class WorldConfig:
    """Everything that does not depend on the federation.

    Attributes:
        seed: The scenario's seed, >= 0.
        duration_s: Arrivals stop at this time, in seconds.
        drain_s: The world runs on until it is empty, or this long, in seconds.
        regions: All regions.
        network: Round trips between them.
        pools: All pools that have nodes; their order, then the node's number, is the order of
            nodes everywhere.
        streams: What arrives.
        faults: What goes wrong.
        nodes_every_s: Sampling period of the nodes table in seconds, or None for no samples.
        abort: Whether a deadline or cancellation makes the node stop working on the request.
        gateway_choice: How a request's gateway is found among those of its region.
        warmup_s: Start of the window that summaries cover, in seconds.
    """

    seed: int
    duration_s: float
    drain_s: float
    regions: tuple[RegionConfig, ...]
    network: NetworkConfig
    pools: tuple[PoolConfig, ...]
    streams: tuple[StreamConfig, ...]
    faults: tuple[FaultConfig, ...] = ()
    nodes_every_s: float | None = 1.0
    abort: bool = True
    gateway_choice: GatewayChoiceName = "random"
    warmup_s: float = 0.0
