"""Blocks of arrivals: what a process brings, and all else that is drawn for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrived import Arrived, Begun, Generators, Integers
from fedsim.workload.counts import UNKNOWN
from fedsim.workload.details import Details
from fedsim.workload.draws import Draws, StreamDraws
from fedsim.workload.popularity import bounds, pick, pick_each
from fedsim.workload.sizes import SizeDraws, Sizes
from fedsim.workload.sources import StreamSource
from fedsim.workload.tenants import Senders


@dataclass(slots=True)
class ArrivalBlock:
    """Consecutive arrivals of a stream, as lists of equal length.

    Attributes:
        times_s: Arrival times in seconds, ascending.
        origins: Where each comes from, as an index into ``Traffic.origins``.
        tenants: Who sends it, as a number from 0, or -1.
        prompt_tokens: Tokens of the prompt, or -1 where unknown.
        output_tokens: Tokens of the answer, or -1 where unknown.
        keys: The 64-bit key of each request, from which its draws follow.
        service_uniforms: The uniform of its service at the first attempt, in (0, 1).
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


class Requests(Protocol):
    """What the requests of a stream are like; see `Traffic`."""

    @property
    def name(self) -> str:
        """The stream's name."""
        ...

    @property
    def origins(self) -> tuple[tuple[str, float], ...]:
        """Pairs of a region and its weight."""
        ...

    @property
    def sizes(self) -> Sizes:
        """How large they are."""
        ...

    @property
    def tenants(self) -> Senders | None:
        """Who sends them, or None."""
        ...


class ArrivalDraws:
    """The draws of one pass through a stream's arrivals, each at the same arrival.

    Args:
        traffic: The stream.
        streams: The random streams of the run.
        part: What else of the stream is drawn, each from random streams of its own.
    """

    def __init__(self, traffic: Requests, streams: StreamSource, part: str = "") -> None:
        def generator(purpose: str) -> np.random.Generator:
            return streams.generator(f"workload/{traffic.name}/{part}{purpose}")

        tenants = traffic.tenants
        own_tokens = tenants.tokens if tenants is not None else ()
        self._streams = streams
        self._key = generator("key")
        self.generator: Generators = generator
        self.draws = StreamDraws(generator)
        self.sizes = SizeDraws(traffic.sizes, own_tokens, generator)
        self._origin_bounds = bounds([weight for _, weight in traffic.origins])
        self._tenant_bounds = None if tenants is None else bounds(tenants.shares)

    def block(self, arrived: Arrived) -> ArrivalBlock:
        """Return all that belongs to the next arrivals."""
        count = len(arrived.times_s)
        draws = self.draws.following(count)
        keys = self._key.integers(0, 2**64, size=count, dtype=np.uint64)
        origins, tenants = self._senders(arrived, draws)
        sizes = self.sizes.draw(draws, keys, tenants)
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

    def begun(self, arrivals: Iterator[Arrived]) -> Iterator[Begun]:
        """Yield the users whose first requests are *arrivals*."""
        for arrived in arrivals:
            draws = self.draws.following(len(arrived.times_s))
            yield Begun(arrived.times_s, *self._senders(arrived, draws))

    def _senders(self, arrived: Arrived, draws: Draws) -> tuple[Integers, Integers]:
        count = len(arrived.times_s)
        origins, tenants = arrived.origins, arrived.tenants
        if origins is None and arrived.origin_shares is not None:
            origins = pick_each(arrived.origin_shares, draws("origin"))
        elif origins is None:
            origins = _numbers(self._origin_bounds, "origin", draws, count)
        if tenants is None:
            tenants = _numbers(self._tenant_bounds, "tenant", draws, count)
        return origins, tenants


def _numbers(ends: NDArray[np.float64] | None, purpose: str, draws: Draws, count: int) -> Integers:
    """Return *count* numbers drawn by the shares that *ends* delimit, or as many unknowns."""
    if ends is None:
        return np.full(count, UNKNOWN, dtype=np.int64)
    if len(ends) == 1:
        return np.zeros(count, dtype=np.int64)
    return pick(ends, draws(purpose))
