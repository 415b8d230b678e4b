"""What the world reports of a run: the names behind the codes, and the calls of an observer.

The world reports numbers: a node, region, gateway or stream is its index in the ``Directory``, and
-1 is none. The path of every request goes through these calls: they must neither block nor raise,
and must not touch the world.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fedsim.federation.contracts import PrivacyLevel


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """A stream of requests.

    Attributes:
        name: The stream; request *index* of it is called ``<name>-<index>``.
        capability: Key of the capability that its requests ask for, such as ``generate``.
        privacy: Privacy level of its requests.
        max_latency_s: Longest latency that its requests accept, in seconds, or None for any.
        tenants: The names of its tenants by number; empty where they are numbered, such as
            ``<name>-tenant-<number>``.
        sessions: Whether its users are the sessions of conversations.
        model: The model that its requests ask for, or None for any.
    """

    name: str
    capability: str
    privacy: PrivacyLevel
    max_latency_s: float | None = None
    tenants: tuple[str, ...] = ()
    sessions: bool = False
    model: str | None = None

    def request_id(self, index: int) -> str:
        """Return the name of the stream's request number *index*, counted from 0."""
        return f"{self.name}-{index}"

    def tenant_id(self, tenant: int) -> str:
        """Return the name of the stream's tenant number *tenant*, counted from 0."""
        return self.tenants[tenant] if self.tenants else f"{self.name}-tenant-{tenant}"


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A node.

    Attributes:
        name: The node, such as ``us-chat-0``.
        pool: Its pool.
        region: Its region.
        slots: Requests in service at once.
        cost_usd_per_hour: Price, idle or not, or None where not given.
        model: The model that it serves; empty where not known.
        kv_tokens: Room of its key-value cache in tokens, in whole blocks; None without an engine.
    """

    name: str
    pool: str
    region: str
    slots: int
    cost_usd_per_hour: float | None = None
    model: str = ""
    kv_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Directory:
    """The names behind the codes of a run; a code is an index into one of these tuples.

    Attributes:
        streams: All streams, in the order of the scenario.
        regions: All regions.
        region_privacy: Strictest level whose data each region may hold, parallel to *regions*.
        gateways: All gateways, such as ``us-east/0``.
        nodes: All nodes, pool by pool.
    """

    streams: tuple[StreamInfo, ...]
    regions: tuple[str, ...]
    region_privacy: tuple[PrivacyLevel, ...]
    gateways: tuple[str, ...]
    nodes: tuple[NodeInfo, ...]


Value = float | str
"""A value of a column: a number, a flag, a code of the ``Directory``, or a text."""


class WorldObserver(Protocol):
    """Receives what happens in a run, in the order of simulated time.

    Values come by name, each under that of a recorded column in ``fedsim/results/columns.py``,
    which says what it holds; ``docs/tables.md`` shows them. A value that is unknown is left out.
    An outcome is ``ok`` or the kind of a ``FederationError``; an attempt's may also be
    ``cancelled``. What is never finished stays ``unfinished``.
    """

    def request_arrived(self, **values: Value) -> int:
        """Begin a row of ``requests``, and return its number."""
        ...

    def turn_taken(self, **values: Value) -> None:
        """Add a row of ``turns``: the request is the next one of a user or a session."""
        ...

    def request_finished(self, row: int, /, **values: Value) -> None:
        """Report the end of the request in *row*, which ``request_arrived`` returned."""
        ...

    def request_cost_added(self, row: int, cost_usd: float) -> None:
        """Add to the cost of a request that is over: a node worked on it in vain until now."""
        ...

    def attempt_started(self, **values: Value) -> int:
        """Begin a row of ``attempts``, and return its number."""
        ...

    def attempt_finished(self, row: int, /, **values: Value) -> None:
        """Report the end of the attempt in *row*, which ``attempt_started`` returned.

        Comes again for an attempt that was given up, with the times until its node was done.
        """
        ...

    def node_sampled(self, **values: Value) -> None:
        """Add a row of ``nodes``."""
        ...

    def event(self, **values: Value) -> None:
        """Add a row of ``events``, whose kinds ``docs/tables.md`` lists.

        It may be of an earlier time: a breaker reports that it became half-open when it is next
        used.
        """
        ...

    def candidate_considered(self, **values: Value) -> None:
        """Add a row of ``decisions``: a candidate of one decision."""
        ...

    def node_totals(self, node: int, /, **values: Value) -> None:
        """Report what a node did, once at the end of the run."""
        ...
