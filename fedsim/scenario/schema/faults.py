"""Faults in the scenario file: when and what they strike, and the settings of each kind.

The settings are derived from the kinds themselves, in ``fedsim.world.faults``.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import fields
from functools import partial
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    Self,
)

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    create_model,
    model_validator,
)

from fedsim.scenario.schema.base import Choice, Settings, error, error_from, listed, union_of
from fedsim.scenario.schema.catalogued import PresetName
from fedsim.scenario.schema.derived import key_of, keys_of
from fedsim.scenario.schema.distributions import AnyDuration, DistributionSettings
from fedsim.scenario.schema.types import Duration, PositiveDuration, PositiveShare
from fedsim.world.faults.kind import FaultKind
from fedsim.world.faults.registry import FAULTS


def _tag(value: Any) -> str:
    is_distribution = isinstance(value, dict | DistributionSettings)
    return "<distribution>" if is_distribution else "<duration>"


MeanTime = Annotated[
    Annotated[PositiveDuration, Tag("<duration>")] | Annotated[AnyDuration, Tag("<distribution>")],
    Discriminator(_tag),
]
"""A mean of exponential times, in seconds, or a distribution of times with another shape."""


def mean_s(time: float | DistributionSettings) -> float:
    """Return the mean of a `MeanTime`, in seconds."""
    return time if isinstance(time, float) else time.build().mean


class TimedFault(Settings):
    """When a fault strikes: once, as scripted, or again and again, at random."""

    fault: ClassVar[type[FaultKind]]
    """The kind of which these are settings."""

    at: Duration | None = Field(
        default=None,
        description="Start, from the beginning of the run; goes with lasts.",
        examples=["8min"],
    )
    lasts: PositiveDuration | None = Field(
        default=None, description="How long it lasts; goes with at.", examples=["3min"]
    )
    mtbf: MeanTime | None = Field(
        default=None,
        description=(
            "For a fault at random: mean time from the end of one to the start of the next, which "
            "is exponential, or a distribution of that time; goes with mttr."
        ),
        examples=["6h", {"distribution": "weibull", "mean": "6h", "cv": 2}],
    )
    mttr: MeanTime | None = Field(
        default=None,
        description="Mean time that it lasts, or a distribution of that time; goes with mtbf.",
        examples=["10min", {"distribution": "lognormal", "median": "5min", "p99": "1h"}],
    )

    @model_validator(mode="after")
    def _strikes_once_or_at_random(self) -> Self:
        names = [name for name in ("mtbf", "mttr", "at", "lasts", "preset") if self._gives(name)]
        possible, remedy = _times(self.fault)
        if names not in possible:
            message = f"The fault gives {listed(names, 'and') or 'no times'}."
            raise error(message, remedy)
        for name in ("mtbf", "mttr"):
            time = getattr(self, name)
            if time is not None and not 0.0 < mean_s(time) < math.inf:
                message = "The distribution has no mean above 0."
                raise error(message, "Give it parameters for which it has one.", name)
        return self

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        self.build()
        return self

    def _gives(self, name: str) -> bool:
        return getattr(self, name, None) is not None

    @property
    def fleet(self) -> str | None:
        """The published fleet that gives its mean times, or None."""
        return getattr(self, "preset", None)

    def build(self) -> FaultKind:
        """Return the kind with these settings."""
        values = {field.name: getattr(self, key_of(field.name)) for field in fields(self.fault)}
        try:
            return self.fault(**values)
        except ValueError as failure:
            raise error_from(failure) from None


def _times(kind: type[FaultKind]) -> tuple[list[list[str]], str]:
    """Return which times a fault may give, and what to say of any other choice."""
    if kind.ends_by_itself:
        remedy = "Give at for one, or mtbf for one after another at random; it ends when all are"
        return [["at"], ["mtbf"]], f"{remedy} restarted."
    usual = [["at", "lasts"], ["mtbf", "mttr"]]
    if kind.has_presets:
        presets = [["preset"], ["mtbf", "preset"], ["mttr", "preset"]]
        return usual + presets, "Give mtbf and mttr, or a preset, or at and lasts."
    return usual, "Give at and lasts for once, or mtbf and mttr for at random."


class PlaceFault(TimedFault):
    """A fault of the nodes of a region or pool, or of a share of them."""

    region: str | None = Field(default=None, description="The region struck: all its nodes.")
    pool: str | None = Field(default=None, description="The pool struck: all its nodes.")
    share: PositiveShare = Field(
        default=1.0,
        description=(
            "Share of the nodes of the region or pool that is struck, at least one of them; the "
            "seed decides which."
        ),
        examples=["25%"],
    )

    @model_validator(mode="after")
    def _strikes_one_target(self) -> Self:
        given = [name for name in self.fault.targets if getattr(self, name) is not None]
        if len(given) != 1:
            got = listed(given, "and") or "nothing"
            message = f"The fault names {got} as what it strikes."
            raise error(
                message,
                f"Give exactly one of {listed([*self.fault.targets])}.",
            )
        if given == ["node"] and self.share < 1.0:
            message = "A single node has no share."
            raise error(message, "Name a pool or region, or remove share.", "share")
        return self


class NodeFault(PlaceFault):
    """A fault of nodes: of a region, a pool or one node, or of a share of them."""

    node: str | None = Field(default=None, description="The node struck, such as us-chat-0.")


class LinkFault(TimedFault):
    """A fault of the messages between two ends."""

    model_config = ConfigDict(serialize_by_alias=True)

    between: Annotated[list[str], Field(min_length=2, max_length=2)] | None = Field(
        default=None,
        description=(
            "The two ends, each a region, gateway (us-east/0), pool or node: messages in both "
            "directions are struck."
        ),
        examples=[["us-east", "eu-west"]],
    )
    start: str | None = Field(
        default=None,
        alias="from",
        description="In place of between: the end that sends the messages that are struck.",
        examples=["us-east"],
    )
    end: str | None = Field(
        default=None,
        alias="to",
        description="With from: the end that the messages are meant for.",
        examples=["eu-west"],
    )

    @model_validator(mode="after")
    def _has_two_ends(self) -> Self:
        given = {"between": self.between, "from": self.start, "to": self.end}
        names = [name for name, value in given.items() if value is not None]
        if names not in (["between"], ["from", "to"]):
            message = f"The fault gives {listed(names, 'and') or 'no ends'}."
            remedy = "Give between: [one, other], or from: one and to: other for one way."
            raise error(message, remedy)
        if len(set(self.ends)) == 1:
            message = f"{self.ends[0]} is at both ends."
            raise error(message, "Name two different ends.")
        return self

    @property
    def ends(self) -> tuple[str, str]:
        """The two ends; where one way alone is struck, the sender comes first."""
        if self.between is not None:
            return self.between[0], self.between[1]
        return self.start or "", self.end or ""

    @property
    def one_way(self) -> bool:
        """Whether messages from the first end to the second alone are struck."""
        return self.between is None


_PRESET: Any = (
    PresetName | None,
    Field(
        default=None,
        description=(
            "A published fleet, from which the catalogue knows mtbf and mttr; an mtbf or mttr "
            "given as well replaces the fleet's."
        ),
        examples=["meta-rsc-1"],
    ),
)
_POOLS: Any = (
    Annotated[list[str], Field(min_length=1)] | None,
    Field(
        default=None,
        description="The pools struck: all their nodes.",
        examples=[["us-chat", "us-code"]],
    ),
)


def _model(kind: type[FaultKind]) -> type[TimedFault]:
    base: type[TimedFault] = PlaceFault
    if "ends" in kind.targets:
        base = LinkFault
    elif "node" in kind.targets:
        base = NodeFault
    keys: dict[str, Any] = {"kind": (Literal[kind.name], ...)}
    if "pools" in kind.targets:
        keys["pools"] = _POOLS
    if kind.has_presets:
        keys["preset"] = _PRESET
    keys |= keys_of(kind)
    text = (inspect.getdoc(kind) or "").partition("\n\n")[0]
    model: type[TimedFault] = create_model(kind.__name__, __base__=base, __doc__=text, **keys)
    model.fault = kind
    return model


_KIND = Choice(key="kind", tags={name: f"<{name}>" for name in FAULTS}, noun="kind of fault")


class FaultFile(Settings):
    """The faults of an incident, a row each; its rows take its place before faults are checked."""

    file: str = Field(
        description=(
            "A CSV file, relative to the scenario, with the columns `time`, `target` (a region, "
            "pool or node), `kind` and `end`, and one per setting of the kind where needed. Times "
            "are seconds since the start, or dates with times and zone where `start` is given."
        ),
        examples=["incident.csv"],
    )


if TYPE_CHECKING:  # a union that is made at run time is no type
    Faults = list[TimedFault]
else:
    Fault = Annotated[
        union_of({f"<{name}>": partial(_model, kind) for name, kind in FAULTS.items()}),
        Discriminator(_KIND.tag),
        BeforeValidator(_KIND.check),
    ]
    Entry = Annotated[
        Annotated[Fault, Tag("<fault>")] | Annotated[FaultFile, Tag("<file>")],
        Discriminator(lambda value: "<file>" if _is_file(value) else "<fault>"),
    ]
    Faults = Annotated[
        Annotated[list[Entry], Tag("<list>")] | Annotated[FaultFile, Tag("<file>")],
        Discriminator(lambda value: "<file>" if _is_file(value) else "<list>"),
    ]


def _is_file(value: Any) -> bool:
    """Return whether something among faults names a file of them."""
    if isinstance(value, dict):
        return "file" in value and "kind" not in value
    return isinstance(value, FaultFile)
