"""Arrivals that bring along more than their times: rows of a trace, clients, time zones.

A stream draws where a request comes from, who sends it and how large it is, each from a random
stream of its own. An arrival process may know some of that better: a trace has token counts and
perhaps tenants, a curve shifted by time zone says which region is awake. Such a process has
``marked`` next to ``times``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.details import Details
from fedsim.workload.mean_sizes import MeanSizes

Integers = NDArray[np.int64]

Generators = Callable[[str], np.random.Generator]
"""Gives a new generator at the start of the stream ``workload/<stream>/<purpose>``, by purpose."""


@dataclass(slots=True)
class Arrived:
    """Consecutive arrivals and what they bring along, in arrays of equal length.

    What is None is drawn by the stream, as for arrivals that bring nothing.

    Attributes:
        times_s: Arrival times in seconds, ascending.
        origins: Where each comes from, as an index into ``Traffic.origins``.
        tenants: Who sends it, as a number from 0, or -1.
        prompt_tokens: Tokens of the prompt, or -1 where unknown.
        output_tokens: Tokens of the answer, or -1 where unknown.
        details: What each is beyond its token counts.
        origin_shares: A row for each arrival with the share of each origin at its time, by which
            its origin is drawn; they need not add up to 1.
    """

    times_s: NDArray[np.float64]
    origins: Integers | None = None
    tenants: Integers | None = None
    prompt_tokens: Integers | None = None
    output_tokens: Integers | None = None
    details: Sequence[Details | None] | None = None
    origin_shares: NDArray[np.float64] | None = None


@dataclass(slots=True)
class Begun:
    """Users who begin, in arrays of equal length.

    Attributes:
        times_s: Times of their first requests in seconds, ascending.
        origins: Where each is, as an index into ``Traffic.origins``.
        tenants: Whose user each is, as a number from 0, or -1.
    """

    times_s: NDArray[np.float64]
    origins: Integers
    tenants: Integers


class MarkedArrivals(Protocol):
    """An arrival process that brings along more than times."""

    @property
    def brings_tokens(self) -> bool:
        """Whether the arrivals bring both token counts."""
        ...

    @property
    def mean_sizes(self) -> MeanSizes:
        """The mean sizes of its requests; NaN where it does not bring them."""
        ...

    @property
    def tenant_names(self) -> Sequence[str] | None:
        """The names of the tenants that it brings, by number, or None where it brings none."""
        ...

    def marked(self, generator: Generators, until_s: float, block_size: int) -> Iterator[Arrived]:
        """Yield the arrivals in [0, *until_s*), in ascending blocks, none empty.

        Args:
            generator: Gives the streams that it draws from; ``arrivals`` for the times,
                ``origin``, ``tenant``, ``prompt`` and ``output`` for what it brings.
            until_s: End of the arrivals in seconds.
            block_size: Most arrivals in a block, >= 1; it changes no value.
        """
        ...


class ZonedArrivals(Protocol):
    """An arrival process in whose arrivals the origins have shares that change with time."""

    def origin_shares(
        self, until_s: float
    ) -> Callable[[NDArray[np.float64]], NDArray[np.float64]] | None:
        """Return what gives a row of shares for each time, or None where they never change."""
        ...


def has_zones(arrivals: object) -> TypeGuard[ZonedArrivals]:
    """Return whether the origins of *arrivals* depend on the time."""
    return hasattr(type(arrivals), "origin_shares")


def is_marked(arrivals: object) -> TypeGuard[MarkedArrivals]:
    """Return whether *arrivals* bring along more than times."""
    return hasattr(type(arrivals), "marked")
