"""What goes wrong, as frozen values that a scenario fills in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fedsim.workload.distributions import Distribution

FaultKind = Literal[
    "outage",
    "crash",
    "slowdown",
    "errors",
    "drain",
    "rolling_deployment",
    "black_hole",
    "partition",
    "link",
    "flapping",
    "health",
    "spot",
    "correlated",
]
"""The kinds of faults; ``docs/failures.md`` says what each does."""


@dataclass(frozen=True, slots=True)
class ErrorTiming:
    """When the errors of a fault of kind ``errors`` come.

    Attributes:
        after_s: From the request's arrival at the node to its error, in seconds, > 0. It holds no
            slot and no place in the queue meanwhile.
    """

    after_s: float


@dataclass(frozen=True, slots=True)
class RollingConfig:
    """How a deployment rolls through its nodes.

    Attributes:
        batch: Nodes that are restarted at a time, >= 1.
        pause_s: From the moment at which a batch is ready to the next batch, in seconds.
        drain_s: Longest that a node may finish old requests, in seconds; the rest fails.
        restart_s: From the stop of a node to its start, in seconds; a cold start comes on top.
    """

    batch: int = 1
    pause_s: float = 0.0
    drain_s: float = 30.0
    restart_s: float = 10.0


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """What happens to the messages between two ends, each a region, gateway, pool or node.

    Attributes:
        ends: The two ends.
        one_way: Whether only messages from the first to the second are struck.
        cut: Whether no message gets through.
        latency_s: Added to each message, in seconds, >= 0.
        jitter: 95th percentile of a message's time over its median, minus one, beside the
            network's own; >= 0.
        loss: Probability that a message is lost, 0 to 1.
    """

    ends: tuple[str, str]
    one_way: bool = False
    cut: bool = False
    latency_s: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0

    @property
    def name(self) -> str:
        """What the events table calls it, such as ``us-east <> eu-west``."""
        return f" {'>' if self.one_way else '<>'} ".join(self.ends)


@dataclass(frozen=True, slots=True)
class FlappingConfig:
    """How a node goes up and down while it flaps.

    Attributes:
        period_s: From one time down to the next, in seconds, > 0.
        down_share: Share of each period, from its start, in which it is down, between 0 and 1.
    """

    period_s: float
    down_share: float


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """What a health endpoint says in place of the truth.

    Attributes:
        says: ``well`` (it answers whatever the node does), ``ill`` (it says that the node is ill
            whatever it does), or None for the truth.
        lag_s: Age of what it says, in seconds; 0 for the present.
    """

    says: Literal["well", "ill"] | None = None
    lag_s: float = 0.0


@dataclass(frozen=True, slots=True)
class GroupConfig:
    """Which nodes of a correlated failure go down together.

    Attributes:
        size: Consecutive nodes that make up a group, such as a rack, >= 1; None for all nodes in
            one group.
        spread_s: Each node goes down at a random moment of so many seconds, and comes back with
            the others; 0 for all at once.
    """

    size: int | None = None
    spread_s: float = 0.0


@dataclass(frozen=True, slots=True)
class FaultConfig:
    """Something that goes wrong.

    Exactly one of *region*, *pool*, *pools* and *node* names what it strikes, or *link* does. A
    scripted fault has *at_s* and *lasts_s*; a random one has *mtbf_s* and *mttr_s* and strikes
    each node by itself, but an outage, a correlated failure, a rolling deployment and a link
    what they name as one.

    Attributes:
        kind: What happens.
        region: Region struck, or None.
        pool: Pool struck, or None.
        node: Node struck, or None.
        at_s: Start, in seconds of simulated time.
        lasts_s: Duration in seconds; None for a rolling deployment, which ends by itself.
        mtbf_s: Mean time up in seconds.
        mttr_s: Mean time to repair in seconds.
        factor: Slowdown, > 0.
        probability: Error probability, 0 to 1.
        pools: Pools struck by a correlated failure.
        share: Share of the nodes that are struck, more than 0 to 1: at least one of them.
        up: Times up, with a mean of *mtbf_s*; None for exponential ones.
        down: Times to repair, with a mean of *mttr_s*; None for exponential ones.
        timing: When errors come; None for at once.
        rolling: How a deployment rolls.
        link: What happens to which messages, for a partition or link fault.
        flapping: How a node flaps.
        health: What a health endpoint says.
        notice_s: From the notice of a spot reclamation to its end, in seconds.
        group: Which nodes of a correlated failure go down together.
    """

    kind: FaultKind
    region: str | None = None
    pool: str | None = None
    node: str | None = None
    at_s: float | None = None
    lasts_s: float | None = None
    mtbf_s: float | None = None
    mttr_s: float | None = None
    factor: float = 1.0
    probability: float = 0.0
    pools: tuple[str, ...] = ()
    share: float = 1.0
    up: Distribution | None = None
    down: Distribution | None = None
    timing: ErrorTiming | None = None
    rolling: RollingConfig | None = None
    link: LinkConfig | None = None
    flapping: FlappingConfig | None = None
    health: EndpointConfig | None = None
    notice_s: float = 0.0
    group: GroupConfig | None = None

    @property
    def subject(self) -> str:
        """What the events table calls that which it strikes."""
        if self.link is not None:
            return self.link.name
        return self.node or self.pool or self.region or "+".join(self.pools)
