"""LiteLLM's Router making its calls itself: ``litellm-completion/<strategy>``.

Needs LiteLLM, extra ``litellm``. Source: https://github.com/BerriAI/litellm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from fedsim.adapters.litellm import GROUP, LiteLLMRouter, checked
from fedsim.adapters.litellm_library import import_litellm, require_litellm
from fedsim.federation.contracts import (
    AllNodesUnhealthy,
    FederationError,
    InferenceRequest,
    NodeId,
    RouteTarget,
)

_CALL: ContextVar[_Call] = ContextVar("litellm_completion_call")
"""The call that the code of LiteLLM which runs now belongs to."""


class LiteLLMCompletionRouter(LiteLLMRouter):
    """Lets LiteLLM's Router serve requests by its own ``acompletion``, over simulated nodes.

    The model behind its deployments is a ``CustomLLM``. When LiteLLM calls it, the gateway's
    question where to route is answered; when the gateway's attempt has ended, the model answers
    LiteLLM or raises what a client would have seen. Everything around it is LiteLLM's: choice,
    callbacks, cooldowns, retries and the waits before them. A retry of the gateway takes the next
    attempt that LiteLLM makes on the request, and begins a new ``acompletion`` when LiteLLM has
    given up; so the gateway needs ``retries`` for LiteLLM's to be seen. A cancelled attempt
    cancels its ``acompletion``. Which nodes may serve is given by LiteLLM's hook for filtering
    deployments.
    """

    def __init__(self, context: Any) -> None:
        self._calls: dict[str, _Call] = {}
        super().__init__(context)
        with self._step:
            self._litellm.callbacks.append(self._filter())

    def handler(self) -> Any:
        """Return the model that LiteLLM calls."""
        ask = self._ask
        base: Any = import_litellm().CustomLLM

        class Model(base):  # type: ignore[misc]
            async def acompletion(self, *args: Any, **kwargs: Any) -> Any:
                return await ask(kwargs)

        return Model()

    def settings(self) -> dict[str, Any]:
        """Return no arguments of LiteLLM's Router: its defaults hold."""
        return {}

    async def route_excluding(
        self, request: InferenceRequest, excluded: Sequence[NodeId]
    ) -> RouteTarget:
        """Return the deployment that LiteLLM calls next for the request."""
        self._loop = asyncio.get_running_loop()
        self.eligible(request)
        self._follow_catalog()
        call = self._calls.get(request.request_id)
        if call is None or call.task.done():
            call = self._calls[request.request_id] = self._begin(request)
        try:
            awaited: list[asyncio.Future[Any]] = [call.task, call.chosen]
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._end(call)
            raise
        if call.broken is not None:
            raise call.broken
        if not call.chosen.done():
            raise call.error or AllNodesUnhealthy(request.capability)
        return self.target(call.chosen.result(), request)

    def on_start(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Let LiteLLM's call go on: the gateway sends it."""
        self._router.on_start(target, request)
        self._calls[request.request_id].sent.set_result(None)

    def on_complete(
        self, target: RouteTarget, request: InferenceRequest, outcome: str, latency_s: float
    ) -> None:
        """Let the model answer LiteLLM, or fail."""
        self._router.on_complete(target, request, outcome, latency_s)
        call = self._calls[request.request_id]
        if outcome == "cancelled":
            self._end(call)
            return
        tokens = self._tokens.pop((request.request_id, target.node_id), None)
        answered = call.answered
        call.next_attempt()
        answered.set_result((outcome, tokens))
        if outcome == "ok":
            del self._calls[request.request_id]

    def _begin(self, request: InferenceRequest) -> _Call:
        assert self._loop is not None
        call = _Call(request, self._loop)
        with self._step:
            call.task = self._loop.create_task(self._complete(call))
        return call

    async def _complete(self, call: _Call) -> None:
        _CALL.set(call)
        try:
            await self._own.acompletion(GROUP, messages=[{"role": "user", "content": ""}])
        except FederationError as error:
            call.error = error
        except Exception as error:  # noqa: BLE001 - what is not LiteLLM giving up is raised by route
            if type(error).__module__.partition(".")[0] not in {"litellm", "openai"}:
                call.broken = error

    async def _ask(self, kwargs: dict[str, Any]) -> Any:
        """Be the model: have the gateway send the request to the node, and return the answer."""
        call = _CALL.get()
        answered, sent = call.answered, call.sent
        call.chosen.set_result(NodeId(kwargs["litellm_params"]["model_info"]["id"]))
        await sent
        kwargs["logging_obj"].pre_call(input=kwargs["messages"], api_key="")
        outcome, tokens = await answered
        if outcome != "ok":
            raise self._error(outcome)
        return self._answer(tokens or 0)

    def _filter(self) -> Any:
        """Return LiteLLM's hook that leaves the deployments that may serve."""
        router = self

        base: Any = self._litellm.integrations.custom_logger.CustomLogger

        class Filter(base):  # type: ignore[misc]
            async def async_filter_deployments(
                self, model: str, healthy_deployments: list[Any], *args: Any, **kwargs: Any
            ) -> list[Any]:
                call = _CALL.get()
                try:
                    eligible = set(router.node_ids(router.eligible(call.request)))
                except FederationError as error:
                    call.error = error
                    return []
                return [
                    each for each in healthy_deployments if each["model_info"]["id"] in eligible
                ]

        return Filter()

    def _end(self, call: _Call) -> None:
        call.task.cancel()
        self._calls.pop(call.request.request_id, None)


class _Call:
    """One ``acompletion``, and where the gateway and LiteLLM meet in it."""

    task: asyncio.Task[None]

    def __init__(self, request: InferenceRequest, loop: asyncio.AbstractEventLoop) -> None:
        self.request = request
        self.error: FederationError | None = None
        self.broken: Exception | None = None
        self._loop = loop
        self.next_attempt()

    def next_attempt(self) -> None:
        """Prepare for LiteLLM's next call of the model."""
        self.chosen: asyncio.Future[NodeId] = self._loop.create_future()
        self.sent: asyncio.Future[None] = self._loop.create_future()
        self.answered: asyncio.Future[tuple[str, int | None]] = self._loop.create_future()


def router(choice: str, _directory: Path) -> type[LiteLLMCompletionRouter]:
    """Return the class of routers with LiteLLM's strategy *choice*.

    Raises:
        ValueError: LiteLLM has no such strategy.
        ImportError: LiteLLM is not installed.
    """
    require_litellm()
    return type(
        "LiteLLMCompletionRouter", (LiteLLMCompletionRouter,), {"strategy": checked(choice)}
    )
