"""Strategies that go by the load of nodes."""

from __future__ import annotations

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import InferenceRequest
from fedsim.federation.fleet import Fleet
from fedsim.federation.strategies.base import Candidates
from fedsim.federation.strategies.least import LeastInFlight


class LeastConnections:
    """The node with the fewest requests in flight, as this gateway knows it.

    Rule: the least count of requests that this gateway sent and that have not ended, divided by the
    node's weight (``pools.<name>.weight``); equal nodes take turns, where weights differ smoothly
    in their proportion. Cost: O(n), about 0.03 us a node, 0.2 us where weights differ. Example: in
    flight a 2, b 1, c 1 gives b, then c, then a, b or c by turn; with weights 4, 1, 1 gives a.
    Failure: a node that fails fast always looks idle and attracts traffic until the breaker opens.
    Other gateways' requests are not seen. Source: ``least_conn`` of NGINX since 1.3.1; HAProxy's
    ``leastconn`` goes by weights as well.
    """

    def __init__(self, context: GatewayContext) -> None:
        self._least = LeastInFlight(context.rng)

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the next of the least loaded nodes."""
        return self._least.choose(fleet, candidates)
