"""Reports to the world's observer what the federation's objects of one gateway find out."""

from __future__ import annotations

from fedsim.federation.contracts import CircuitState, HealthState, NodeId
from fedsim.federation.scopes import Scope
from fedsim.kernel.environment import Environment
from fedsim.world.observer import WorldObserver


class FederationReporter:
    """The federation's ``Observer`` for one gateway, and the place where plug-ins are reported."""

    def __init__(self, observer: WorldObserver, env: Environment, gateway: str) -> None:
        self._observer = observer
        self._env = env
        self._gateway = gateway

    def health_changed(
        self, at_s: float, node_id: NodeId, before: HealthState, after: HealthState, reason: str
    ) -> None:
        """Report that the gateway's health checker has another verdict on a node."""
        self._changed(at_s, "health", node_id, before.value, after.value, reason)

    def circuit_changed(
        self, at_s: float, node_id: NodeId, before: CircuitState, after: CircuitState, reason: str
    ) -> None:
        """Report that a circuit of the gateway's breaker changed its state."""
        self._changed(at_s, "breaker", node_id, before.value, after.value, reason)

    def outlier_changed(self, at_s: float, node_id: NodeId, ejected: bool, reason: str) -> None:
        """Report that the gateway ejected a node as an outlier, or readmitted it."""
        before, after = ("admitted", "ejected") if ejected else ("ejected", "admitted")
        self._changed(at_s, "outlier", node_id, before, after, reason)

    def panic_changed(self, at_s: float, scope: Scope, panicking: bool, reason: str) -> None:
        """Report that the gateway's panic over the nodes of a scope began, or ended."""
        before, after = ("off", "on") if panicking else ("on", "off")
        self._changed(at_s, "panic", scope.key, before, after, reason)

    def admission_changed(
        self, at_s: float, scope: Scope, part: str, before: str, after: str, reason: str
    ) -> None:
        """Report that the gateway began to turn requests of a scope away, or stopped."""
        self._changed(at_s, "admission", f"{part}/{scope.key}", before, after, reason)

    def plugin(self, name: str, problem: str) -> None:
        """Report something about a plug-in that its author should know."""
        self._observer.event(
            time_s=self._env.now,
            kind="plugin",
            subject=name,
            gateway=self._gateway,
            detail=problem,
        )

    def _changed(
        self, at_s: float, kind: str, subject: str, before: str, after: str, reason: str
    ) -> None:
        self._observer.event(
            time_s=at_s,
            kind=kind,
            subject=subject,
            gateway=self._gateway,
            before=before,
            after=after,
            detail=reason,
        )
