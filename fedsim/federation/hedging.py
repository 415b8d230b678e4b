"""Hedges: a second attempt to another node while the first one takes too long."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from fedsim.federation.attempts import Attempt, DeadlinePassed
from fedsim.federation.budgets import Budget
from fedsim.federation.contracts import FederationError, NodeId
from fedsim.federation.latency import LatencyWindow
from fedsim.federation.runtime import Clock
from fedsim.federation.settings import PositiveSeconds, Share

if TYPE_CHECKING:
    from fedsim.federation.gateway import Gateway


@dataclass(frozen=True, slots=True)
class HedgeConfig:
    """When each gateway sends a second attempt while the first is under way.

    Attributes:
        after_s: Time without an answer after which it does, in seconds, or a percentile of the
            gateway's own recent latencies of the request's capability: p50, p75, p90, p95 or p99.
        budget: Most hedges as a share of the requests of the last 10 s, for each capability; None
            sets no budget.
    """

    after_s: PositiveSeconds | Literal["p50", "p75", "p90", "p95", "p99"] = "p95"
    budget: Share | None = 0.1


SAMPLES = 1000
"""Latencies of which the percentile is taken, the newest ones."""

BEYOND = 5
"""Latencies beyond the percentile that there must be before it is used."""

BUDGET_WINDOW_S = 10.0
"""Time over which the budget counts hedges and requests, in seconds."""


class Hedging:
    """Says when a gateway sends a second attempt, and sends it.

    A gateway has one for each capability, the class of requests whose latencies are alike. After a
    fixed time, or a percentile of the time from dispatch to the answer of its last 1,000 requests,
    those that were hedged included: until the hedge is sent they take as long
    as any other, so that a hedge after the p95 is sent for 5 % of the requests whatever it does to
    the others. For streams it is the time to the first token, which decides their race; theirs are
    kept apart from those of other requests. There is none until 5 latencies lie beyond the
    percentile: 100 requests for the p95, 500 for the p99. Source: J. Dean and L. A. Barroso, The
    Tail at Scale, 2013.

    Attributes:
        budget: What hedges are charged to.
    """

    def __init__(self, config: HedgeConfig, clock: Clock) -> None:
        after_s = config.after_s
        self._after_s = None if isinstance(after_s, str) else after_s
        self._quantile, self._samples = 0.0, 0
        if isinstance(after_s, str):
            self._quantile = int(after_s[1:]) / 100.0
            self._samples = round(BEYOND / (1.0 - self._quantile))
        self._clock = clock
        self.budget = Budget(clock, config.budget, 0, BUDGET_WINDOW_S)
        self._latencies = {streamed: LatencyWindow(math.inf, SAMPLES) for streamed in (False, True)}

    def delay_s(self, streamed: bool) -> float | None:
        """Return the time after which to hedge, in seconds; None while it is not known yet."""
        if self._after_s is not None:
            return self._after_s
        latencies = self._latencies[streamed]
        if latencies.count(self._clock.now()) < self._samples:
            return None
        return latencies.quantile(self._quantile)

    async def carry(
        self, gateway: Gateway, lead: Attempt, tried: list[NodeId], started_s: float, streamed: bool
    ) -> tuple[Attempt, Any]:
        """Carry *lead*, and a hedge if need be; return the attempt that won and its result.

        Args:
            gateway: Carries attempts.
            lead: The first attempt.
            tried: Nodes that the request has been to before; the hedge's is added.
            started_s: When the request came, in seconds.
            streamed: Whether the result is a stream: then the first token decides.

        Raises:
            FederationError: Both failed, or the only one under way; this was the last error.
            DeadlinePassed: The request's own deadline has passed.
        """
        if lead.first:
            self.budget.count_request(lead.sent_s)
        delay_s = self.delay_s(streamed)
        if delay_s is None:
            winner, result = lead, await gateway.carry(lead, started_s, streamed)
        else:
            race = _Race(self, gateway, lead, tried, started_s, streamed)
            winner, result = await race.run(delay_s)
        if self._after_s is None:
            now_s = self._clock.now()
            self._latencies[streamed].add(now_s, now_s - lead.sent_s)
        return winner, result


class _NoHedge(Exception):
    """There is no need of a hedge, no budget for one, or no other node."""


class _Race:
    """An attempt, and from some time on a hedge."""

    def __init__(
        self,
        hedging: Hedging,
        gateway: Gateway,
        lead: Attempt,
        tried: list[NodeId],
        started_s: float,
        streamed: bool,
    ) -> None:
        self._hedging = hedging
        self._gateway = gateway
        self._lead = lead
        self._tried = tried
        self._started_s = started_s
        self._streamed = streamed
        self._under_way = 0
        self._winner: Attempt | None = None
        self._result: Any = None
        self._error: BaseException | None = None

    async def run(self, delay_s: float) -> tuple[Attempt, Any]:
        """Return the attempt that won and its result, or raise what came of the last one."""
        tasks = self._gateway.tasks
        try:
            await tasks.first(self._run(self._lead), self._hedge(delay_s))
        except GeneratorExit:
            raise  # the run is over: no part is left to report to
        except BaseException:
            await self._forsake()
            raise
        if self._winner is None:
            assert self._error is not None
            raise self._error
        return self._winner, self._result

    async def _forsake(self) -> None:
        """End an attempt that has won after its caller stopped waiting."""
        if self._winner is not None:
            self._winner.cancelled()
            if self._streamed:
                await self._result.cancel()

    async def _run(self, attempt: Attempt) -> None:
        """Carry an attempt; returning ends the race, and raising leaves it to the other one."""
        self._under_way += 1
        try:
            result = await self._gateway.carry(attempt, self._started_s, self._streamed)
        except Exception as thrown:
            self._under_way -= 1
            try:
                self._error = attempt.failed(thrown)
                if not (self._under_way and isinstance(self._error, FederationError)):
                    return
                self._gateway.report_to_middleware(attempt.request, self._error)
            except Exception as failure:
                if isinstance(failure, FederationError):
                    raise
                self._error = failure  # a plug-in's; it ends the race, and is raised
                return
            raise
        except BaseException:
            attempt.cancelled()
            raise
        else:
            await self._arrived(attempt, result)

    async def _arrived(self, attempt: Attempt, result: Any) -> None:
        if self._winner is None:
            self._winner, self._result = attempt, result
            return
        attempt.cancelled()  # both came in the same turn of the loop
        if self._streamed:
            await result.cancel()

    async def _hedge(self, delay_s: float) -> None:
        await self._gateway.tasks.wait_out(delay_s)
        if not self._under_way or self._winner is not None:
            raise _NoHedge  # the first attempt ended in this turn of the loop
        budget = self._hedging.budget
        if not budget.reserve():
            raise _NoHedge
        try:
            hedge = await self._elsewhere()
        except BaseException as thrown:
            budget.give_back()
            expected = isinstance(thrown, (FederationError, DeadlinePassed, _NoHedge))
            if expected or not isinstance(thrown, Exception):
                raise
            self._error = thrown  # a plug-in's; it ends the race, and is raised
            return
        budget.spend()
        self._tried.append(hedge.target.node_id)
        await self._run(hedge)

    async def _elsewhere(self) -> Attempt:
        """Return an attempt at a node that the request has not been to."""
        been = [*self._tried, self._lead.target.node_id]
        request = self._lead.request
        target = await self._gateway.route(request, been, self._started_s)
        if target.node_id in been:
            raise _NoHedge
        return Attempt(self._gateway, target, request)
