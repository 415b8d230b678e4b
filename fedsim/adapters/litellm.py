"""LiteLLM's Router as the router: ``litellm/<strategy>``, such as ``litellm/least-busy``.

Needs LiteLLM, extra ``litellm``. Source: https://github.com/BerriAI/litellm.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from collections.abc import Callable, Coroutine, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar

from fedsim.adapters.choosers import Chooser
from fedsim.adapters.litellm_library import (
    foreign_globals,
    import_litellm,
    require_litellm,
    without_warnings,
)
from fedsim.federation.catalog import Deployment
from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import (
    AllNodesUnhealthy,
    InferenceRequest,
    InferenceResponse,
    NodeId,
    RouteTarget,
)
from fedsim.kernel.foreign_globals import EPOCH

STRATEGIES = (
    "simple-shuffle",
    "least-busy",
    "latency-based-routing",
    "usage-based-routing-v2",
    "cost-based-routing",
)
"""LiteLLM's names of its strategies."""

GROUP = "fedsim"
"""The model group that all nodes are deployments of."""


class LiteLLMRouter(Chooser):
    """Lets LiteLLM's Router choose among the nodes that may serve.

    For each attempt ``async_get_available_deployment`` is asked, with the nodes that may not serve
    among its excluded deployments. What LiteLLM does around a call of its own is reported to it by
    its own callbacks: the check before a call, the call's start, its success with the tokens
    generated, its failure with the error that a client would have seen. So counts in flight,
    latencies, usage and cooldowns are LiteLLM's. Retries, deadlines and breakers are the gateway's.

    An answer that was refused because a queue was full is LiteLLM's ``RateLimitError`` (429), a
    timeout its ``Timeout`` (408), an error of the node its ``InternalServerError`` (500), an
    unreachable node its ``APIConnectionError``, which starts no cooldown there. An attempt that
    the gateway cancelled is reported to the strategy alone.

    Attributes:
        strategy: LiteLLM's name of the strategy; set by `router`.
    """

    strategy: ClassVar[str] = STRATEGIES[0]

    def __init__(self, context: GatewayContext) -> None:
        super().__init__(context)
        self._litellm = litellm = import_litellm()
        rng = random.Random(int(context.rng.random() * 2**53))
        self._step = foreign_globals(litellm, context.clock.now, rng, self.handler())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._known: list[Deployment] = []
        self._tokens: dict[tuple[str, NodeId], int] = {}
        self._reports: set[asyncio.Task[None]] = set()
        with without_warnings(), self._step:
            self._own = litellm.Router(
                model_list=[], routing_strategy=self.strategy, **self.settings()
            )
        self._follow_catalog()

    def handler(self) -> Any:
        """Return what calls the model; nothing does where LiteLLM is only asked for a node."""
        return None

    def settings(self) -> dict[str, Any]:
        """Return arguments of LiteLLM's Router."""
        return {"num_retries": 0}

    async def route(self, request: InferenceRequest) -> RouteTarget:
        """Return the deployment that LiteLLM's Router takes."""
        return await self.route_excluding(request, ())

    async def route_excluding(
        self, request: InferenceRequest, excluded: Sequence[NodeId]
    ) -> RouteTarget:
        """Return the deployment that LiteLLM's Router takes of those that were not tried."""
        self._loop = asyncio.get_running_loop()
        eligible = self.node_ids(self.eligible(request, excluded))
        chosen = await self._step.steps(self._choose(request, eligible))
        return self.target(NodeId(chosen), request)

    async def _choose(self, request: InferenceRequest, eligible: Sequence[NodeId]) -> str:
        self._follow_catalog()
        known = self.fleet.node_ids
        barred = [] if len(eligible) == len(known) else list(set(known) - set(eligible))
        errors = (
            self._litellm.RateLimitError,
            self._litellm.BadRequestError,
            self._litellm.types.router.RouterRateLimitError,
        )
        try:
            deployment = await self._own.async_get_available_deployment(
                GROUP,
                request_kwargs={"_excluded_deployment_ids": sorted(barred), "metadata": {}},
                messages=[{"role": "user", "content": ""}],
            )
            await self._own.async_routing_strategy_pre_call_checks(deployment, None)
        except errors:
            raise AllNodesUnhealthy(request.capability) from None
        chosen: str = deployment["model_info"]["id"]
        return chosen

    def on_start(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Report to LiteLLM that a call begins."""
        super().on_start(target, request)
        with self._step:
            for callback in self._litellm.input_callback:
                callback.log_pre_api_call(GROUP, [], self._call(target, {}))

    def on_response(
        self, target: RouteTarget, request: InferenceRequest, response: InferenceResponse
    ) -> None:
        """Remember how many tokens an answer has."""
        if response.tokens is not None:
            self._tokens[request.request_id, target.node_id] = response.tokens

    def on_complete(
        self, target: RouteTarget, request: InferenceRequest, outcome: str, latency_s: float
    ) -> None:
        """Report to LiteLLM how a call ended, in a task at the same time."""
        super().on_complete(target, request, outcome, latency_s)
        tokens = self._tokens.pop((request.request_id, target.node_id), None)
        self._spawn(self._report(target, outcome, latency_s, tokens))

    def _spawn(self, report: Coroutine[Any, Any, None]) -> None:
        assert self._loop is not None
        with self._step:
            task = self._loop.create_task(report)
        self._reports.add(task)
        task.add_done_callback(self._reports.discard)

    async def _report(
        self, target: RouteTarget, outcome: str, latency_s: float, tokens: int | None
    ) -> None:
        end = (EPOCH + dt.timedelta(seconds=self.context.clock.now())).replace(tzinfo=None)
        start = end - dt.timedelta(seconds=latency_s)
        litellm = self._litellm
        if outcome == "ok":
            call = self._call(target, {"total_tokens": tokens or 0})
            answer = None if tokens is None else self._answer(tokens)
            for callback in [*litellm.callbacks, *litellm._async_success_callback]:
                report = getattr(callback, "async_log_success_event", callback)
                await report(call, answer, start, end)
            return
        call = self._call(target, {}) | {"exception": self._error(outcome)}
        for callback in litellm.callbacks:
            await callback.async_log_failure_event(call, None, start, end)
        if outcome != "cancelled":
            self._own.deployment_callback_on_failure(call, None, start, end)
            await self._own.async_deployment_callback_on_failure(call, None, start, end)

    def _call(self, target: RouteTarget, usage: dict[str, Any]) -> dict[str, Any]:
        """Return what LiteLLM's callbacks get of a call."""
        model_info = {"id": target.node_id}
        metadata = {"model_group": GROUP, "deployment": self._models[target.node_id]}
        logged = {
            "model_group": GROUP,
            "model_id": target.node_id,
            "hidden_params": {"litellm_model_name": self._models[target.node_id]},
            "total_tokens": 0,
        } | usage
        return {
            "call_type": "acompletion",
            "litellm_params": {"metadata": metadata, "model_info": model_info},
            "standard_logging_object": logged,
        }

    def _answer(self, tokens: int) -> Any:
        usage = self._litellm.Usage(prompt_tokens=0, completion_tokens=tokens, total_tokens=tokens)
        return self._litellm.ModelResponse(usage=usage)

    def _error(self, outcome: str) -> Exception:
        """Return the exception that LiteLLM would have raised."""
        litellm = self._litellm
        kinds: dict[str, Callable[..., Exception]] = {
            "timeout": litellm.Timeout,
            "no_capacity": litellm.RateLimitError,
            "node_unreachable": litellm.APIConnectionError,
        }
        kind = kinds.get(outcome, litellm.InternalServerError)
        error: Exception = kind(message=outcome, model=GROUP, llm_provider="fedsim")
        return error

    def _follow_catalog(self) -> None:
        """Give LiteLLM the deployments where they have changed."""
        if self.fleet.deployments == self._known:
            return
        self._known = list(self.fleet.deployments)
        self._models = {each.node_id: f"fedsim/{each.model_id}" for each in self._known}
        with self._step:
            self._own.set_model_list([_deployment(each) for each in self._known])


def _deployment(deployment: Deployment) -> dict[str, Any]:
    price = (deployment.cost_usd_per_hour or 0.0) / 3600.0
    return {
        "model_name": GROUP,
        "litellm_params": {
            "model": f"fedsim/{deployment.model_id}",
            "weight": deployment.weight,
            "input_cost_per_token": price,
            "output_cost_per_token": price,
        },
        "model_info": {"id": deployment.node_id},
    }


def router(choice: str, _directory: Path) -> type[LiteLLMRouter]:
    """Return the class of routers with LiteLLM's strategy *choice*.

    Raises:
        ValueError: LiteLLM has no such strategy.
        ImportError: LiteLLM is not installed.
    """
    require_litellm()
    return type("LiteLLMRouter", (LiteLLMRouter,), {"strategy": checked(choice)})


def checked(strategy: str) -> str:
    """Return the name of a strategy of LiteLLM's; raises ``ValueError`` for any other."""
    if strategy in STRATEGIES:
        return strategy
    close = get_close_matches(strategy, STRATEGIES, 1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(STRATEGIES)}"
    msg = f"LiteLLM has no strategy {strategy!r}; {hint}"
    raise ValueError(msg)
