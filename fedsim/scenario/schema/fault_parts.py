"""What the faults of a scenario file share: when they strike, and what."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Self

from pydantic import Discriminator, Field, Tag, model_validator

from fedsim.scenario.schema.base import Settings, error, listed
from fedsim.scenario.schema.distributions import AnyDuration, DistributionSettings
from fedsim.scenario.schema.types import Duration, PositiveDuration, PositiveShare


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

    times: ClassVar[tuple[frozenset[str], ...]] = (
        frozenset(("at", "lasts")),
        frozenset(("mtbf", "mttr")),
    )
    times_remedy: ClassVar[str] = "Give at and lasts for once, or mtbf and mttr for at random."

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
        if frozenset(names) not in self.times:
            message = f"The fault gives {listed(names, 'and') or 'no times'}."
            raise error(message, self.times_remedy)
        for name in ("mtbf", "mttr"):
            time = getattr(self, name)
            if time is not None and not 0.0 < mean_s(time) < math.inf:
                message = "The distribution has no mean above 0."
                raise error(message, "Give it parameters for which it has one.", name)
        return self

    def _gives(self, name: str) -> bool:
        return getattr(self, name, None) is not None


class PlaceFault(TimedFault):
    """A fault of the nodes of a region or pool, or of a share of them."""

    targets: ClassVar[tuple[str, ...]] = ("region", "pool")

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
        given = [name for name in self.targets if getattr(self, name) is not None]
        if len(given) != 1:
            got = listed(given, "and") or "nothing"
            message = f"The fault names {got} as what it strikes."
            raise error(message, f"Give exactly one of {listed(list(self.targets))}.")
        if given == ["node"] and self.share < 1.0:
            message = "A single node has no share."
            raise error(message, "Name a pool or region, or remove share.", "share")
        return self


class NodeFault(PlaceFault):
    """A fault of nodes: of a region, a pool or one node, or of a share of them."""

    targets: ClassVar[tuple[str, ...]] = ("region", "pool", "node")

    node: str | None = Field(default=None, description="The node struck, such as us-chat-0.")
