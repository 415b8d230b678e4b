"""The reference's view of a catalog: models, each with its deployments in order of registration."""

from __future__ import annotations

from dataclasses import dataclass, field

from fedsim.federation.catalog import Deployment, ModelCatalog
from fedsim.federation.contracts import Capability, ModelId, NodeId
from fedsim.federation.runtime import Random


@dataclass(slots=True)
class Entry:
    """A model and where it runs.

    Attributes:
        capabilities: What it could do when it was first registered; later ones are not looked at.
        deployments: Its deployments, whatever their status.
    """

    capabilities: tuple[Capability, ...]
    deployments: list[Deployment] = field(default_factory=list)


class Entries:
    """The models of a catalog, in an order that is random once, as that of a hash map.

    Args:
        catalog: The catalog, which is followed.
        rng: Decides the order of models.
    """

    def __init__(self, catalog: ModelCatalog, rng: Random) -> None:
        self._catalog = catalog
        self._rng = rng
        self._places: dict[ModelId, float] = {}
        self._by_capability: dict[Capability, list[Deployment]] = {}
        self._entries: list[Entry] = []
        catalog.subscribe(self._rebuild)
        self._rebuild()

    def serving(self, capability: Capability) -> list[Deployment]:
        """Return the deployments of all models with *capability*, ready or not."""
        found = self._by_capability.get(capability)
        if found is None:
            found = [
                deployment
                for entry in self._entries
                if capability in entry.capabilities
                for deployment in entry.deployments
            ]
            self._by_capability[capability] = found
        return found

    def node_ids(self) -> list[NodeId]:
        """Return all nodes, each once, in the order of the catalog."""
        return list(dict.fromkeys(each.node_id for each in self._catalog.deployments()))

    def _rebuild(self) -> None:
        entries: dict[ModelId, Entry] = {}
        for deployment in self._catalog.deployments():
            model = deployment.model_id
            if model not in self._places:
                self._places[model] = self._rng.random()
            entry = entries.setdefault(model, Entry(deployment.capabilities))
            entry.deployments.append(deployment)
        self._entries = [entries[model] for model in sorted(entries, key=self._places.__getitem__)]
        self._by_capability.clear()
