"""The in-memory catalog: which model runs on which node, and whether it may be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from fedsim.federation.contracts import (
    Capability,
    Internal,
    ModelId,
    ModelMetadata,
    NodeId,
    RegionId,
)


class DeploymentStatus(Enum):
    """Where a deployment is in its life; only ``READY`` ones are routed to."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One model on one node.

    Attributes:
        model_id: The model.
        node_id: The node.
        region_id: Its region.
        capabilities: What the model can do there.
        endpoint: The node's address.
        status: Whether it may be used.
        pool: Nodes of one pool are expected to be equally fast; their latencies are compared.
        gpu: Name of the node's GPU, or None for a node without one.
        cost_usd_per_hour: Price of the node, or None where unknown.
        weight: Share of the traffic that the node is meant to have beside others, > 0; for
            strategies that go by weights.
        priority: Level of the node, from 0; for strategies that use a lower level first.
    """

    model_id: ModelId
    node_id: NodeId
    region_id: RegionId
    capabilities: tuple[Capability, ...]
    endpoint: str = ""
    status: DeploymentStatus = DeploymentStatus.READY
    pool: str = ""
    gpu: str | None = None
    cost_usd_per_hour: float | None = None
    weight: float = 1.0
    priority: int = 0


class ModelCatalog:
    """A catalog in memory, shared by the gateways of a federation.

    Deployments keep the order of their registration. Registering a model on a node again replaces
    what was known of it there.

    Attributes:
        version: Grows with every change.
    """

    def __init__(self) -> None:
        self.version = 0
        self._deployments: dict[tuple[ModelId, NodeId], Deployment] = {}
        self._subscribers: list[Callable[[], None]] = []

    def subscribe(self, on_change: Callable[[], None]) -> None:
        """Have *on_change* called after every change."""
        self._subscribers.append(on_change)

    async def register(
        self,
        model_id: ModelId,
        node_id: NodeId,
        region_id: RegionId,
        capabilities: Sequence[Capability],
    ) -> None:
        """Register a model instance on a node as ready."""
        self.add(Deployment(model_id, node_id, region_id, tuple(capabilities)))

    def add(self, deployment: Deployment) -> None:
        """Register a deployment with all that is known of it."""
        self._deployments[deployment.model_id, deployment.node_id] = deployment
        self._changed()

    async def deregister(self, model_id: ModelId, node_id: NodeId) -> None:
        """Remove a model instance from a node; an unknown one is no error."""
        if self._deployments.pop((model_id, node_id), None) is not None:
            self._changed()

    def set_status(self, node_id: NodeId, status: DeploymentStatus) -> None:
        """Set the status of all models on a node."""
        changed = {
            key: replace(deployment, status=status)
            for key, deployment in self._deployments.items()
            if deployment.node_id == node_id and deployment.status is not status
        }
        if changed:
            self._deployments.update(changed)
            self._changed()

    def deployments(self) -> list[Deployment]:
        """Return all deployments, whatever their status, in the order of registration."""
        return list(self._deployments.values())

    async def find_by_capability(self, capability: Capability) -> list[tuple[NodeId, RegionId]]:
        """Return the nodes that are ready for *capability*, each once, with their regions."""
        regions = {
            deployment.node_id: deployment.region_id
            for deployment in self._deployments.values()
            if deployment.status is DeploymentStatus.READY and capability in deployment.capabilities
        }
        return list(regions.items())

    async def list_all(self) -> list[ModelId]:
        """Return all registered models in the order of their first registration."""
        return list(dict.fromkeys(model_id for model_id, _ in self._deployments))

    async def get_metadata(self, model_id: ModelId) -> ModelMetadata:
        """Return what is known of a model; raises ``Internal`` for an unknown one."""
        capabilities = dict.fromkeys(
            capability
            for deployment in self._deployments.values()
            if deployment.model_id == model_id
            for capability in deployment.capabilities
        )
        if not any(known == model_id for known, _ in self._deployments):
            reason = f"Model not found: {model_id}"
            raise Internal(reason)
        return ModelMetadata(model_id, str(model_id), "1.0.0", tuple(capabilities))

    def _changed(self) -> None:
        self.version += 1
        for on_change in self._subscribers:
            on_change()
