"""tenacity as the gateway's retry policy: ``retries: tenacity/my_module:policy``.

Needs tenacity, extra ``tenacity``. Source: https://github.com/jd/tenacity.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable
from typing import Any

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import FederationError, InferenceRequest
from fedsim.kernel.foreign_globals import ForeignGlobals

_MODULES = ("tenacity", "tenacity.wait", "tenacity.nap")


class TenacityRetries:
    """Asks a ``tenacity.Retrying`` of the user's whether to try again, and how long to wait.

    Its rules stop, wait and retry decide, and its callbacks are called. They see the request as the
    only argument of the call, the error that the attempt ended in as its exception, and the time
    since the request came. Sleeping is the gateway's, and so are the request's deadline and the
    errors that no retry can mend, for which tenacity is not asked.

    Args:
        policy: The ``Retrying``.
        context: What the gateway gives its plug-ins.
    """

    def __init__(self, policy: Any, context: GatewayContext) -> None:
        self._library: Any = importlib.import_module("tenacity")
        self._policy = policy.copy()
        rng = random.Random(int(context.rng.random() * 2**53))
        modules = [importlib.import_module(name) for name in _MODULES]
        self._step = ForeignGlobals(modules, context.clock.now, rng)

    def next_wait_s(
        self, request: InferenceRequest, retry: int, error: FederationError, elapsed_s: float
    ) -> float | None:
        """Return how long tenacity would sleep, in seconds; None where it gives up."""
        library = self._library
        with self._step:
            self._policy.begin()
            state = library.RetryCallState(self._policy, None, (request,), {})
            state.attempt_number = retry
            state.set_exception((type(error), error, None))
            state.start_time = state.outcome_timestamp - elapsed_s
            try:
                action = self._policy.iter(state)
            except (library.RetryError, FederationError):
                return None
        return float(action)


def retries(policy: Any) -> Callable[[GatewayContext], TenacityRetries]:
    """Return what builds a gateway's retry policy.

    Args:
        policy: What the scenario names.

    Raises:
        ImportError: tenacity is not installed.
        ValueError: *policy* is no ``Retrying``.
    """
    library: Any = importlib.import_module("tenacity")
    if not isinstance(policy, library.Retrying):
        msg = f"{policy!r} is no tenacity.Retrying: name an object such as Retrying(stop=…, wait=…)"
        raise ValueError(msg)
    return lambda context: TenacityRetries(policy, context)
