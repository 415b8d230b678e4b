"""What a fault does to a node while it lasts, and what the events table calls it."""

from __future__ import annotations

from collections.abc import Callable

from fedsim.world.faults.config import FaultConfig
from fedsim.world.nodes.base import Node

Effect = Callable[[Node, object, FaultConfig, bool], None]
"""Begins (true) or ends (false) a fault on a node for a cause."""


def stop(node: Node, cause: object, _: FaultConfig, begins: bool) -> None:
    """Take the node down, or bring it up again."""
    if begins:
        node.take_down(cause)
    else:
        node.bring_up(cause)


def _slow(node: Node, cause: object, fault: FaultConfig, begins: bool) -> None:
    node.set_slowdown(cause, fault.factor if begins else None)


def _fail(node: Node, cause: object, fault: FaultConfig, begins: bool) -> None:
    after_s = 0.0 if fault.timing is None else fault.timing.after_s
    node.set_error_probability(cause, fault.probability if begins else None, after_s)


def drain(node: Node, cause: object, _: FaultConfig, begins: bool) -> None:
    """Have the node refuse new requests, or take them again."""
    node.set_draining(cause, begins)


def _swallow(node: Node, cause: object, _: FaultConfig, begins: bool) -> None:
    node.set_silent(cause, begins)


def _lie(node: Node, cause: object, fault: FaultConfig, begins: bool) -> None:
    assert fault.health is not None
    node.endpoint.set_lie(cause, fault.health if begins else None)


EFFECTS: dict[str, Effect] = {
    "outage": stop,
    "crash": stop,
    "slowdown": _slow,
    "errors": _fail,
    "drain": drain,
    "black_hole": _swallow,
    "flapping": stop,
    "health": _lie,
}
"""The effect of each kind that has one on a node by itself."""

UP, DOWN, DRAINING = "up", "down", "draining"


def words(fault: FaultConfig) -> tuple[str, str]:
    """Return how the events table calls the normal state and the faulty one."""
    if fault.kind == "slowdown":
        return "normal", f"slow x{fault.factor:g}"
    if fault.kind == "errors":
        late = f" after {fault.timing.after_s:g} s" if fault.timing else ""
        return "normal", f"errors {100.0 * fault.probability:g}%{late}"
    if fault.link is not None:
        return _link_words(fault)
    if fault.health is not None:
        says = f" says {fault.health.says}" if fault.health.says else ""
        lag = f" lags {fault.health.lag_s:g} s" if fault.health.lag_s else ""
        return "normal", f"health{says}{lag}"
    return {
        "drain": (UP, DRAINING),
        "black_hole": ("normal", "black hole"),
        "rolling_deployment": ("normal", "rolling"),
    }.get(fault.kind, (UP, DOWN))


def _link_words(fault: FaultConfig) -> tuple[str, str]:
    link = fault.link
    assert link is not None
    if link.cut:
        return "normal", "cut"
    parts = [
        f"+{1000.0 * link.latency_s:g} ms" if link.latency_s else "",
        f"jitter {100.0 * link.jitter:g}%" if link.jitter else "",
        f"loss {100.0 * link.loss:g}%" if link.loss else "",
    ]
    return "normal", " ".join(["link", *(part for part in parts if part)])
