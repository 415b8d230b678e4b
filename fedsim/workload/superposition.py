"""Tenants with arrival processes of their own: the arrivals of all of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrivals import BLOCK, ArrivalProcess
from fedsim.workload.arrived import Arrived, Generators, has_zones
from fedsim.workload.mean_sizes import MeanSizes

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Superposition:
    """Independent arrival processes, one for each tenant, merged by time.

    Each draws from the stream ``workload/<stream>/arrivals/<tenant>``, so that a tenant more or
    less leaves the others' arrivals where they were.

    Attributes:
        processes: The name of each tenant, and when its requests come; no names twice.
        weights: Weights of the stream's origins, where some process has origins whose shares
            change with time; the others' have these shares at all times.
    """

    processes: tuple[tuple[str, ArrivalProcess], ...]
    weights: tuple[float, ...] = ()

    @property
    def trace(self) -> None:
        """None: the times are drawn."""
        return None

    @property
    def brings_tokens(self) -> bool:
        """False: the stream draws token counts."""
        return False

    @property
    def mean_sizes(self) -> MeanSizes:
        """Nothing is known of sizes here."""
        return MeanSizes()

    @property
    def tenant_names(self) -> tuple[str, ...]:
        """The name of each tenant."""
        return tuple(name for name, _ in self.processes)

    def shares(self, until_s: float) -> Floats:
        """Return the share of each tenant in the expected arrivals of [0, *until_s*)."""
        means = np.array([process.mean_rps(until_s) for _, process in self.processes])
        shares: Floats = means / means.sum()
        return shares

    def mean_rps(self, until_s: float) -> float:
        """Return the expected number of all arrivals in [0, *until_s*) over *until_s*."""
        return sum(process.mean_rps(until_s) for _, process in self.processes)

    def peak_rps(self, until_s: float) -> float:
        """Return the sum of the peaks of all, which is reached if they have them at one time."""
        return sum(process.peak_rps(until_s) for _, process in self.processes)

    def times(
        self, rng: np.random.Generator, until_s: float, block_size: int = BLOCK
    ) -> Iterator[Floats]:
        """Refuse: every process needs a stream of its own; see ``marked``."""
        raise NotImplementedError

    def marked(self, generator: Generators, until_s: float, block_size: int) -> Iterator[Arrived]:
        """Yield all arrivals with their tenants; see ``MarkedArrivals.marked``."""
        sources = [
            process.times(generator(f"arrivals/{name}"), until_s, block_size)
            for name, process in self.processes
        ]
        shares_at = self._origin_shares(until_s)
        for times_s, tenants in in_blocks(merged(sources), block_size):
            arrived = Arrived(times_s, tenants=tenants)
            if shares_at:
                arrived.origin_shares = np.tile(self.weights, (len(times_s), 1))
                for number, shares in shares_at.items():
                    its = tenants == number
                    arrived.origin_shares[its] = shares(times_s[its])
            yield arrived

    def _origin_shares(self, until_s: float) -> dict[int, Callable[[Floats], Floats]]:
        """Return what gives the shares of origins, for the tenants where they change with time."""
        return {
            number: shares
            for number, (_, process) in enumerate(self.processes)
            if has_zones(process) and (shares := process.origin_shares(until_s)) is not None
        }


Marked = tuple[Floats, NDArray[np.int64]]
"""Ascending times, and the number of the source of each."""


def merged(sources: list[Iterator[Floats]]) -> Iterator[Marked]:
    """Yield the times of all *sources* in one order; of equal times the lower source's is first.

    Args:
        sources: Ascending times of each, in blocks that are not empty.
    """
    waiting: dict[int, Floats] = {}
    _refill(waiting, sources, range(len(sources)))
    while waiting:
        # What comes up to the earliest end of a block cannot be preceded by anything unseen.
        end_s, last = min((float(times_s[-1]), number) for number, times_s in waiting.items())
        parts, numbers = [], []
        for number, times_s in sorted(waiting.items()):
            equal_too = number <= last
            count = int(np.searchsorted(times_s, end_s, side="right" if equal_too else "left"))
            parts.append(times_s[:count])
            numbers.append(np.full(count, number, dtype=np.int64))
            waiting[number] = times_s[count:]
        spent = [number for number, times_s in waiting.items() if not len(times_s)]
        for number in spent:
            del waiting[number]
        _refill(waiting, sources, spent)
        times_s = np.concatenate(parts)
        order = np.argsort(times_s, kind="stable")
        yield times_s[order], np.concatenate(numbers)[order]


def _refill(
    waiting: dict[int, Floats], sources: list[Iterator[Floats]], numbers: range | list[int]
) -> None:
    """Take the next block of the sources with *numbers*, where there is one."""
    for number in numbers:
        block = next(sources[number], None)
        if block is not None:
            waiting[number] = block


def in_blocks(parts: Iterator[Marked], block_size: int) -> Iterator[Marked]:
    """Yield *parts* cut or put together into blocks of *block_size*; only the last is shorter."""
    times_s, numbers = np.empty(0), np.empty(0, dtype=np.int64)
    for more_s, more in parts:
        times_s, numbers = np.concatenate((times_s, more_s)), np.concatenate((numbers, more))
        while len(times_s) >= block_size:
            yield times_s[:block_size], numbers[:block_size]
            times_s, numbers = times_s[block_size:], numbers[block_size:]
    if len(times_s):
        yield times_s, numbers
