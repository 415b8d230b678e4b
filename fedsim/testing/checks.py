"""Named checks of a router: what its contract asks for, and what real routers got wrong.

Each check runs the router in a small world that is made for one mistake, and fails with a sentence
from which the mistake can be named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property, partial
from itertools import pairwise
from typing import Any, Literal
from unittest import SkipTest

from fedsim.errors import ArgumentError, PlugInError
from fedsim.federation.capabilities import RoutesRetries, has
from fedsim.results.diagnosis import STARVED_BELOW, findings
from fedsim.results.run import Run
from fedsim.scenario.load import load
from fedsim.testing.calls import Calls, counted_calls, watched_calls
from fedsim.testing.golden import changes as differences
from fedsim.testing.golden import golden_of
from fedsim.testing.scenes import Scene, staged

Kind = Literal["contract", "advisory"]

_FLEET = ("w-0", "w-1", "w-2", "w-3")


@dataclass(frozen=True, slots=True, eq=False)
class RouterCheck:
    """A check of one router, to be called; its ``str`` is its name.

    Attributes:
        name: What is checked, such as ``deterministic``.
        kind: Whether the contract asks for it, or it is advice.
        reason: Why it is skipped; empty where it is not.
    """

    name: str
    kind: Kind
    reason: str
    run: Callable[[], str] = field(repr=False)

    def __str__(self) -> str:
        return self.name

    def __call__(self) -> str:
        """Run the check, and return what it has to report, mostly nothing.

        Raises:
            AssertionError: The router fails it; the text names the mistake.
            SkipTest: It is skipped, which pytest shows with the reason.
        """
        if self.reason:
            raise SkipTest(self.reason)
        try:
            return self.run()
        except PlugInError as error:
            message = f"{error}"
            raise AssertionError(message) from error


def check_router(
    router: Any = None,
    *,
    strategy: Any = None,
    skip: Mapping[str, str] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> list[RouterCheck]:
    """Return the checks of a router, or of a strategy in our router.

    Args:
        router: A class, ``module:Class`` or ``<adapter>/<choice>``, as for `fedsim.simulate`.
        strategy: A strategy in its place: a name, a class or ``module:Class``.
        skip: Why checks are skipped, by their names.
        changes: Changes of every scenario by dotted path, such as settings of the strategy.

    Raises:
        ArgumentError: There is no router and no strategy, or both; or there is no such check.

    Example:
        >>> checks = check_router(strategy="round_robin", skip={"asks_the_breaker": "it is off"})
        >>> str(checks[0])
        'deterministic'
    """
    if (router is None) == (strategy is None):
        message = "check_router takes a router, or a strategy, and not both."
        raise ArgumentError(message, "Write check_router(MyRouter).")
    chosen = {"federation.strategy": strategy} if router is None else {"federation.router": router}
    subject = _Subject({**chosen, **(changes or {})})
    reasons = dict(skip or {})
    for name in reasons:
        if name not in CHECKS:
            close = get_close_matches(name, CHECKS, 1)
            hint = f"Did you mean {close[0]}?" if close else f"There are {', '.join(CHECKS)}."
            message = f"There is no check {name!r}."
            raise ArgumentError(message, hint)
    return [
        RouterCheck(name, kind, reasons.get(name, ""), partial(check, subject))
        for name, (kind, check) in CHECKS.items()
    ]


class _Subject:
    """A router in the worlds of its checks."""

    def __init__(self, changes: Mapping[str, Any]) -> None:
        self._changes = changes

    def staged(self, **keys: Any) -> Scene:
        """Run a world of four equal nodes, with some keys of the scenario replaced.

        Args:
            keys: Keys of the scenario; ``federation`` adds to its keys.
        """
        federation = {
            "circuit_breaker": "off",
            "retries": "off",
            "timeout": {"attempt": "5s", "request": "20s"},
            "health": {"interval": "1s", "jitter": "0%", "failure_threshold": 2},
            **keys.pop("federation", {}),
        }
        tree = {
            "name": "check",
            "seed": 5,
            "duration": "30s",
            "warmup": "0s",
            "regions": {"lab": {}},
            "network": {"within_region": "2ms", "jitter": "0%"},
            "pools": {"w": _pool(4)},
            "workload": {"chat": _stream("10/s")},
            "record": {"nodes_every": "off"},
            "federation": federation,
            **keys,
        }
        return staged(load(tree).changed(self._changes))

    @cached_property
    def exercised(self) -> Run:
        """Ten minutes on four nodes, one of which is slow for a while: what defects show in."""
        slow = {"kind": "slowdown", "node": "w-2", "at": "40s", "lasts": "20s", "factor": 30}
        service = {"distribution": "lognormal", "median": "300ms", "p99": "1.2s"}
        return self.staged(
            duration="4min",
            warmup="20s",
            pools={"w": {**_pool(4), "slots": 4, "service": service}},
            workload={"chat": {**_stream("24/s"), "tenants": {"count": 60, "zipf": 1.2}}},
            faults=[slow],
            federation={"timeout": {"attempt": "off", "request": "60s"}},
        ).run

    @cached_property
    def troubled(self) -> Scene:
        """Two nodes of four fail or time out for 20 s, and are well for two minutes after that."""
        return self.staged(
            duration="150s",
            faults=[
                {"kind": "errors", "node": "w-0", "at": "0s", "lasts": "20s", "probability": 0.5},
                {"kind": "slowdown", "node": "w-1", "at": "0s", "lasts": "20s", "factor": 60},
            ],
            workload={"chat": _stream("4/s")},
            federation={
                "retries": {"limit": 2, "backoff": "10ms"},
                "timeout": {"attempt": "1s", "request": "1500ms"},
                "health": {"interval": "1s", "failure_threshold": 100000},
            },
        )

    @cached_property
    def lost(self) -> Run:
        """One node of four is lost after five seconds, for good."""
        outage = {"kind": "outage", "node": "w-0", "at": "5s", "lasts": "1h"}
        federation = {"retries": {"limit": 3, "backoff": "10ms"}}
        return self.staged(faults=[outage], federation=federation).run

    @cached_property
    def failing(self) -> Scene:
        """One node of four fails every request, which nothing but its answers shows."""
        errors = {"kind": "errors", "node": "w-0", "at": "0s", "lasts": "1h", "probability": 1.0}
        federation = {
            "retries": {"limit": 3, "backoff": "10ms", "budget": "off"},
            "health": {"interval": "1h", "failure_threshold": 100000},
        }
        return self.staged(faults=[errors], federation=federation)

    @cached_property
    def calls(self) -> Calls:
        """What a short run calls of clocks and of shared randomness."""
        return watched_calls(partial(self.staged, duration="3s"))


def _pool(count: int) -> dict[str, Any]:
    return {
        "region": "lab",
        "count": count,
        "slots": 2,
        "queue_limit": "unlimited",
        "capabilities": ["generate"],
        "service": {"distribution": "exponential", "mean": "100ms"},
    }


def _stream(rate: str, **keys: Any) -> dict[str, Any]:
    return {"arrivals": {"process": "poisson", "rate": rate}, "tenants": {"count": 20}, **keys}


def _fail(sentence: str) -> None:
    raise AssertionError(sentence)


def _deterministic(subject: _Subject) -> str:
    errors = {"kind": "errors", "node": "w-1", "at": "5s", "lasts": "5s", "probability": 0.5}
    one, other = (subject.staged(duration="20s", faults=[errors]).run for _ in range(2))
    if one.digest != other.digest:
        found = differences(golden_of(one), golden_of(other))
        where = "in its times alone"
        if found:
            where = (
                f"first in {found[0].attempt}, which went to {found[0].before} and to "
                f"{found[0].after}"
            )
        _fail(
            f"Two runs of one scenario and seed differ, {where}: look for state that outlives a "
            "run, the wall clock, id(), hash() or an iteration over a set."
        )
    return ""


def _no_wall_clock(subject: _Subject) -> str:
    if subject.calls.clocks:
        _fail(
            f"Reads the wall clock: {subject.calls.clocks[0]}. Use context.clock.now(), which is "
            "simulated time in a simulation."
        )
    return ""


def _own_randomness(subject: _Subject) -> str:
    if subject.calls.randomness:
        _fail(
            f"Draws from shared global randomness: {subject.calls.randomness[0]}. Use context.rng, "
            "whose draws change no other plug-in's."
        )
    return ""


def _honours_capability(subject: _Subject) -> str:
    pools = {"e": {**_pool(2), "capabilities": ["embed"]}, "w": _pool(2)}
    streams = {
        "chat": _stream("5/s", capability="generate"),
        "embedding": _stream("5/s", capability="embed"),
    }
    attempts = subject.staged(pools=pools, workload=streams, duration="10s").run.attempts
    stream = attempts["request_id"].str.rpartition("-")[0]
    wrong = attempts[(stream == "chat") != attempts["node"].astype(str).str.startswith("w-")]
    if len(wrong):
        row = wrong.iloc[0]
        _fail(
            f"Sent {row['request_id']} to {row['node']}, which cannot serve it ({len(wrong)} of "
            f"{len(attempts)} attempts): choose among "
            "catalog.find_by_capability(request.capability)."
        )
    return ""


def _honours_exclusions(subject: _Subject) -> str:
    found = subject.failing
    if not all(has(router, RoutesRetries) for router in found.routers):
        return "It has no route_excluding."
    for request, nodes in _tried(found.run).items():
        for place, node in enumerate(nodes):
            if node in nodes[:place] and len(set(nodes[:place])) < len(_FLEET):
                _fail(
                    f"A retry of {request} went to {node}, which is among the excluded nodes, "
                    f"though others were left (tried: {', '.join(nodes[:place])}): route_excluding "
                    "has to leave out what it is given."
                )
    return ""


def _retries_elsewhere(subject: _Subject) -> str:
    again = retries = 0
    for nodes in _tried(subject.failing.run).values():
        retries += len(nodes) - 1
        again += sum(one == other for one, other in pairwise(nodes))
    if again:
        _fail(
            f"{again} of {retries} retries went to the node that had just failed: "
            "route_excluding(request, excluded) gives a router the nodes that were tried."
        )
    return ""


def _tried(run: Run) -> dict[str, list[str]]:
    """Return the nodes that each request was sent to, in order."""
    found: dict[str, list[str]] = {}
    attempts = run.attempts
    for request, node in zip(attempts["request_id"], attempts["node"], strict=True):
        found.setdefault(request, []).append(str(node))
    return found


def _survives_empty_catalog(subject: _Subject) -> str:
    drains = [{"kind": "drain", "node": node, "at": "5s", "lasts": "5s"} for node in _FLEET]
    try:
        requests = subject.staged(faults=drains).run.requests
    except PlugInError as error:
        message = (
            f"Does not survive an empty catalog: {error.problem}. Raise "
            "NoCapacity(request.capability) where no node is left."
        )
        raise AssertionError(message) from error
    later = requests[requests["arrived_s"] > 12.0]
    if not (later["outcome"] == "ok").any():
        _fail("Serves nothing more after the catalog was empty for five seconds.")
    return ""


def _lets_nodes_leave(subject: _Subject) -> str:
    drain = {"kind": "drain", "node": "w-0", "at": "5s", "lasts": "1h"}
    attempts = subject.staged(faults=[drain]).run.attempts
    late = attempts[(attempts["started_s"] > 5.0) & (attempts["node"] == "w-0")]
    if len(late):
        _fail(
            f"Goes on to send to w-0 after it has left the catalog ({len(late)} attempts): ask the "
            "catalog for every request, or subscribe to its changes."
        )
    return ""


def _survives_a_lost_node(subject: _Subject) -> str:
    requests = subject.lost.requests
    late = requests[requests["arrived_s"] > 10.0]
    failed = int((late["outcome"] != "ok").sum())
    if failed > len(late) / 2:
        _fail(
            f"After w-0 is lost, {failed} of {len(late)} requests fail though three other nodes "
            "are well: it goes on to choose the lost one."
        )
    return ""


def _avoids_unhealthy(subject: _Subject) -> str:
    attempts = subject.lost.attempts
    late = attempts[attempts["started_s"] > 12.0]
    sent = int((late["node"] == "w-0").sum())
    if sent:
        _fail(
            f"{sent} of {len(late)} attempts went to w-0 long after its health checks failed: "
            "health.get_cached_health(node_id).status is UNHEALTHY."
        )
    return ""


def _conserves_in_flight(subject: _Subject) -> str:
    for router in subject.troubled.routers:
        for name, counts in _counts_in_flight(router).items():
            left = {node: count for node, count in counts.items() if count}
            if left:
                node, count = next(iter(left.items()))
                _fail(
                    f"Loses count of what is in flight: {name}[{node!r}] is {count} after every "
                    "request has ended. on_complete is called for errors, timeouts and "
                    "cancellations too, once for each on_start."
                )
    return _returns(subject, "w-0", "its attempts failed: a count in flight that errors do not")


def _returns_after_timeouts(subject: _Subject) -> str:
    why = "its attempts timed out: a count in flight that timeouts do not"
    return _returns(subject, "w-1", why)


def _returns(subject: _Subject, node: str, why: str) -> str:
    """Check that a node gets requests again that had trouble for a while."""
    attempts = subject.troubled.run.attempts
    late = attempts[attempts["started_s"] > 60.0]
    before, got = (int((each["node"] == node).sum()) for each in (attempts, late))
    if before and got < STARVED_BELOW * len(late) / len(_FLEET):
        _fail(
            f"{node} gets {got} of {len(late)} attempts long after the time in which {why} take "
            "back, or an estimate that only the node's own traffic renews."
        )
    return ""


def _counts_in_flight(router: Any) -> dict[str, dict[Any, int]]:
    """Return the attributes of a router that count what is in flight, by name."""
    return {
        name: dict(value)
        for name, value in getattr(router, "__dict__", {}).items()
        if "flight" in name
        and isinstance(value, Mapping)
        and all(isinstance(count, int | float) for count in value.values())
    }


def _finding(beginning: str, subject: _Subject) -> str:
    found = [text for text in findings(subject.exercised) if text.startswith(beginning)]
    if found:
        _fail(found[0])
    return ""


def _asks_the_breaker(subject: _Subject) -> str:
    errors = {"kind": "errors", "node": "w-0", "at": "0s", "lasts": "1h", "probability": 1.0}
    federation = {
        "circuit_breaker": {"failure_threshold": 3, "reset_timeout": "1h"},
        "health": {"interval": "1h", "failure_threshold": 100000},
    }
    found = subject.staged(faults=[errors], federation=federation)
    refused = int((found.run.requests["outcome"] == "circuit_open").sum())
    if refused:
        _fail(
            f"{refused} requests were sent to w-0 while its circuit was open, and refused: leave "
            "out nodes for which context.breaker.is_open(node_id)."
        )
    return ""


def _keeps_privacy(subject: _Subject) -> str:
    run = subject.staged(
        regions={"lab": {"privacy": "restricted"}, "open": {"privacy": "public"}},
        network={"within_region": "2ms", "between": {"lab/open": "2ms"}, "jitter": "0%"},
        pools={"o": {**_pool(2), "region": "open"}, "w": _pool(2)},
        workload={"chat": _stream("5/s", qos={"privacy": "restricted"}, origins={"lab": 1})},
        duration="10s",
    ).run
    count = run.measures.violations["privacy_violations"]
    if count:
        _fail(
            f"{count} attempts were served in a region that may not hold the request's data: "
            "request.qos.privacy is above the region's level."
        )
    return ""


def _serves_the_model(subject: _Subject) -> str:
    run = subject.staged(
        pools={"o": {**_pool(2), "model": "other"}, "w": {**_pool(2), "model": "one"}},
        workload={"chat": _stream("5/s", model="one")},
        duration="10s",
    ).run
    count = run.measures.violations["model_violations"]
    if count:
        _fail(
            f"{count} attempts were served by another model than request.model asks for: choose "
            "among catalog.deployments() with that model_id."
        )
    return ""


def _calls_per_decision(subject: _Subject) -> str:
    counts = []
    for nodes in (16, 1024):
        quiet = {"health": {"interval": "1h"}}
        few = partial(subject.staged, duration="2s", pools={"w": _pool(nodes)}, federation=quiet)
        counts.append(f"{counted_calls(few):,.0f} at {nodes:,} nodes")
    return f"Python calls per decision: {', '.join(counts)}."


CHECKS: Mapping[str, tuple[Kind, Callable[[_Subject], str]]] = {
    "deterministic": ("contract", _deterministic),
    "no_wall_clock": ("contract", _no_wall_clock),
    "honours_capability": ("contract", _honours_capability),
    "honours_exclusions": ("contract", _honours_exclusions),
    "survives_empty_catalog": ("contract", _survives_empty_catalog),
    "lets_nodes_leave": ("contract", _lets_nodes_leave),
    "survives_a_lost_node": ("contract", _survives_a_lost_node),
    "conserves_in_flight": ("contract", _conserves_in_flight),
    "own_randomness": ("advisory", _own_randomness),
    "returns_after_timeouts": ("advisory", _returns_after_timeouts),
    "spreads": ("advisory", partial(_finding, "All on one node")),
    "ties_rotate": ("advisory", partial(_finding, "First on ties")),
    "moves_tenants": ("advisory", partial(_finding, "Sticky without rebalancing")),
    "renews_estimates": ("advisory", partial(_finding, "Starved node")),
    "avoids_unhealthy": ("advisory", _avoids_unhealthy),
    "asks_the_breaker": ("advisory", _asks_the_breaker),
    "retries_elsewhere": ("advisory", _retries_elsewhere),
    "keeps_privacy": ("advisory", _keeps_privacy),
    "serves_the_model": ("advisory", _serves_the_model),
    "calls_per_decision": ("advisory", _calls_per_decision),
}
"""Every check by its name, the contract's first."""
