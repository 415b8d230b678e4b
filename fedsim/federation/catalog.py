"""Catalogs: which model runs on which node, and whether it may be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol, runtime_checkable

from fedsim.federation.contracts import (
    Capability,
    Internal,
    ModelCatalogTrait,
    ModelId,
    ModelMetadata,
    NodeId,
    RegionId,
)
from fedsim.federation.scopes import ModelScope, Scope

UNVERSIONED = "1.0.0"
"""The version of a model of which no version is known."""


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
        weight: Share of the traffic that the node is meant to have next to others, > 0; for
            strategies that go by weights.
        priority: Level of the node, from 0; for strategies that use a lower level first.
        metadata: What is known of the model there besides its id, or None.
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
    metadata: ModelMetadata | None = None

    def serves(self, scope: Scope) -> bool:
        """Return whether it has the capability of *scope*, and is its model if that names one."""
        if isinstance(scope, ModelScope):
            return scope.model == self.model_id and scope.capability in self.capabilities
        return scope in self.capabilities


@runtime_checkable
class DeploymentSource(Protocol):
    """A catalog that can say at once what it has, and announces its changes.

    Our router follows such a catalog; any other it asks before every decision (`CatalogMirror`).
    """

    def deployments(self) -> list[Deployment]:
        """Return all deployments, whatever their status, in the order of registration."""
        ...

    def subscribe(self, on_change: Callable[[], None]) -> None:
        """Have *on_change* called after every change."""
        ...


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
        metadata: ModelMetadata | None = None,
    ) -> None:
        """Register a model instance on a node as ready.

        Args:
            model_id: The model.
            node_id: The node.
            region_id: Its region.
            capabilities: What the model can do there.
            metadata: What else is known of the model, for `get_metadata`.
        """
        self.add(Deployment(model_id, node_id, region_id, tuple(capabilities), metadata=metadata))

    def add(self, deployment: Deployment) -> None:
        """Register a deployment with all that is known of it."""
        self.update([deployment])

    def update(
        self, added: Sequence[Deployment], removed: Sequence[tuple[ModelId, NodeId]] = ()
    ) -> None:
        """Remove deployments by model and node, and register others, as one change."""
        for key in removed:
            self._deployments.pop(key, None)
        for deployment in added:
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
        """Return what is known of a model; raises ``Internal`` for an unknown one.

        Its capabilities are those of all its deployments. Name, version and number of parameters
        are the first that a deployment says; the quantization is the one that all say which say
        any, else None. Where none says, the name is the id, the version ``1.0.0``.
        """
        deployed = [each for each in self._deployments.values() if each.model_id == model_id]
        if not deployed:
            reason = f"Model not found: {model_id}"
            raise Internal(reason)
        known = [each.metadata for each in deployed if each.metadata is not None]
        said = dict.fromkeys(each.quantization for each in known if each.quantization)
        return ModelMetadata(
            model_id,
            next((each.name for each in known if each.name), str(model_id)),
            next((each.version for each in known if each.version), UNVERSIONED),
            tuple(dict.fromkeys(each for found in deployed for each in found.capabilities)),
            next((each.parameters for each in known if each.parameters), 0),
            next(iter(said)) if len(said) == 1 else None,
        )

    def _changed(self) -> None:
        self.version += 1
        for on_change in self._subscribers:
            on_change()


class CatalogMirror:
    """What a router knows of a catalog that announces nothing: it is asked before every decision.

    Nodes that the catalog gives for a capability are ready for it; of the rest nothing is known,
    neither models nor prices nor GPUs, so that no node serves a request for a model. An answer that
    comes after a later question's is left aside. The nodes of a capability are known from the first
    request for it.
    """

    def __init__(self, source: ModelCatalogTrait) -> None:
        self._source = source
        self._known = ModelCatalog()
        self._nodes: dict[Capability, dict[NodeId, RegionId]] = {}
        self._answered: dict[Capability, int] = {}
        self._questions = 0

    def deployments(self) -> list[Deployment]:
        """Return what is known so far."""
        return self._known.deployments()

    def subscribe(self, on_change: Callable[[], None]) -> None:
        """Have *on_change* called whenever something else is known."""
        self._known.subscribe(on_change)

    async def follow(self, capability: Capability) -> None:
        """Ask for the nodes of *capability* now; raises what the catalog raises."""
        self._questions += 1
        question = self._questions
        nodes = dict(await self._source.find_by_capability(capability))
        if question < self._answered.get(capability, 0):
            return
        self._answered[capability] = question
        before = self._nodes.get(capability, {})
        if nodes == before:
            return
        self._nodes[capability] = nodes
        model = ModelId(str(capability))
        self._known.update(
            [
                Deployment(model, node_id, region_id, (capability,))
                for node_id, region_id in nodes.items()
                if before.get(node_id) != region_id
            ],
            [(model, node_id) for node_id in before if node_id not in nodes],
        )


def announced(catalog: ModelCatalogTrait | DeploymentSource) -> DeploymentSource:
    """Return *catalog*, or a mirror of one that does not announce its changes."""
    return catalog if isinstance(catalog, DeploymentSource) else CatalogMirror(catalog)
