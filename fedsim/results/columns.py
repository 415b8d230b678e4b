"""The typed columns that a run is recorded in, a few bytes a value.

Columns that are known when a row begins are appended to. Those that are known when it ends are
reserved in blocks, filled with the value that means missing, and written by row number; so they
are longer than the table, and a reader takes the first ``rows`` of them.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fedsim.federation.contracts import (
    AllNodesUnhealthy,
    CircuitOpen,
    Internal,
    NoCapacity,
    NodeUnreachable,
    PrivacyViolation,
    QoSViolation,
    Timeout,
)

BLOCK_ROWS = 8192
"""Rows that are reserved at a time."""

OUTCOMES = (
    "ok",
    *(
        error.kind
        for error in (
            NoCapacity,
            AllNodesUnhealthy,
            QoSViolation,
            PrivacyViolation,
            NodeUnreachable,
            Timeout,
            CircuitOpen,
            Internal,
        )
    ),
    "cancelled",
    "unfinished",
)
"""Every outcome of a request or an attempt; ``ok`` comes first, so that its code is 0."""

UNFINISHED = OUTCOMES.index("unfinished")


def code_type(names: int) -> str:
    """Return the array type that pandas, too, uses for the codes of that many categories."""
    if names < 127:
        return "b"
    return "h" if names < 32767 else "i"


class OutcomeCodes(dict[str, int]):
    """The code of each outcome; an error kind of a plug-in's own gets the next free one."""

    def __init__(self) -> None:
        super().__init__((name, code) for code, name in enumerate(OUTCOMES))

    def __missing__(self, outcome: str) -> int:
        """Number an outcome that is met for the first time."""
        code = self[outcome] = len(self)
        return code


def _floats() -> array[float]:
    return array("d")


def _integers() -> array[int]:
    return array("i")


def _counts() -> array[int]:
    return array("I")


def _bytes() -> array[int]:
    return array("b")


def _reserve(columns: Iterable[tuple[array[Any], float]]) -> None:
    """Lengthen each column by a block of its value for missing."""
    for column, missing in columns:
        column.extend(array(column.typecode, [missing]) * BLOCK_ROWS)


@dataclass(slots=True)
class RequestColumns:
    """A row per request, in the order of arrival; 97 bytes where names are few."""

    stream: array[int]
    origin: array[int]
    node: array[int]
    index: array[int] = field(default_factory=_counts)
    tenant: array[int] = field(default_factory=_integers)
    arrived_s: array[float] = field(default_factory=_floats)
    prompt_tokens: array[int] = field(default_factory=_integers)
    output_tokens: array[int] = field(default_factory=_integers)
    cached_tokens: array[int] = field(default_factory=_integers)
    preemptions: array[int] = field(default_factory=_integers)
    outcome: array[int] = field(default_factory=_bytes)
    finished_s: array[float] = field(default_factory=_floats)
    network_s: array[float] = field(default_factory=_floats)
    queue_wait_s: array[float] = field(default_factory=_floats)
    service_s: array[float] = field(default_factory=_floats)
    ttft_s: array[float] = field(default_factory=_floats)
    tpot_s: array[float] = field(default_factory=_floats)
    cost_usd: array[float] = field(default_factory=_floats)

    @property
    def rows(self) -> int:
        """Number of requests."""
        return len(self.arrived_s)

    def reserve(self) -> int:
        """Make room for the ends of another block of requests, and return the room there is."""
        unknown = (
            self.finished_s,
            self.network_s,
            self.queue_wait_s,
            self.service_s,
            self.ttft_s,
            self.tpot_s,
            self.cost_usd,
        )
        _reserve((column, math.nan) for column in unknown)
        _reserve(((self.outcome, UNFINISHED), (self.node, -1)))
        _reserve(((self.cached_tokens, -1), (self.preemptions, -1)))
        return len(self.finished_s)


@dataclass(slots=True)
class TurnColumns:
    """A row per request of a user or a session, in the order of arrival; 12 bytes."""

    request: array[int] = field(default_factory=_counts)
    user: array[int] = field(default_factory=_integers)
    turn: array[int] = field(default_factory=_integers)


@dataclass(slots=True)
class AttemptColumns:
    """A row per attempt, in the order of their starts; 41 bytes where names are few."""

    gateway: array[int]
    node: array[int]
    request: array[int] = field(default_factory=_counts)
    attempt: array[int] = field(default_factory=_integers)
    hedge: array[int] = field(default_factory=_bytes)
    started_s: array[float] = field(default_factory=_floats)
    outcome: array[int] = field(default_factory=_bytes)
    finished_s: array[float] = field(default_factory=_floats)
    queue_wait_s: array[float] = field(default_factory=_floats)
    service_s: array[float] = field(default_factory=_floats)

    @property
    def rows(self) -> int:
        """Number of attempts."""
        return len(self.started_s)

    def reserve(self) -> int:
        """Make room for the ends of another block of attempts, and return the room there is."""
        unknown = (self.finished_s, self.queue_wait_s, self.service_s)
        _reserve((column, math.nan) for column in unknown)
        _reserve(((self.outcome, UNFINISHED),))
        return len(self.finished_s)


@dataclass(slots=True)
class NodeColumns:
    """A row per node and sample."""

    node: array[int]
    time_s: array[float] = field(default_factory=_floats)
    up: array[int] = field(default_factory=_bytes)
    running: array[int] = field(default_factory=_integers)
    queued: array[int] = field(default_factory=_integers)
    utilization: array[float] = field(default_factory=_floats)
    kv_used_tokens: array[int] = field(default_factory=_integers)


SCORES = ("latency", "throughput", "cost", "locality", "health", "total")
"""The scores of a candidate, in the order in which they are reported."""


@dataclass(slots=True)
class DecisionColumns:
    """A row per candidate of a decision, in the order of decisions."""

    gateway: array[int]
    node: array[int]
    request: array[int] = field(default_factory=_counts)
    attempt: array[int] = field(default_factory=_integers)
    time_s: array[float] = field(default_factory=_floats)
    outcome: array[int] = field(default_factory=_bytes)
    chosen: array[int] = field(default_factory=_bytes)
    eligible: array[int] = field(default_factory=_bytes)
    reason: array[int] = field(default_factory=_integers)
    scores: tuple[array[float], ...] = field(
        default_factory=lambda: tuple(_floats() for _ in SCORES)
    )
    estimated_latency_s: array[float] = field(default_factory=_floats)
    health: array[int] = field(default_factory=_integers)
    circuit: array[int] = field(default_factory=_integers)
    in_flight: array[int] = field(default_factory=_integers)
    reported_depth: array[int] = field(default_factory=_integers)
    reported_age_s: array[float] = field(default_factory=_floats)
    actual_depth: array[int] = field(default_factory=_integers)
    words: dict[str, int] = field(default_factory=dict)

    def code(self, word: str) -> int:
        """Return the code of a reason or a state; -1 for an empty one."""
        return self.words.setdefault(word, len(self.words)) if word else -1


@dataclass(frozen=True, slots=True)
class Event:
    """A row of the events table; an empty text is a missing one."""

    time_s: float
    kind: str
    subject: str
    gateway: str
    before: str
    after: str
    detail: str


@dataclass(frozen=True, slots=True)
class NodeTotals:
    """What a node did in a run, in seconds and slot-seconds."""

    node: int
    up_s: float
    busy_slot_s: float
    wasted_slot_s: float
    window_busy_slot_s: float
    window_busy_s: float
