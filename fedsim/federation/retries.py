"""How long a gateway waits before it tries again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, Protocol

from fedsim.federation.budgets import BudgetConfig
from fedsim.federation.contracts import FederationError, InferenceRequest
from fedsim.federation.runtime import Random
from fedsim.federation.settings import Alone, Limits, Seconds


@dataclass(frozen=True, slots=True)
class RetryConfig:
    """How each gateway tries again.

    Attributes:
        limit: Most retries after the first try.
        backoff_s: Base of the backoff, in seconds; it doubles with every retry.
        backoff_max_s: Longest backoff, in seconds.
        jitter: none waits the backoff, full a random share of it, equal half of it and a random
            share of the other half; decorrelated a random time from backoff to three times the
            wait before.
        budget: Most retries as a share of the requests of the last 10 s, on top of 10, for each
            capability, or its settings; None sets no budget.
    """

    limit: Annotated[int, Limits(at_least=0, at_most=100)] = 3
    backoff_s: Seconds = 0.1
    backoff_max_s: Seconds = 10.0
    jitter: Literal["none", "full", "equal", "decorrelated"] = "full"
    budget: Annotated[BudgetConfig | None, Alone("ratio")] = field(default_factory=BudgetConfig)


AT_ONCE = -1.0
"""The wait of a retry without any wait."""


class RetryPolicy(Protocol):
    """Decides whether a gateway tries again, and when, in place of limit and backoff."""

    def next_wait_s(
        self, request: InferenceRequest, retry: int, error: FederationError, elapsed_s: float
    ) -> float | None:
        """Return how long to wait before the next attempt, in seconds; None to give up.

        Args:
            request: The request.
            retry: Number of the retry, from 1.
            error: What the attempt ended in; one that another attempt may mend.
            elapsed_s: Time since the request came, in seconds.
        """
        ...


def backoff_s(
    config: RetryConfig, retry: int, rng: Random, previous_s: float | None = None
) -> float:
    """Return the wait before the *retry*-th retry (from 1) in seconds.

    The backoff ``b`` doubles from ``backoff_s`` up to ``backoff_max_s``; jitter sees to it that
    clients which failed together do not come back together. With 100 ms, before the third retry,
    where ``b`` is 400 ms and the wait before was 150 ms:

    - ``none`` waits ``b``: 400 ms;
    - ``full`` waits U(0, b): 0 to 400 ms;
    - ``equal`` waits b/2 + U(0, b/2): 200 to 400 ms;
    - ``decorrelated`` waits U(``backoff_s``, 3 × the wait before), at most ``backoff_max_s``: 100
      to 450 ms. Before the first retry the wait before counts as ``backoff_s``.

    Source: M. Brooker, Exponential Backoff and Jitter, AWS Architecture Blog, 2015.
    """
    if config.jitter == "decorrelated":
        base_s = config.backoff_s
        spread_s = 3.0 * (base_s if previous_s is None else previous_s) - base_s
        return min(config.backoff_max_s, base_s + rng.random() * max(spread_s, 0.0))
    longest_s = min(config.backoff_max_s, config.backoff_s * 2.0 ** (retry - 1))
    match config.jitter:
        case "full":
            return longest_s * rng.random()
        case "equal":
            return 0.5 * longest_s * (1.0 + rng.random())
        case _:
            return longest_s
