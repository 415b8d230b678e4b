"""Which nodes are usable, as far as a gateway knows, and what follows when that changes."""

from __future__ import annotations

from fedsim.federation.catalog import DeploymentStatus
from fedsim.federation.contracts import (
    CircuitBreakerTrait,
    CircuitState,
    NodeId,
)
from fedsim.federation.fleet import Fleet
from fedsim.federation.outliers import OutlierDetector
from fedsim.federation.panic import PanicMode
from fedsim.federation.scopes import ModelScope, Scope
from fedsim.federation.slow_start import SlowStart


class NodeAvailability:
    """Notifies slow start of nodes that have recovered, and panic mode of how many are usable.

    A node recovers when it becomes ready, healthy, admitted and its circuit closed, after it was
    not, or when it is new. Panic looks at health and ejections alone, because it lifts these.

    Attributes:
        outliers: Outlier ejection, or None where it is off.
        panic: Panic mode, or None where it is off.
        slow_start: Slow start, or None where it is off.
    """

    def __init__(
        self,
        fleet: Fleet,
        breaker: CircuitBreakerTrait | None,
        outliers: OutlierDetector | None,
        panic: PanicMode | None,
        slow_start: SlowStart | None,
    ) -> None:
        self._fleet = fleet
        self._breaker = breaker
        self.outliers = outliers
        self.panic = panic
        self.slow_start = slow_start
        self._serving: dict[NodeId, bool] = {}
        self._asked: dict[ModelScope, None] = {}
        if panic is not None:
            fleet.opened = panic.opened

    def begin(self) -> None:
        """Start from the nodes as they are; none of them counts as recovered."""
        self._follow()
        for position, node_id in enumerate(self._fleet.node_ids):
            self._serving[node_id] = self._serves(position)

    def rebuilt(self) -> list[Scope]:
        """Apply a change of the catalog; return the scopes whose panic began or ended."""
        self._follow()
        known = set(self._fleet.node_ids)
        for node_id in [node for node in self._serving if node not in known]:
            del self._serving[node_id]
            if self.slow_start is not None:
                self.slow_start.lost(node_id)
        for position in range(len(self._fleet.node_ids)):
            self._update(position)
        return self._update_panic(self._scopes(range(len(self._fleet.models))))

    def changed(self, position: int) -> list[Scope]:
        """Apply a change of one node; return the scopes whose panic began or ended."""
        self._update(position)
        return self._update_panic(self._scopes([position]))

    def opens(self, position: int, scope: Scope, announced: bool) -> bool:
        """Return whether panic opens a node; where changes are not announced, whether it is due."""
        if self.panic is None:
            return False
        if announced:
            return position in self.panic.opened.get(scope, ())
        return position in self.panic.due(*self._usable(scope))

    def ejection(self, node_id: NodeId) -> str | None:
        """Return why a node is ejected, or None where it is not."""
        return None if self.outliers is None else self.outliers.ejection(node_id)

    def refresh(self, scope: Scope) -> None:
        """Apply the changes of the nodes of *scope* that were not announced."""
        if isinstance(scope, ModelScope) and self._usable(scope)[0]:
            self._asked[scope] = None
        for position in range(len(self._fleet.node_ids)):
            self._update(position)
        self._update_panic([scope])

    def _follow(self) -> None:
        if self.outliers is not None:
            self.outliers.follow(
                {deployment.node_id: deployment.pool for deployment in self._fleet.deployments}
            )

    def _update(self, position: int) -> None:
        if self.slow_start is None:
            return
        node_id = self._fleet.node_ids[position]
        before = self._serving.get(node_id, False)
        after = self._serving[node_id] = self._serves(position)
        if after and not before:
            self.slow_start.recovered(node_id)
        elif before and not after:
            self.slow_start.lost(node_id)

    def _update_panic(self, scopes: list[Scope]) -> list[Scope]:
        panic, fleet = self.panic, self._fleet
        if panic is None:
            return []
        fleet.unusable = frozenset(
            position for position in range(len(fleet.node_ids)) if not self._is_usable(position)
        )
        return [each for each in scopes if panic.update(each, *self._usable(each))]

    def _scopes(self, positions: range | list[int]) -> list[Scope]:
        if self.panic is None:
            return []
        models = [model for position in positions for model in self._fleet.models[position]]
        found: dict[Scope, None] = {}
        for model in models:
            found |= dict.fromkeys(model.capabilities)
        for scope in self._asked:
            if any(model.serves(scope) for model in models):
                found[scope] = None
        return list(found)

    def _usable(self, scope: Scope) -> tuple[list[int], list[bool]]:
        """Return the nodes that are ready for *scope*, and which of them are usable."""
        members = [
            position
            for position, models in enumerate(self._fleet.models)
            if any(
                model.status is DeploymentStatus.READY and model.serves(scope) for model in models
            )
        ]
        return members, [self._is_usable(position) for position in members]

    def _serves(self, position: int) -> bool:
        models = self._fleet.models[position]
        if all(model.status is not DeploymentStatus.READY for model in models):
            return False
        breaker, node_id = self._breaker, self._fleet.node_ids[position]
        closed = breaker is None or breaker.state(node_id) is CircuitState.CLOSED
        return closed and self._is_usable(position)

    def _is_usable(self, position: int) -> bool:
        """Return whether a node is neither unhealthy nor ejected."""
        if self.ejection(self._fleet.node_ids[position]) is not None:
            return False
        return not self._fleet.is_unhealthy(position)
