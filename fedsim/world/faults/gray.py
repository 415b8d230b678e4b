"""Gray failures: nodes that are slow, fail requests, keep silent, or whose health endpoint lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from fedsim.federation.settings import Example, Limits, PositiveSeconds
from fedsim.world.faults.kind import NORMAL, NodeFault, Probability
from fedsim.world.nodes.endpoint import Lie

if TYPE_CHECKING:
    from fedsim.world.nodes.base import Node


@dataclass(frozen=True, slots=True)
class Slowdown(NodeFault):
    """Service takes longer, and probes are answered as ever.

    Attributes:
        factor: How many times as long service takes, 1 or more.
    """

    name = "slowdown"
    phrase = "slowdown of"
    details = ("{factor} times slower",)

    factor: Annotated[float, Limits(at_least=1.0), Example(5)]

    def states(self) -> tuple[str, str]:
        return NORMAL, f"slow x{self.factor:g}"

    def switch(self, node: Node, cause: object, begins: bool) -> None:
        node.set_slowdown(cause, self.factor if begins else None)

    def no_effect(self) -> str | None:
        return "a factor above 1" if self.factor == 1.0 else None


@dataclass(frozen=True, slots=True)
class Errors(NodeFault):
    """Requests fail with a probability, at once or after a time.

    Attributes:
        probability: Probability that a request fails.
        after_s: Time from the arrival of a request at the node to its error, in which it holds
            neither a slot nor a place in the queue; at once where not given.
    """

    name = "errors"
    phrase = "errors at"
    details = ("{probability} of requests", "each after {after_s}")

    probability: Annotated[Probability, Example(0.3)]
    after_s: Annotated[PositiveSeconds, Example("5s")] | None = None

    def states(self) -> tuple[str, str]:
        late = f" after {self.after_s:g} s" if self.after_s else ""
        return NORMAL, f"errors {100.0 * self.probability:g}%{late}"

    def switch(self, node: Node, cause: object, begins: bool) -> None:
        probability = self.probability if begins else None
        node.set_error_probability(cause, probability, self.after_s or 0.0)

    def no_effect(self) -> str | None:
        return "a probability above 0" if self.probability == 0.0 else None


@dataclass(frozen=True, slots=True)
class BlackHole(NodeFault):
    """Nodes accept requests and probes, and never answer."""

    name = "black_hole"
    phrase = "black hole of"

    def states(self) -> tuple[str, str]:
        return NORMAL, "black hole"

    def switch(self, node: Node, cause: object, begins: bool) -> None:
        node.set_silent(cause, begins)


@dataclass(frozen=True, slots=True)
class Health(NodeFault):
    """The health endpoint of nodes lies or lags; requests are served as ever.

    Attributes:
        says: well: it answers whatever the node does, even while that is down or a black hole; ill:
            it says that the node is ill, whatever it does; where not given, the truth.
        lag_s: Age of verdict and telemetry, to a second; none where not given.
    """

    name = "health"
    phrase = "false health endpoint of"
    details = ("which reports {says}", "which lags by {lag_s}")
    needs_probes = True

    says: Annotated[Literal["well", "ill"], Example("well")] | None = None
    lag_s: Annotated[PositiveSeconds, Example("30s")] | None = None

    def __post_init__(self) -> None:
        if self.says is None and self.lag_s is None:
            msg = (
                "the health endpoint tells the truth, and at once: give says: well or says: ill, "
                "or lag, or says and lag"
            )
            raise ValueError(msg)

    def states(self) -> tuple[str, str]:
        says = f" says {self.says}" if self.says else ""
        lag = f" lags {self.lag_s:g} s" if self.lag_s else ""
        return NORMAL, f"health{says}{lag}"

    def prepare(self, node: Node) -> None:
        if self.lag_s:
            node.endpoint.record(self.lag_s)

    def switch(self, node: Node, cause: object, begins: bool) -> None:
        node.endpoint.set_lie(cause, Lie(self.says, self.lag_s or 0.0) if begins else None)
