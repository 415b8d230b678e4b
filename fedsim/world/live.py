"""A request while it is under way: what the world knows of it beyond what the federation sees."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from fedsim.federation.contracts import Capability, FederationError
from fedsim.kernel.environment import Environment
from fedsim.kernel.tasks import Task
from fedsim.workload.details import Details


class Client(Protocol):
    """Waits for the outcome of requests."""

    def request_over(self, live: LiveRequest, outcome: str) -> None:
        """Record that a request ended in ``ok`` or an error of that kind."""
        ...


OnOver = Callable[["LiveRequest", str], None]
"""Called when a request is over, with its outcome."""


class LiveRequest(Task):
    """A request between its arrival and its outcome: the task that a gateway serves it in.

    Its name is the request's id, by which a transport finds it again.

    Attributes:
        client: Notified of the outcome.
        row: Its row at the observer.
        capability: What it asks for.
        key: The 64-bit key of its draws.
        service_uniform: The uniform of its service at the first attempt.
        stretch: By how much its first attempt's round trip is stretched.
        prompt_tokens: Tokens of the prompt, or -1.
        output_tokens: Tokens of the answer, or -1.
        arrived_s: When it arrived, in seconds.
        attempts: Attempts sent so far.
        under_way: Attempts that somebody waits for.
        node: Code of the node tried last, or -1.
        network_s: Time on the network of the attempt that answered, in seconds; NaN before.
        queue_wait_s: Its wait in the queue, in seconds; NaN before.
        service_s: Its time in a slot, in seconds; NaN before.
        ttft_s: From arrival to the first token, in seconds; NaN where unknown.
        tpot_s: Mean time between its tokens after the first, in seconds; NaN where unknown.
        cached_tokens: Tokens of the prompt that the node found in its prefix cache, or -1.
        preemptions: How often the engine of the node that answered preempted it, or -1.
        cost_usd: Price of the share of slots and time that its attempts held so far.
        over: Whether it has its outcome.
        details: What it is beyond its token counts, or None.
        priority: Lower is served first, by an engine whose order is by priority.
        on_over: Is called with the request and its outcome when it is over, or None. It is called
            within the step of the request's task: what follows from it goes through the queue.
    """

    __slots__ = (
        "arrived_s",
        "attempts",
        "cached_tokens",
        "capability",
        "client",
        "cost_usd",
        "details",
        "key",
        "network_s",
        "node",
        "on_over",
        "output_tokens",
        "over",
        "preemptions",
        "priority",
        "prompt_tokens",
        "queue_wait_s",
        "row",
        "service_s",
        "service_uniform",
        "stretch",
        "tpot_s",
        "ttft_s",
        "under_way",
    )

    def __init__(
        self,
        env: Environment,
        infer: Coroutine[Any, Any, object],
        request_id: str,
        client: Client,
        row: int,
        capability: Capability,
        key: int,
        service_uniform: float,
        stretch: float,
        prompt_tokens: int,
        output_tokens: int,
        arrived_s: float,
        details: Details | None = None,
        priority: int = 0,
        on_over: OnOver | None = None,
    ) -> None:
        Task.__init__(self, env, infer, request_id)
        self.client = client
        self.row = row
        self.capability = capability
        self.key = key
        self.service_uniform = service_uniform
        self.stretch = stretch
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens
        self.arrived_s = arrived_s
        self.attempts = self.under_way = 0
        self.node = -1
        self.network_s = self.queue_wait_s = self.service_s = self.ttft_s = self.tpot_s = math.nan
        self.cached_tokens = self.preemptions = -1
        self.cost_usd = 0.0
        self.details = details
        self.priority = priority
        self.on_over = on_over
        self.over = False

    def ended(self, result: Any, error: BaseException | None) -> None:
        """Report the outcome to the client; what is not an outcome is raised."""
        if error is None:
            self.client.request_over(self, "ok")
        elif isinstance(error, FederationError):
            self.client.request_over(self, error.kind)
        else:
            super().ended(result, error)
