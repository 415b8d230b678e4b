"""How long a request holds a slot of a node: service models."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

from fedsim.workload.distributions import Distribution, Lognormal


class ServiceModel(Protocol):
    """Turns a request's luck and size into a service time.

    ``service_s`` and ``first_token_s`` are pure: the same uniform and sizes give the same times,
    so that two routers meet the same service when they send a request to equal pools.
    """

    @property
    def needs_tokens(self) -> bool:
        """Whether the model cannot do without token counts."""
        ...

    def service_s(self, uniform: float, prompt_tokens: int, output_tokens: int) -> float:
        """Return the service time in seconds; *uniform* lies in (0, 1), unknown counts are -1."""
        ...

    def first_token_s(self, service_s: float, prompt_tokens: int, output_tokens: int) -> float:
        """Return the time from the start of service to the first token, or NaN where unknown."""
        ...

    def mean_s(self, prompt_tokens_mean: float, output_tokens_mean: float) -> float:
        """Return the mean service time in seconds at mean token counts."""
        ...


@dataclass(frozen=True, slots=True)
class DistributedService:
    """Service times drawn from a distribution, whatever the request's size."""

    distribution: Distribution
    needs_tokens: bool = False

    def service_s(self, uniform: float, prompt_tokens: int, output_tokens: int) -> float:
        """Return the distribution's quantile at *uniform*, in seconds."""
        return self.distribution.quantile(uniform)

    def first_token_s(self, service_s: float, prompt_tokens: int, output_tokens: int) -> float:
        """Return NaN: the distribution does not say when the first token comes."""
        return math.nan

    def mean_s(self, prompt_tokens_mean: float, output_tokens_mean: float) -> float:
        """Return the distribution's mean in seconds."""
        return self.distribution.mean


@dataclass(frozen=True, slots=True)
class TokenService:
    """Service times that grow with the request's tokens, with multiplicative lognormal noise.

    Attributes:
        base_s: Time that every request takes, in seconds.
        per_prompt_token_s: Added for each prompt token, in seconds.
        per_output_token_s: Added for each output token, in seconds.
        noise_cv: Coefficient of variation of the noise, whose mean is 1; 0 for none.
    """

    base_s: float
    per_prompt_token_s: float = 0.0
    per_output_token_s: float = 0.0
    noise_cv: float = 0.0
    needs_tokens: bool = True
    _noise: Lognormal | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if self.noise_cv > 0.0:
            object.__setattr__(self, "_noise", Lognormal.from_mean_cv(1.0, self.noise_cv))

    def service_s(self, uniform: float, prompt_tokens: int, output_tokens: int) -> float:
        """Return base plus token times, multiplied by the noise at *uniform*, in seconds."""
        time_s = (
            self.base_s
            + self.per_prompt_token_s * prompt_tokens
            + self.per_output_token_s * output_tokens
        )
        return time_s if self._noise is None else time_s * self._noise.quantile(uniform)

    def first_token_s(self, service_s: float, prompt_tokens: int, output_tokens: int) -> float:
        """Return the share of *service_s* up to the first output token, in seconds."""
        before_s = self.base_s + self.per_prompt_token_s * prompt_tokens
        first_s = before_s + (self.per_output_token_s if output_tokens > 0 else 0.0)
        nominal_s = before_s + self.per_output_token_s * output_tokens
        return service_s * first_s / nominal_s if nominal_s > 0.0 else 0.0

    def mean_s(self, prompt_tokens_mean: float, output_tokens_mean: float) -> float:
        """Return the mean service time in seconds; exact, as it is linear in the counts."""
        return (
            self.base_s
            + self.per_prompt_token_s * prompt_tokens_mean
            + self.per_output_token_s * output_tokens_mean
        )
