"""Traffic: everything about a stream's requests that does not depend on who serves them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrivals import BLOCK, ArrivalProcess
from fedsim.workload.arrived import Arrived, Generators, Integers, is_marked
from fedsim.workload.checks import not_negative
from fedsim.workload.counts import UNKNOWN
from fedsim.workload.details import Details
from fedsim.workload.luck import Luck, StreamLuck
from fedsim.workload.mean_sizes import MeanSizes
from fedsim.workload.popularity import bounds, pick
from fedsim.workload.sizes import SizeDraws, Sizes
from fedsim.workload.sources import StreamSource
from fedsim.workload.tenants import Senders

_NO_SIZES = Sizes()


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
class Traffic:
    """What arrives in a stream: when, where from, from whom and how large.

    What the arrivals bring along, as a trace brings its token counts, is taken from them; all else
    is drawn.

    Attributes:
        name: The stream's name.
        origins: Pairs of a region and its weight, >= 0; the weights need not add up to 1.
        arrivals: When the requests come.
        sizes: How large they are.
        tenants: Who sends them, or None.

    Raises:
        ValueError: There are no origins, a weight is negative, their sum is 0, or token counts are
            given beside arrivals that bring theirs.
    """

    name: str
    origins: tuple[tuple[str, float], ...]
    arrivals: ArrivalProcess
    sizes: Sizes = _NO_SIZES
    tenants: Senders | None = None

    def __post_init__(self) -> None:
        for region, weight in self.origins:
            not_negative(f"{region} among the origins of {self.name}", weight=weight)
        if not sum(weight for _, weight in self.origins) > 0.0:
            message = f"the weights of the origins of {self.name} add up to 0: give one a share"
            raise ValueError(message)
        means = self.sizes.mean
        drawn = not (math.isnan(means.prompt_tokens) and math.isnan(means.output_tokens))
        if drawn and _brings_tokens(self.arrivals):
            message = f"{self.name} replays a trace, which brings its own tokens: leave out tokens"
            raise ValueError(message)

    @property
    def mean_sizes(self) -> MeanSizes:
        """The mean sizes of its requests, tenants with sizes of their own included."""
        means = self.sizes.mean
        if _brings_tokens(self.arrivals):
            brought = _brought_means(self.arrivals)
            return MeanSizes(
                brought.prompt_tokens, brought.output_tokens, means.audio_s, means.picture_steps
            )
        own = self.tenants.tokens if self.tenants is not None else ()
        if self.tenants is None or all(each is None for each in own):
            return means
        stream = self.sizes.tokens
        every = [stream if each is None else each for each in own]
        shares = self.tenants.shares
        prefix = means.prompt_tokens - stream.prompt_mean
        return MeanSizes(
            float(shares @ [each.prompt_mean for each in every]) + prefix,
            float(shares @ [each.output_mean for each in every]),
            means.audio_s,
            means.picture_steps,
        )

    @property
    def has_tokens(self) -> bool:
        """Whether the tokens of both prompt and answer are known of every request."""
        means = self.mean_sizes
        return not (math.isnan(means.prompt_tokens) or math.isnan(means.output_tokens))

    @property
    def tenant_names(self) -> Sequence[str] | None:
        """The names of the tenants by number, or None for ``<stream>-tenant-<number>``."""
        if is_marked(self.arrivals) and self.arrivals.tenant_names is not None:
            return self.arrivals.tenant_names
        return None if self.tenants is None else self.tenants.names

    def blocks(
        self, streams: StreamSource, until_s: float, block_size: int = BLOCK
    ) -> Iterator[ArrivalBlock]:
        """Yield the arrivals in [0, *until_s*), in the order of their times.

        Every quantity has a stream of its own (``workload/<name>/arrivals``, ``…/origin``,
        ``…/tenant``, ``…/prompt``, ``…/output``, ``…/key`` and others), and its n-th element
        belongs to the n-th arrival. So a stream that gets tenants keeps its times, sizes and luck.

        Args:
            streams: The random streams of the run.
            until_s: End of the arrivals in seconds.
            block_size: Most arrivals in a block, >= 1; it changes no value.
        """

        def generator(purpose: str) -> np.random.Generator:
            return streams.generator(f"workload/{self.name}/{purpose}")

        draws = _Draws(self, streams, generator)
        for arrived in _arrivals(self.arrivals, generator, until_s, block_size):
            yield draws.block(arrived)


class _Draws:
    """The draws of one pass through a stream's arrivals, each at the same arrival."""

    def __init__(self, traffic: Traffic, streams: StreamSource, generator: Generators) -> None:
        tenants = traffic.tenants
        own_tokens = tenants.tokens if tenants is not None else ()
        self._streams = streams
        self._key = generator("key")
        self._luck = StreamLuck(generator)
        self._sizes = SizeDraws(traffic.sizes, own_tokens, generator)
        self._origin_bounds = bounds([weight for _, weight in traffic.origins])
        self._tenant_bounds = None if tenants is None else bounds(tenants.shares)

    def block(self, arrived: Arrived) -> ArrivalBlock:
        """Return all that belongs to the next arrivals."""
        count = len(arrived.times_s)
        luck = self._luck.following(count)
        keys = self._key.integers(0, 2**64, size=count, dtype=np.uint64)
        origins, tenants = arrived.origins, arrived.tenants
        if origins is None:
            origins = numbers(self._origin_bounds, "origin", luck, count)
        if tenants is None:
            tenants = numbers(self._tenant_bounds, "tenant", luck, count)
        sizes = self._sizes.draw(luck, keys, tenants)
        if arrived.prompt_tokens is not None:
            sizes.prompt_tokens = arrived.prompt_tokens
        if arrived.output_tokens is not None:
            sizes.output_tokens = arrived.output_tokens
        return ArrivalBlock(
            times_s=arrived.times_s.tolist(),
            origins=origins.tolist(),
            tenants=tenants.tolist(),
            prompt_tokens=sizes.prompt_tokens.tolist(),
            output_tokens=sizes.output_tokens.tolist(),
            keys=keys.tolist(),
            service_uniforms=self._streams.service_uniforms(keys, 1).tolist(),
            details=sizes.details if arrived.details is None else arrived.details,
        )


