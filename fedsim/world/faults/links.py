"""Faults of links: partitions, and links that are slow or lose messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fedsim.federation.settings import Example, Limits, Seconds
from fedsim.world.faults.kind import NORMAL, LinkFault, Probability
from fedsim.world.links import LinkTrouble


@dataclass(frozen=True, slots=True)
class Partition(LinkFault):
    """No message gets through between two ends, or in one direction."""

    name = "partition"
    phrase = "partition of"

    def states(self) -> tuple[str, str]:
        return NORMAL, "cut"

    def trouble(self) -> LinkTrouble:
        return LinkTrouble(cut=True)


@dataclass(frozen=True, slots=True)
class BadLink(LinkFault):
    """Messages between two ends take longer, or are lost.

    Attributes:
        latency_s: Added to every message, in each direction.
        jitter: How much longer the 95th percentile of a message's time is than its median, next to
            the network's own jitter.
        loss: Probability that a message is lost.
    """

    name = "link"
    phrase = "bad link of"

    latency_s: Annotated[Seconds, Example("80ms")] = 0.0
    jitter: Annotated[float, Limits("share", at_least=0.0), Example("50%")] = 0.0
    loss: Annotated[Probability, Example(0.05)] = 0.0

    def __post_init__(self) -> None:
        if not (self.latency_s or self.jitter or self.loss):
            msg = "the fault changes nothing on the link: give latency, jitter or loss"
            raise ValueError(msg)

    def states(self) -> tuple[str, str]:
        parts = [
            f"+{1000.0 * self.latency_s:g} ms" if self.latency_s else "",
            f"jitter {100.0 * self.jitter:g}%" if self.jitter else "",
            f"loss {100.0 * self.loss:g}%" if self.loss else "",
        ]
        return NORMAL, " ".join(["link", *(part for part in parts if part)])

    def trouble(self) -> LinkTrouble:
        return LinkTrouble(latency_s=self.latency_s, jitter=self.jitter, loss=self.loss)
