"""Faults of links in the scenario file: partitions, and links that are slow or lose messages."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from fedsim.scenario.schema.base import error, listed
from fedsim.scenario.schema.fault_parts import TimedFault
from fedsim.scenario.schema.types import Duration, Excess, Probability


class LinkFault(TimedFault):
    """A fault of the messages between two ends."""

    model_config = ConfigDict(serialize_by_alias=True)

    ways: ClassVar[str] = "Give between: [one, other], or from: one and to: other for one way."

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
            raise error(message, self.ways)
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


class Partition(LinkFault):
    """No message gets through between two ends, or in one direction."""

    kind: Literal["partition"]


class LinkTrouble(LinkFault):
    """Messages between two ends take longer, or are lost."""

    kind: Literal["link"]
    latency: Duration = Field(
        default=0.0, description="Added to every message, in each direction.", examples=["80ms"]
    )
    jitter: Excess = Field(
        default=0.0,
        description=(
            "How much longer the 95th percentile of a message's time is than its median, beside "
            "the network's own jitter."
        ),
        examples=["50%"],
    )
    loss: Probability = Field(
        default=0.0, description="Probability that a message is lost.", examples=[0.05]
    )

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.latency or self.jitter or self.loss):
            message = "The fault changes nothing on the link."
            raise error(message, "Give latency, jitter or loss.")
        return self
