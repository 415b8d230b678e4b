"""Admission: which requests a gateway lets in at all, and what it learns from those."""

from __future__ import annotations

import math
from collections.abc import Callable

from fedsim.federation.contracts import (
    AllNodesUnhealthy,
    CircuitOpen,
    FederationError,
    InferenceRequest,
    NoCapacity,
    NodeUnreachable,
    Timeout,
)
from fedsim.federation.limits import ConcurrencyConfig, Limit, build_limit
from fedsim.federation.runtime import Clock, Observer, Random
from fedsim.federation.scopes import Scope, Scoped
from fedsim.federation.shedding import Shedding, SheddingConfig
from fedsim.federation.throttling import Throttle, ThrottleConfig

QUIET_S = 10.0
"""Time without a refusal after which a part counts as open again, in seconds."""

_REFUSED = (AllNodesUnhealthy, CircuitOpen, NoCapacity, NodeUnreachable, Timeout)
_DROPPED = (NoCapacity, Timeout)


class TurnedAway(NoCapacity):
    """The gateway itself turned a request away; no node has seen it."""


class Admission:
    """Lets requests of a scope in, or turns them away.

    By the limit in flight, by priority, by throttling; a gateway has one for each scope.
    They are asked in this order, so that throttling, which learns from what nodes refuse, hears of
    no request that the gateway's own limit turned away.
    """

    def __init__(
        self,
        scope: Scope,
        clock: Clock,
        limit: Limit | None,
        shedding: Shedding | None,
        throttle: Throttle | None,
        observer: Observer | None,
    ) -> None:
        self._scope = scope
        self._clock = clock
        self._limit = limit
        self._shedding = shedding
        self._throttle = throttle
        self._observer = observer
        self._spells: dict[str, _Spell] = {}
        self.in_flight = 0

    def enter(self, request: InferenceRequest) -> Ticket:
        """Let *request* in.

        Raises:
            TurnedAway: It must not be sent.
        """
        limit = math.inf if self._limit is None else self._limit.limit
        if self.in_flight >= limit:
            raise self._turned_away(request, "concurrency")
        if self._shedding and self.in_flight >= self._shedding.room(limit, request.priority):
            raise self._turned_away(request, "shedding")
        if self._throttle and not self._throttle.admits():
            raise self._turned_away(request, "throttle")
        self.in_flight += 1
        return Ticket(self, self._clock.now(), self.in_flight)

    def left(self, ticket: Ticket, error: BaseException | None) -> None:
        """Learn from a request that was let in and has ended: well, in an error, or cancelled."""
        self.in_flight -= 1
        if self._throttle is not None and not isinstance(error, _REFUSED):
            self._throttle.accepted()
        if self._limit is not None and (error is None or isinstance(error, _DROPPED)):
            latency_s = self._clock.now() - ticket.entered_s
            self._limit.sample(latency_s, ticket.in_flight, error is not None)

    def settle(self) -> None:
        """Report the end of spells that are over."""
        for part, spell in self._spells.items():
            if self._clock.now() - spell.last_s > QUIET_S:
                self._over(part, spell)

    def _turned_away(self, request: InferenceRequest, part: str) -> FederationError:
        now_s = self._clock.now()
        spell = self._spells.get(part)
        if spell is not None and now_s - spell.last_s > QUIET_S:
            self._over(part, spell)
            spell = None
        if spell is None:
            spell = self._spells[part] = _Spell()
            self._report(now_s, part, "open", "turning_away", "")
        spell.count += 1
        spell.last_s = now_s
        return TurnedAway(request.capability, f"turned away by the gateway: {part}")

    def _over(self, part: str, spell: _Spell) -> None:
        if spell.count:
            count = f"{spell.count} request{'' if spell.count == 1 else 's'} turned away"
            self._report(spell.last_s, part, "turning_away", "open", count)
        spell.count = 0

    def _report(self, at_s: float, part: str, before: str, after: str, reason: str) -> None:
        if self._observer is not None:
            self._observer.admission_changed(at_s, self._scope, part, before, after, reason)


class Ticket:
    """A request that was let in; `left` is called once.

    Attributes:
        entered_s: Clock time at which it was, in seconds.
        in_flight: How many were in flight from then on, itself included.
    """

    __slots__ = ("_admission", "entered_s", "in_flight")

    def __init__(self, admission: Admission, entered_s: float, in_flight: int) -> None:
        self._admission = admission
        self.entered_s = entered_s
        self.in_flight = in_flight

    def left(self, error: BaseException | None) -> None:
        """Report that the request has ended."""
        self._admission.left(self, error)


class _Spell:
    """A time in which requests are turned away."""

    __slots__ = ("count", "last_s")

    def __init__(self) -> None:
        self.count = 0
        self.last_s = -math.inf


def build_admission(
    concurrency: ConcurrencyConfig | None,
    shedding: SheddingConfig | None,
    throttle: ThrottleConfig | None,
    clock: Clock,
    random_for: Callable[[str], Random],
    observer: Observer | None,
) -> Scoped[Scope, Admission] | None:
    """Return each scope's admission, None where all requests are let in."""
    if concurrency is None and shedding is None and throttle is None:
        return None
    rngs = Scoped(random_for)

    def build(scope: Scope) -> Admission:
        return Admission(
            scope,
            clock,
            None if concurrency is None else build_limit(concurrency, rngs["concurrency"]),
            None if shedding is None else Shedding(shedding),
            None if throttle is None else Throttle(throttle, clock, rngs["throttle"]),
            observer,
        )

    return Scoped(build)
