"""Faults in the scenario file: what goes wrong, where and when."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from fedsim.scenario.schema.base import Choice, Settings, error, listed
from fedsim.scenario.schema.catalogued import PresetName
from fedsim.scenario.schema.types import Duration, PositiveDuration, Probability

_REGION = Field(default=None, description="The region struck: all its nodes.")
_POOL = Field(default=None, description="The pool struck: all its nodes.")
_NODE = Field(default=None, description="The node struck, such as us-chat-0.")
_AT = Field(description="Start, from the beginning of the run.", examples=["8min"])
_LASTS = Field(description="How long it lasts.", examples=["3min"])
_CRASHES = {
    ("mtbf", "mttr"),
    ("preset",),
    ("mtbf", "preset"),
    ("mttr", "preset"),
    ("at", "lasts"),
}
"""What a crash may give."""


class _Fault(Settings):
    targets: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="after")
    def _strikes_one_target(self) -> Self:
        given = [name for name in self.targets if getattr(self, name) is not None]
        if len(given) != 1:
            got = listed(given, "and") or "nothing"
            message = f"The fault names {got} as what it strikes."
            raise error(message, f"Give exactly one of {listed(list(self.targets))}.")
        return self


class Outage(_Fault):
    """All nodes of a region, or one node, stop; gateways and clients live on."""

    targets = ("region", "node")

    kind: Literal["outage"]
    region: str | None = _REGION
    node: str | None = _NODE
    at: Duration = _AT
    lasts: PositiveDuration = _LASTS


class Crash(_Fault):
    """Nodes stop and are restarted: once, or at random again and again."""

    targets = ("pool", "node")

    kind: Literal["crash"]
    pool: str | None = _POOL
    node: str | None = _NODE
    mtbf: PositiveDuration | None = Field(
        default=None, description="Mean time up of each node by itself; goes with mttr."
    )
    mttr: PositiveDuration | None = Field(
        default=None, description="Mean time to repair; goes with mtbf."
    )
    at: Duration | None = Field(
        default=None, description="Start of a single crash; goes with lasts."
    )
    lasts: PositiveDuration | None = Field(
        default=None, description="How long a single crash lasts; goes with at."
    )
    preset: PresetName | None = Field(
        default=None,
        description=(
            "A published fleet, from which the catalogue knows mtbf and mttr; an mtbf or mttr "
            "beside it comes before the fleet's."
        ),
        examples=["meta-rsc-1"],
    )

    @model_validator(mode="after")
    def _random_or_scripted(self) -> Self:
        names = ("mtbf", "mttr", "at", "lasts", "preset")
        given = tuple(name for name in names if getattr(self, name) is not None)
        if given not in _CRASHES:
            got = listed(list(given), "and") or "no times"
            message = f"The crash gives {got}."
            raise error(message, "Give mtbf and mttr, or a preset, or at and lasts.")
        return self


class Slowdown(_Fault):
    """Service takes longer."""

    targets = ("region", "pool", "node")

    kind: Literal["slowdown"]
    region: str | None = _REGION
    pool: str | None = _POOL
    node: str | None = _NODE
    at: Duration = _AT
    lasts: PositiveDuration = _LASTS
    factor: float = Field(
        ge=1, description="How many times as long service takes, 1 or more.", examples=[5]
    )


class Errors(_Fault):
    """Requests fail at once, with a probability."""

    targets = ("region", "pool", "node")

    kind: Literal["errors"]
    region: str | None = _REGION
    pool: str | None = _POOL
    node: str | None = _NODE
    at: Duration = _AT
    lasts: PositiveDuration = _LASTS
    probability: Probability = Field(
        description="Probability that a request fails.", examples=[0.3]
    )


_KIND = Choice(
    key="kind",
    tags={
        "outage": "<outage>",
        "crash": "<crash>",
        "slowdown": "<slowdown>",
        "errors": "<errors>",
    },
    noun="kind of fault",
    unbuilt=("partition",),
)

Fault = Annotated[
    Annotated[Outage, Tag("<outage>")]
    | Annotated[Crash, Tag("<crash>")]
    | Annotated[Slowdown, Tag("<slowdown>")]
    | Annotated[Errors, Tag("<errors>")],
    Discriminator(_KIND.tag),
    BeforeValidator(_KIND.check),
]
"""Something that goes wrong."""