def numbers(ends: NDArray[np.float64] | None, purpose: str, luck: Luck, count: int) -> Integers:
    """Return *count* numbers drawn by the shares that *ends* delimit, or as many unknowns."""
    if ends is None:
        return np.full(count, UNKNOWN, dtype=np.int64)
    if len(ends) == 1:
        return np.zeros(count, dtype=np.int64)
    return pick(ends, luck(purpose))


def _arrivals(
    arrivals: ArrivalProcess, generator: Generators, until_s: float, block_size: int
) -> Iterator[Arrived]:
    """Yield what arrives in [0, *until_s*), with all that it brings along."""
    if is_marked(arrivals):
        yield from arrivals.marked(generator, until_s, block_size)
        return
    trace, first = arrivals.trace, 0
    for times_s in arrivals.times(generator("arrivals"), until_s, block_size):
        arrived = Arrived(times_s)
        if trace is not None:
            rows = slice(first, first + len(times_s))
            arrived.prompt_tokens = trace.prompt_tokens[rows]
            arrived.output_tokens = trace.output_tokens[rows]
        first += len(times_s)
        yield arrived


def _brings_tokens(arrivals: ArrivalProcess) -> bool:
    if is_marked(arrivals):
        return arrivals.brings_tokens
    return arrivals.trace is not None


def _brought_means(arrivals: ArrivalProcess) -> MeanSizes:
    if is_marked(arrivals):
        return arrivals.mean_sizes
    assert arrivals.trace is not None
    trace = arrivals.trace
    return MeanSizes(float(np.mean(trace.prompt_tokens)), float(np.mean(trace.output_tokens)))
