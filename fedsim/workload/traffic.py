"""Traffic: everything about a stream's requests that does not depend on who serves them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrivals import BLOCK, ArrivalProcess
from fedsim.workload.checks import not_negative
from fedsim.workload.details import Details
from fedsim.workload.distributions import Distribution
from fedsim.workload.sources import StreamSource
from fedsim.workload.tenants import Tenants

UNKNOWN = -1
"""A token count or a tenant that a stream does not have."""

TOKENS_MAX = 2**31 - 1
"""Most tokens that a draw can give; a heavier tail is cut there."""


@dataclass(slots=True)
class ArrivalBlock:
    """Consecutive arrivals of a stream, as lists of equal length.

    Attributes:
        times_s: Arrival times in seconds, ascending.
        origins: Where each comes from, as an index into ``Traffic.origins``.
        tenants: Who sends it, as a number from 0, or -1.
        prompt_tokens: Tokens of the prompt, or -1 where unknown.
        output_tokens: Tokens of the answer, or -1 where unknown.
        keys: The 64-bit key of each request, from which its luck follows.
        service_uniforms: Its luck in service at the first attempt, in (0, 1).
        details: What each request is beyond its token counts, or None where none is more.
    """

    times_s: list[float]
    origins: list[int]
    tenants: list[int]
    prompt_tokens: list[int]
    output_tokens: list[int]
    keys: list[int]
    service_uniforms: list[float]
    details: Sequence[Details | None] | None = None

    def __len__(self) -> int:
        return len(self.times_s)


@dataclass(frozen=True, slots=True)
class MeanSizes:
    """The mean sizes of a stream's requests; NaN where unknown.

    Attributes:
        prompt_tokens: Tokens of a prompt, before rounding to whole tokens.
        output_tokens: Tokens of an answer, before rounding.
        audio_s: Length of the audio in seconds.
        picture_steps: Inference steps of a picture times pictures: the mean of the product.
    """

    prompt_tokens: float = math.nan
    output_tokens: float = math.nan
    audio_s: float = math.nan
    picture_steps: float = math.nan


@dataclass(frozen=True, slots=True)
class Traffic:
    """What arrives in a stream: when, where from, from whom and how large.

    Attributes:
        name: The stream's name.
        origins: Pairs of a region and its weight, >= 0; the weights need not add up to 1.
        arrivals: When the requests come.
        prompt_tokens: Distribution of the tokens of a prompt, or None where unknown or where the
            arrivals replay a trace, which brings its own.
        output_tokens: The same for an answer.
        tenants: Who sends them, or None.

    Raises:
        ValueError: There are no origins, a weight is negative, their sum is 0, or a distribution
            of tokens is given beside a trace.
    """

    name: str
    origins: tuple[tuple[str, float], ...]
    arrivals: ArrivalProcess
    prompt_tokens: Distribution | None = None
    output_tokens: Distribution | None = None
    tenants: Tenants | None = None

    def __post_init__(self) -> None:
        for region, weight in self.origins:
            not_negative(f"{region} among the origins of {self.name}", weight=weight)
        if not sum(weight for _, weight in self.origins) > 0.0:
            message = f"the weights of the origins of {self.name} add up to 0: give one a share"
            raise ValueError(message)
        drawn = self.prompt_tokens is not None or self.output_tokens is not None
        if drawn and self.arrivals.trace is not None:
            message = f"{self.name} replays a trace, which brings its own tokens: leave out tokens"
            raise ValueError(message)

    @property
    def prompt_tokens_mean(self) -> float:
        """Mean tokens of a prompt, before rounding to whole tokens; NaN where unknown."""
        if (trace := self.arrivals.trace) is not None:
            return float(np.mean(trace.prompt_tokens))
        return math.nan if self.prompt_tokens is None else self.prompt_tokens.mean

    @property
    def output_tokens_mean(self) -> float:
        """Mean tokens of an answer, before rounding to whole tokens; NaN where unknown."""
        if (trace := self.arrivals.trace) is not None:
            return float(np.mean(trace.output_tokens))
        return math.nan if self.output_tokens is None else self.output_tokens.mean

    @property
    def mean_sizes(self) -> MeanSizes:
        """The mean sizes of a request."""
        return MeanSizes(self.prompt_tokens_mean, self.output_tokens_mean)

    @property
    def has_tokens(self) -> bool:
        """Whether the tokens of both prompt and answer are known."""
        if self.arrivals.trace is not None:
            return True
        return self.prompt_tokens is not None and self.output_tokens is not None

    def blocks(
        self, streams: StreamSource, until_s: float, block_size: int = BLOCK
    ) -> Iterator[ArrivalBlock]:
        """Yield the arrivals in [0, *until_s*), in the order of their times.

        Every quantity has a stream of its own (``workload/<name>/arrivals``, ``…/origin``,
        ``…/tenant``, ``…/prompt``, ``…/output``, ``…/key``), and its n-th element belongs to the
        n-th arrival. So a stream that gets tenants keeps its times, sizes and luck.

        Args:
            streams: The random streams of the run.
            until_s: End of the arrivals in seconds.
            block_size: Most arrivals in a block, >= 1; it changes no value.
        """
        draws = _Draws(self, streams)
        rng = streams.generator(f"workload/{self.name}/arrivals")
        first = 0
        for times_s in self.arrivals.times(rng, until_s, block_size):
            yield draws.block(times_s, first)
            first += len(times_s)


class _Draws:
    """The generators of one pass through a stream's arrivals, each at the same arrival."""

    def __init__(self, traffic: Traffic, streams: StreamSource) -> None:
        def generator(purpose: str) -> np.random.Generator:
            return streams.generator(f"workload/{traffic.name}/{purpose}")

        self._streams = streams
        self._traffic = traffic
        self._trace = traffic.arrivals.trace
        self._origin = generator("origin")
        self._tenant = generator("tenant")
        self._prompt = generator("prompt")
        self._output = generator("output")
        self._key = generator("key")
        self._origin_bounds = _bounds([weight for _, weight in traffic.origins])
        self._tenant_bounds = _bounds(traffic.tenants.shares) if traffic.tenants else None

    def block(self, times_s: NDArray[np.float64], first: int) -> ArrivalBlock:
        """Return what belongs to the arrivals at *times_s*, the first of which has that index."""
        count = len(times_s)
        keys = self._key.integers(0, 2**64, size=count, dtype=np.uint64)
        prompt_tokens, output_tokens = self._tokens(first, count)
        return ArrivalBlock(
            times_s=times_s.tolist(),
            origins=_indices(self._origin, self._origin_bounds, count),
            tenants=_indices(self._tenant, self._tenant_bounds, count),
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            keys=keys.tolist(),
            service_uniforms=self._streams.service_uniforms(keys, 1).tolist(),
        )

    def _tokens(self, first: int, count: int) -> tuple[list[int], list[int]]:
        if (trace := self._trace) is not None:
            rows = slice(first, first + count)
            return trace.prompt_tokens[rows].tolist(), trace.output_tokens[rows].tolist()
        return (
            _token_counts(self._prompt, self._traffic.prompt_tokens, count),
            _token_counts(self._output, self._traffic.output_tokens, count),
        )


def _bounds(weights: list[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the upper ends of intervals in [0, 1] whose lengths are the shares of *weights*."""
    sums = np.cumsum(weights)
    bounds: NDArray[np.float64] = sums / sums[-1]
    return bounds


def _indices(rng: np.random.Generator, bounds: NDArray[np.float64] | None, count: int) -> list[int]:
    """Return *count* indices drawn by the shares that *bounds* delimit, or as many unknowns."""
    if bounds is None:
        return [UNKNOWN] * count
    if len(bounds) == 1:
        return [0] * count
    indices: list[int] = np.searchsorted(bounds, rng.random(count), side="right").tolist()
    return indices


def _token_counts(
    rng: np.random.Generator, distribution: Distribution | None, count: int
) -> list[int]:
    """Return *count* draws rounded to whole tokens, at least 1, or as many unknowns."""
    if distribution is None:
        return [UNKNOWN] * count
    # The generator's uniforms begin at 0, which is not a share that a quantile can take.
    drawn = distribution.quantiles(np.maximum(rng.random(count), 2.0**-54))
    tokens: list[int] = np.clip(np.rint(drawn), 1, TOKENS_MAX).astype(np.int64).tolist()
    return tokens
