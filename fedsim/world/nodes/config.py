"""What a pool's nodes are, as frozen values that a scenario fills in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedsim.federation.contracts import Capability, ModelMetadata
from fedsim.workload.distributions import Distribution
from fedsim.world.service import BatchServiceModel, ServiceModel

if TYPE_CHECKING:
    from fedsim.world.engine.config import EngineConfig
    from fedsim.world.scalers.config import ScalerConfig


@dataclass(frozen=True, slots=True)
class BatchConfig:
    """Static batching: one batch at a time, whose requests begin and end together.

    A batch begins on an idle node as soon as *max_batch* requests wait, or the one that has waited
    longest has done so for *max_wait_s*.

    Attributes:
        max_batch: Most requests of a batch, >= 1.
        max_wait_s: Longest that an idle node waits for a batch to fill, in seconds, >= 0.
        service: How long a batch takes.
    """

    max_batch: int
    max_wait_s: float
    service: BatchServiceModel


@dataclass(frozen=True, slots=True)
class SwitchConfig:
    """Base models and adapters that a node of image generation loads when a request asks.

    Loading is part of a request's time in its slot, and adapters are loaded for each request.

    Attributes:
        model_load: Time to load a base model, in seconds.
        adapter_load: Time to load one adapter, in seconds, or None for no time.
        models: Base models that a node holds at once, >= 1; the one used longest ago makes room.
    """

    model_load: Distribution
    adapter_load: Distribution | None = None
    models: int = 1


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """A pool of equal nodes, named ``<name>-0`` to ``<name>-<size - 1>``.

    Exactly one of *service*, *engine* and *batching* says what its nodes are.

    Attributes:
        name: The pool.
        region: Its region.
        count: Number of nodes, >= 1; with a scaler that of the start.
        model: The model that they serve.
        capabilities: What that model can do.
        slots: Requests in service at once on a node, >= 1; the ``max_batch`` of an engine or of
            batches.
        queue_limit: Most requests that wait on a node; one more is refused. None for unlimited.
        service: How long a request holds a slot, or None.
        gpu: Name of the node's GPU, or None.
        cost_usd_per_hour: Price of a node, idle or not, or None where not given.
        engine: Continuous batching, or None.
        batching: Static batching, or None.
        cold_start: Time in seconds that a node which comes back up is loading, or None for none.
        switch: Base models and adapters that its slots load, or None.
        weight: Share of the traffic that each node is meant to have, relative to others, > 0.
        priority: Level of its nodes, from 0; a lower one is used first.
        metadata: What is known of the model besides its id, or None.
        scaler: How the number of nodes changes, or None where it does not.

    Raises:
        ValueError: Not exactly one of *service*, *engine* and *batching* is given, *slots* is not
            their ``max_batch``, or *switch* is given without a *service* that makes no tokens.
    """

    name: str
    region: str
    count: int
    model: str
    capabilities: tuple[Capability, ...]
    slots: int
    queue_limit: int | None
    service: ServiceModel | None = None
    gpu: str | None = None
    cost_usd_per_hour: float | None = None
    engine: EngineConfig | None = None
    batching: BatchConfig | None = None
    cold_start: Distribution | None = None
    switch: SwitchConfig | None = None
    weight: float = 1.0
    priority: int = 0
    metadata: ModelMetadata | None = None
    scaler: ScalerConfig | None = None

    @property
    def size(self) -> int:
        """Most nodes that there can be at once."""
        return self.count if self.scaler is None else max(self.count, self.scaler.max)

    @property
    def gives_tokens(self) -> bool:
        """Whether it is known when the tokens of its requests come."""
        return self.engine is not None or (
            self.service is not None and self.service.knows_first_token
        )

    def __post_init__(self) -> None:
        kinds = [kind for kind in (self.service, self.engine, self.batching) if kind is not None]
        if len(kinds) != 1:
            msg = f"pool {self.name} needs exactly one of service, engine and batching"
            raise ValueError(msg)
        batches = self.engine or self.batching
        if batches is not None and self.slots != batches.max_batch:
            msg = f"the slots of pool {self.name} must be its max_batch, {batches.max_batch}"
            raise ValueError(msg)
        if self.switch is not None and (self.service is None or self.service.knows_first_token):
            msg = (
                f"pool {self.name} can only switch models where it has slots with a service that "
                "makes no tokens"
            )
            raise ValueError(msg)
