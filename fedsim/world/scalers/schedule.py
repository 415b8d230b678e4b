"""A plan by the time of day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fedsim.federation.settings import Apart, PositiveSeconds
from fedsim.world.scalers.preset import Preset
from fedsim.world.scalers.view import Decision, PoolView, Rule


@dataclass(frozen=True, slots=True)
class Appointment:
    """From when on a pool should have how many nodes.

    Attributes:
        at_s: The time, from the start of each period, in seconds.
        nodes: The number of nodes.
    """

    at_s: float
    nodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRule:
    """The number of nodes of the last appointment.

    Attributes:
        times: The appointments of a period, in order.
        period_s: After which they repeat, in seconds.
    """

    times: Sequence[Appointment]
    period_s: float

    def wanted(self, view: PoolView) -> Decision:
        """Return the number of nodes; before the first appointment, that of the last one."""
        into_s = view.time_s % self.period_s
        nodes = self.times[-1].nodes
        for each in self.times:
            if each.at_s > into_s:
                break
            nodes = each.nodes
        reason = "" if nodes == view.ordered else f"schedule: {nodes} at {into_s:g} s of the period"
        return Decision(nodes, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule(Preset):
    """So many nodes at such a time: a plan that repeats, as a cron rule.

    Attributes:
        times: From when on there should be how many nodes, in the order of time.
        period_s: After which the times repeat.
    """

    name = "schedule"

    times: Annotated[tuple[Appointment, ...], Apart()] = ()
    period_s: PositiveSeconds = 86400.0

    def __post_init__(self) -> None:
        at_s = [each.at_s for each in self.times]
        if at_s != sorted(set(at_s)) or (at_s and at_s[-1] >= self.period_s):
            msg = (
                "the times of a schedule are not in order, each once, within the period: sort them"
            )
            raise ValueError(msg)

    def rule(self) -> Rule:
        """Return the rule, with its memory empty."""
        return ScheduleRule(times=self.times, period_s=self.period_s)
