"""Closed loops: a fixed number of users, each of whom waits for an answer before asking again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrivals.process import BLOCK, before
from fedsim.workload.distributions import Distribution
from fedsim.workload.equilibrium import rest_of_gaps_s

# The generator's uniforms begin at 0, which is not a share that a quantile can take.
_LEAST = 2.0**-54


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """Users who think, send a request, wait until it is over, and think again.

    What the users send after their first requests depends on who serves them, so that the times
    here are those of the first requests, where each user is somewhere in the gap between two.
    ``fedsim.workload.closed_loop`` has the requests that follow.

    Attributes:
        users: Number of users, >= 1.
        think_s: Distribution of the think times in seconds.
    """

    users: int
    think_s: Distribution

    def __post_init__(self) -> None:
        if self.users < 1:
            message = f"a closed loop needs at least one user, not {self.users}"
            raise ValueError(message)

    @property
    def trace(self) -> None:
        """None: the times are drawn."""
        return None

    def mean_rps(self, until_s: float) -> float:
        """Return the rate if answers took no time, an upper bound, whatever *until_s*."""
        return self.users / self.think_s.mean if self.think_s.mean > 0.0 else math.inf

    def peak_rps(self, until_s: float) -> float:
        """Return the same bound as ``mean_rps``."""
        return self.mean_rps(until_s)

    def times(
        self, rng: np.random.Generator, until_s: float, block_size: int = BLOCK
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the times of first requests if answers take no time; see ``first_times``."""
        return self.first_times(rng, until_s, block_size=block_size)

    def first_times(
        self,
        rng: np.random.Generator,
        until_s: float,
        answer_s: float = 0.0,
        block_size: int = BLOCK,
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the times of first requests in [0, *until_s*), in ascending blocks, none empty.

        Args:
            rng: Draws them.
            until_s: End of the arrivals in seconds.
            answer_s: About how long an answer takes, in seconds.
            block_size: Most times in a block, >= 1; it changes no time.
        """
        lengths, shares = np.maximum(rng.random((2, self.users)), _LEAST)
        rest_s = rest_of_gaps_s(self.think_s, answer_s, lengths, shares)
        times_s = before(np.sort(rest_s), until_s)
        for start in range(0, len(times_s), block_size):
            yield times_s[start : start + block_size]
