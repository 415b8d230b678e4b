"""What the world tells whoever watches: names behind the codes, and the calls that report a run.

The world reports numbers: a node, region, gateway or stream is its index in the ``Directory``, and
-1 stands for none. A call is a plain method with positional arguments, because the path of every
request goes through here; it must neither block nor raise, and must not touch the world.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    """

    name: str
    capability: str
    privacy: PrivacyLevel
    max_latency_s: float | None = None
    tenants: tuple[str, ...] = ()
    sessions: bool = False

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
    """

    name: str
    pool: str
    region: str
    slots: int
    cost_usd_per_hour: float | None = None


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


class WorldObserver(Protocol):
    """Receives what happens in a run, in the order of simulated time.

    All times are seconds of simulated time. Codes of ``Directory``; -1 is none or unknown, NaN an
    unknown duration. An outcome is ``ok`` or the kind of a ``FederationError``; an attempt's may
    also be ``cancelled``. What is never finished stays ``unfinished``.
    """

    def request_arrived(
        self,
        stream: int,
        index: int,
        tenant: int,
        origin: int,
        arrived_s: float,
        prompt_tokens: int,
        output_tokens: int,
    ) -> int:
        """Note that request *index* of *stream* arrived in region *origin*, and return its row."""
        ...

    def turn_taken(self, row: int, user: int, turn: int) -> None:
        """Note that the request in *row* is turn *turn* of a *user* or session, both from 0."""
        ...

    def request_finished(
        self,
        row: int,
        finished_s: float,
        outcome: str,
        node: int,
        network_s: float,
        queue_wait_s: float,
        service_s: float,
        ttft_s: float,
        tpot_s: float,
        cost_usd: float,
        output_tokens: int,
        cached_tokens: int,
        preemptions: int,
    ) -> None:
        """Note the end of the request in *row*.

        Args:
            row: What ``request_arrived`` returned.
            finished_s: When the answer, or the error, reached the client.
            outcome: ``ok`` or the kind of an error.
            node: The node that served it, or the last one tried.
            network_s: Time on the network of the attempt that answered, in seconds.
            queue_wait_s: Its wait in the node's queue, in seconds.
            service_s: Its time in a slot, in seconds.
            ttft_s: From arrival to the first token, in seconds.
            tpot_s: Mean time between tokens after the first, at the node, in seconds.
            cost_usd: Price of the share of slots and time that all its attempts held, in USD.
            output_tokens: Tokens generated.
            cached_tokens: Tokens of the prompt that the node found in its prefix cache, or -1.
            preemptions: How often the node preempted it, or -1.
        """
        ...

    def request_cost_added(self, row: int, cost_usd: float) -> None:
        """Add to the cost of a request that is over: a node worked on it in vain until now."""
        ...

    def attempt_started(
        self, row: int, attempt: int, gateway: int, node: int, hedge: bool, started_s: float
    ) -> int:
        """Note attempt number *attempt* (from 1) of the request in *row*; return its own row."""
        ...

    def attempt_finished(
        self,
        attempt_row: int,
        finished_s: float,
        outcome: str,
        queue_wait_s: float,
        service_s: float,
    ) -> None:
        """Note the end of an attempt, with its wait and its time in a slot, in seconds.

        Comes again for an attempt that was given up, with the times until its node was done.
        """
        ...

    def node_sampled(
        self,
        time_s: float,
        node: int,
        up: bool,
        running: int,
        queued: int,
        utilization: float,
        kv_used_tokens: int = -1,
    ) -> None:
        """Note the state of *node*: requests in service and waiting, share of time in use."""
        ...

    def event(
        self,
        time_s: float,
        kind: str,
        subject: str,
        gateway: str,
        before: str,
        after: str,
        detail: str,
    ) -> None:
        """Note that *subject* went from *before* to *after*; an empty text is a missing one.

        Kinds are ``fault`` (subject a node, pool, region, pools joined by ``+``, or a link such as
        ``us-east <> eu-west``; ``up``/``draining``/``down``, or ``normal`` and what it is in place
        of that, such as ``slow x5``, ``errors 30%``, ``black hole`` or ``cut``),
        ``loading`` (a node that starts, or loads a model),
        ``refusal`` (a node that turned away what it can never serve), ``health`` and ``breaker``
        (subject a node, as seen by *gateway*), ``outlier`` (a node, ``admitted``/``ejected``),
        ``panic`` (a capability, ``off``/``on``), ``plugin`` (something to warn about) and
        ``admission`` (subject the part of *gateway* that turns requests away, or stops).
        """
        ...

    def candidate_considered(
        self,
        row: int,
        attempt: int,
        gateway: int,
        time_s: float,
        outcome: str,
        node: int,
        chosen: bool,
        eligible: int,
        rejection_reason: str,
        scores: Sequence[float],
        estimated_latency_s: float,
        health: str,
        circuit: str,
        in_flight: int,
        reported_depth: int,
        reported_age_s: float,
        actual_depth: int,
    ) -> None:
        """Note one candidate of one decision.

        Args:
            row: The request's.
            attempt: Number of the attempt that follows, from 1.
            gateway: Code of the gateway.
            time_s: When it decided, in seconds.
            outcome: ``ok``, or the kind of the error where no node was chosen.
            node: Code of the candidate.
            chosen: Whether it was chosen.
            eligible: 1 or 0; -1 where the router does not say.
            rejection_reason: Why it was not eligible, or empty.
            scores: Latency, throughput, cost, locality, health, total; NaN where unknown.
            estimated_latency_s: The router's estimate in seconds; NaN where there is none.
            health: The health checker's verdict, or empty.
            circuit: State of its circuit, or empty.
            in_flight: Requests that this gateway had sent there and that had not ended, or -1.
            reported_depth: Requests running and waiting at its last good probe, or -1.
            reported_age_s: Time since that probe, in seconds, or NaN.
            actual_depth: Requests that were truly running and waiting there.
        """
        ...

    def node_totals(
        self,
        node: int,
        up_s: float,
        busy_slot_s: float,
        wasted_slot_s: float,
        window_busy_slot_s: float,
        window_busy_s: float,
    ) -> None:
        """Note what a node did, once at the end of the run.

        Args:
            node: The node.
            up_s: Time up, in seconds.
            busy_slot_s: Slot-seconds in use over the whole run.
            wasted_slot_s: Those of them whose result nobody took.
            window_busy_slot_s: Slot-seconds in use within [warmup, duration).
            window_busy_s: Time in use within it, in seconds: of an engine its time in steps, of
                any other node its slot-seconds in use, divided by its slots.
        """
        ...
