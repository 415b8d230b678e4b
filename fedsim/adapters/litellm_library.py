"""What LiteLLM's code needs to run in a simulation: time, randomness, and globals of its own.

LiteLLM keeps callbacks, providers, a thread pool and a worker for its logging in globals of the
process. Each gateway has a set of its own, which is there while a step of its router runs; so
gateways and runs share nothing, and a program that uses LiteLLM itself sees no change.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import random
import sys
import warnings
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from fedsim.kernel.foreign_globals import ForeignGlobals

_COST_MAP = "LITELLM_LOCAL_MODEL_COST_MAP"

_TIMED = (
    "litellm.router",
    "litellm.caching",
    "litellm.utils",
    "litellm.main",
    "litellm.litellm_core_utils",
    "litellm._service_logger",
    "litellm._uuid",
    "litellm.types.utils",
)
"""Modules that decide by time or chance, with those below them."""

_LISTS = (
    "callbacks",
    "input_callback",
    "success_callback",
    "failure_callback",
    "service_callback",
    "_async_input_callback",
    "_async_success_callback",
    "_async_failure_callback",
    "custom_provider_map",
    "_custom_providers",
)
"""Lists in the package that every router of the process would share."""

_LOGGERS = ("verbose_logger", "verbose_router_logger", "verbose_proxy_logger")


def require_litellm() -> None:
    """Raise ImportError where LiteLLM is not installed, without its import, which takes seconds."""
    if find_spec("litellm") is None:
        msg = "No module named 'litellm'"
        raise ImportError(msg)


def import_litellm() -> Any:
    """Import LiteLLM, which asks the internet for prices unless the environment forbids it."""
    before = os.environ.get(_COST_MAP)
    os.environ[_COST_MAP] = "True"
    try:
        with without_warnings():
            return importlib.import_module("litellm")
    finally:
        if before is None:
            del os.environ[_COST_MAP]
        else:
            os.environ[_COST_MAP] = before


@contextmanager
def without_warnings() -> Generator[None]:
    """Keep what LiteLLM's modules warn of when they are imported, such as its types, to itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def foreign_globals(
    litellm: Any, now: Callable[[], float], rng: random.Random, handler: Any
) -> ForeignGlobals:
    """Return the context of the steps of one gateway's router.

    Args:
        litellm: The package.
        now: Gives simulated time in seconds.
        rng: What stands in for the module `random`.
        handler: The ``CustomLLM`` of the provider ``fedsim``.
    """
    loaded = [
        module
        for name, module in sorted(sys.modules.items())
        if name.partition(".")[0] == "litellm" and type(module) is type(sys)
    ]
    timed = [module for module in loaded if module.__name__.startswith(_TIMED)]
    lists: dict[str, list[Any]] = {name: [] for name in _LISTS}
    lists["custom_provider_map"].append({"provider": "fedsim", "custom_handler": handler})
    lists["_custom_providers"].append("fedsim")
    lists["provider_list"] = [*litellm.provider_list, "fedsim"]
    own: list[tuple[ModuleType, str, object]] = [(litellm, *item) for item in lists.items()]
    own.append((litellm, "suppress_debug_info", True))
    pool = importlib.import_module("litellm.litellm_core_utils.thread_pool_executor").executor
    worker = importlib.import_module("litellm.litellm_core_utils.logging_worker")
    stand_ins: dict[int, Any] = {id(pool): InPlace(), id(worker.GLOBAL_LOGGING_WORKER): OnTheLoop()}
    loggers = importlib.import_module("litellm._logging")
    stand_ins.update((id(getattr(loggers, name)), _silent()) for name in _LOGGERS)
    own += [
        (module, name, stand_ins[id(value)])
        for module in loaded
        for name, value in vars(module).items()
        if id(value) in stand_ins
    ]
    return ForeignGlobals(timed, now, rng, own)


def _silent() -> logging.Logger:
    """Return a logger that drops the failures that a scenario asks for."""
    logger = logging.Logger("litellm in a simulation", logging.CRITICAL + 1)  # noqa: LOG001
    logger.propagate = False
    return logger


class InPlace:
    """Stands in for LiteLLM's pool of threads: runs at once what it is given."""

    def submit(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        """Call *function*, and return its result or failure as a future."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever asks the future
            future.set_exception(error)
        return future


class OnTheLoop:
    """Stands in for LiteLLM's worker for logging, which outlives loops: a task for each report."""

    def ensure_initialized_and_enqueue(self, async_coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run a report as a task of the running loop."""
        asyncio.get_running_loop().create_task(async_coroutine)

    def start(self) -> None:
        """Do nothing; there is nothing to start."""
