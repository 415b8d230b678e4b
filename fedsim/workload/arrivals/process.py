"""What an arrival process is, to those who take its times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fedsim.workload.traces.trace import Trace

BLOCK = 4096
"""Arrivals drawn at once: enough to make the fixed cost of a draw negligible."""


class ArrivalProcess(Protocol):
    """When the requests of a stream arrive."""

    @property
    def trace(self) -> Trace | None:
        """The trace whose rows the arrivals are, one by one from its first, or None."""
        ...

    def mean_rps(self, until_s: float) -> float:
        """Return the expected number of arrivals in [0, *until_s*) over *until_s*, which is > 0."""
        ...

    def peak_rps(self, until_s: float) -> float:
        """Return the highest rate in [0, *until_s*), in requests per second.

        It is the highest value of the expected rate, without the randomness of single arrivals; a
        trace has no such thing, and gives the mean over its busiest minute.
        """
        ...

    def times(
        self, rng: np.random.Generator, until_s: float, block_size: int = BLOCK
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the arrival times in [0, *until_s*) in seconds, in ascending blocks, none empty.

        Args:
            rng: The stream of this process, at its start; nothing else draws from it.
            until_s: End of the arrivals in seconds.
            block_size: Most arrivals in a block, >= 1; it changes no time.
        """
        ...


def before(times_s: NDArray[np.float64], until_s: float) -> NDArray[np.float64]:
    """Return the part of ascending *times_s* that is less than *until_s*."""
    return times_s[: int(np.searchsorted(times_s, until_s, side="left"))]
