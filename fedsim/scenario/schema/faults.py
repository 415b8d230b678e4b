"""Faults in the scenario file: what goes wrong, where and when."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from fedsim.scenario.schema.base import Choice, error
from fedsim.scenario.schema.catalogued import PresetName
from fedsim.scenario.schema.fault_parts import NodeFault, PlaceFault
from fedsim.scenario.schema.link_faults import LinkTrouble, Partition
from fedsim.scenario.schema.types import (
    CountFrom1,
    Duration,
    InnerShare,
    PositiveDuration,
    Probability,
)
from fedsim.world.faults.config import FaultKind


class Outage(NodeFault):
    """All nodes of what is named stop together; gateways and clients live on."""

    kind: Literal["outage"]


class Crash(NodeFault):
    """Nodes stop and are restarted: once, or at random again and again, each by itself."""

    times = (
        *NodeFault.times,
        frozenset(("preset",)),
        frozenset(("mtbf", "preset")),
        frozenset(("mttr", "preset")),
    )
    times_remedy = "Give mtbf and mttr, or a preset, or at and lasts."

    kind: Literal["crash"]
    preset: PresetName | None = Field(
        default=None,
        description=(
            "A published fleet, from which the catalogue knows mtbf and mttr; an mtbf or mttr "
            "beside it comes before the fleet's."
        ),
        examples=["meta-rsc-1"],
    )


class Slowdown(NodeFault):
    """Service takes longer, and probes are answered as ever."""

    kind: Literal["slowdown"]
    factor: float = Field(
        ge=1, description="How many times as long service takes, 1 or more.", examples=[5]
    )


class Errors(NodeFault):
    """Requests fail with a probability, at once or after a time."""

    kind: Literal["errors"]
    probability: Probability = Field(
        description="Probability that a request fails.", examples=[0.3]
    )
    after: PositiveDuration | None = Field(
        default=None,
        description=(
            "Time from the arrival of a request at the node to its error, in which it holds "
            "neither a slot nor a place in the queue; at once where not given."
        ),
        examples=["5s"],
    )


class Drain(NodeFault):
    """Nodes refuse new requests and finish those that they have; the catalog says so."""

    kind: Literal["drain"]


class RollingDeployment(PlaceFault):
    """Nodes are restarted batch by batch: each drains, stops, starts and loads."""

    times: ClassVar[tuple[frozenset[str], ...]] = (frozenset(("at",)), frozenset(("mtbf",)))
    times_remedy: ClassVar[str] = (
        "Give at for one, or mtbf for one after another at random; it ends when all are restarted."
    )

    kind: Literal["rolling_deployment"]
    batch: CountFrom1 = Field(default=1, description="Nodes that are restarted at a time.")
    pause: Duration = Field(
        default=0.0, description="From the moment at which a batch is ready to the next batch."
    )
    drain: Duration = Field(
        default=30.0,
        description="Longest that a node may take to finish old requests; the rest fails.",
    )
    restart: Duration = Field(
        default=10.0,
        description="From the stop of a node to its start; the pool's cold_start comes on top.",
    )


class BlackHole(NodeFault):
    """Nodes accept requests and probes, and never answer."""

    kind: Literal["black_hole"]


class Flapping(NodeFault):
    """Nodes go down and up, and down and up again, for as long as it lasts."""

    kind: Literal["flapping"]
    period: PositiveDuration = Field(
        description="From one time down to the next.", examples=["20s"]
    )
    down_share: InnerShare = Field(
        default=0.5, description="Share of each period, from its start, in which they are down."
    )


class Health(NodeFault):
    """The health endpoint of nodes lies or lags; requests are served as ever."""

    kind: Literal["health"]
    says: Literal["well", "ill"] | None = Field(
        default=None,
        description=(
            "well: it answers whatever the node does, even while that is down or a black hole; "
            "ill: it says that the node is ill, whatever it does; where not given, the truth."
        ),
        examples=["well"],
    )
    lag: PositiveDuration | None = Field(
        default=None,
        description="Age of verdict and telemetry, to a second; none where not given.",
        examples=["30s"],
    )

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.says is None and self.lag is None:
            message = "The health endpoint tells the truth, and at once."
            raise error(message, "Give says: well or says: ill, or lag, or says and lag.")
        return self


class Spot(NodeFault):
    """Nodes are reclaimed: after a notice, in which they drain, they are gone for a time."""

    kind: Literal["spot"]
    notice: Duration = Field(
        default=120.0,
        description="From the notice to the end; at and mtbf are about the notice, lasts and mttr "
        "about the time without the node.",
    )


class Correlated(PlaceFault):
    """A group of nodes of one or several pools goes down together."""

    targets: ClassVar[tuple[str, ...]] = ("region", "pool", "pools")

    kind: Literal["correlated"]
    pools: Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None,
        description="The pools struck: all their nodes.",
        examples=[["us-chat", "us-code"]],
    )
    group_size: CountFrom1 | None = Field(
        default=None,
        description=(
            "Consecutive nodes that make up a group, such as a rack; at random each group goes "
            "down by itself, scripted one that the seed decides. All in one where not given."
        ),
        examples=[4],
    )
    spread: Duration = Field(
        default=0.0,
        description="Each node goes down at a random moment of so long a time; all come back "
        "together.",
    )


_KIND = Choice(
    key="kind", tags={kind: f"<{kind}>" for kind in get_args(FaultKind)}, noun="kind of fault"
)

Fault = Annotated[
    Annotated[Outage, Tag("<outage>")]
    | Annotated[Crash, Tag("<crash>")]
    | Annotated[Slowdown, Tag("<slowdown>")]
    | Annotated[Errors, Tag("<errors>")]
    | Annotated[Drain, Tag("<drain>")]
    | Annotated[RollingDeployment, Tag("<rolling_deployment>")]
    | Annotated[BlackHole, Tag("<black_hole>")]
    | Annotated[Partition, Tag("<partition>")]
    | Annotated[LinkTrouble, Tag("<link>")]
    | Annotated[Flapping, Tag("<flapping>")]
    | Annotated[Health, Tag("<health>")]
    | Annotated[Spot, Tag("<spot>")]
    | Annotated[Correlated, Tag("<correlated>")],
    Discriminator(_KIND.tag),
    BeforeValidator(_KIND.check),
]
"""Something that goes wrong."""
