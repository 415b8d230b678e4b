"""Traffic of the clients of a real service, after ServeGen's published client statistics.

ServeGen (Xiang et al., "ServeGen: Workload Characterization and Generation of Large Language Model
Serving in Production", 2025; data of Alibaba Cloud Model Studio, Apache-2.0) describes production
traffic client by client: for each window of ten minutes the client's rate and the family and shape
of the times between its requests, for each six hours the distribution of its prompts and answers.
Traffic drawn from it has the bursts, the days and the few heavy clients of the original, which a
single process with the same mean has not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrivals.process import BLOCK
from fedsim.workload.arrived import Arrived, Generators, Integers
from fedsim.workload.checks import positive
from fedsim.workload.length_tables import ClientLengths
from fedsim.workload.mean_sizes import MeanSizes
from fedsim.workload.popularity import bounds, pick
from fedsim.workload.superposition import Floats, Marked, in_blocks

if TYPE_CHECKING:
    from fedsim.workload.traces.trace import Trace

WINDOW_S = 600.0
"""Length of a window with one rate, in seconds."""

LENGTH_WINDOW_S = 21600.0
"""Length of a window with one distribution of tokens, in seconds."""

_WINDOWS_OF_LENGTHS = 36


@dataclass(frozen=True, slots=True, eq=False)
class ClientRates:
    """When clients send, a row per window of ten minutes and a column per client.

    Attributes:
        names: The clients.
        rates_rps: Mean rate in requests per second, >= 0.
        weibull: Whether the gaps follow a Weibull distribution; else a gamma one.
        shapes: Shape of that distribution, > 0 where the rate is; its scale follows from the rate.
    """

    names: tuple[str, ...]
    rates_rps: Floats
    weibull: NDArray[np.bool_]
    shapes: Floats


@dataclass(frozen=True, slots=True, eq=False)
class ServeGen:
    """The requests of all clients together; the clients are the tenants.

    Each window starts afresh, in equilibrium: a client's expected number of requests in it is
    exactly its rate times the window. The gaps have the family and shape that were fitted, scaled
    to the rate that was counted, from which the fitted mean often differs.

    A client without a table of lengths, and the published tables leave out the heaviest clients,
    gets those of the others, each in proportion to its rate in the six hours.

    Attributes:
        rates: When clients send.
        lengths: How large their requests are, or None where the stream says so.
        from_s: Where in the data the run begins, a whole number of windows, in seconds.
        to_s: Where in the data it ends at the latest, in seconds; None for the end of the data.
        speed: How many times as fast as recorded it is played, > 0: rates grow by it too.
        rate_factor: Is multiplied with all rates, > 0.
    """

    rates: ClientRates
    lengths: ClientLengths | None
    from_s: float = 0.0
    to_s: float | None = None
    speed: float = 1.0
    rate_factor: float = 1.0

    def __post_init__(self) -> None:
        positive("clients", speed=self.speed, rate_factor=self.rate_factor)
        if not self._windows:
            message = f"the data has no window between {self.from_s:g} s and {self.to_s} s"
            raise ValueError(message)

    @property
    def trace(self) -> Trace | None:
        """None: the times are drawn."""
        return None

    @property
    def brings_tokens(self) -> bool:
        """Whether it has lengths."""
        return self.lengths is not None

    @property
    def tenant_names(self) -> tuple[str, ...]:
        """The clients."""
        return self.rates.names

    @property
    def mean_sizes(self) -> MeanSizes:
        """The means over all requests that are played."""
        if self.lengths is None:
            return MeanSizes()
        weights = np.zeros(len(self.lengths.prompt.means))
        for window in self._windows:
            rows, rates = self.tables(window), self.rates.rates_rps[window]
            np.add.at(weights, rows[rows >= 0], rates[rows >= 0])
            others, shares = self.tables_of_others(window)
            np.add.at(weights, others, shares * rates[rows < 0].sum())
        shares = weights / weights.sum()
        return MeanSizes(
            float(shares @ self.lengths.prompt.means), float(shares @ self.lengths.output.means)
        )

    def mean_rps(self, until_s: float) -> float:
        """Return the expected number of requests in [0, *until_s*) over *until_s*."""
        played_s = WINDOW_S / self.speed
        expected = 0.0
        for number, window in enumerate(self._windows):
            covered_s = min(max(until_s - number * played_s, 0.0), played_s)
            expected += covered_s * self._window_rps(window)
        return expected / until_s

    def peak_rps(self, until_s: float) -> float:
        """Return the rate of the busiest window that begins in [0, *until_s*)."""
        begun = math.ceil(until_s * self.speed / WINDOW_S)
        return max((self._window_rps(window) for window in self._windows[:begun]), default=0.0)

    def times(
        self, rng: np.random.Generator, until_s: float, block_size: int = BLOCK
    ) -> Iterator[Floats]:
        """Refuse: every client needs a stream of its own; see ``marked``."""
        raise NotImplementedError

    def marked(self, generator: Generators, until_s: float, block_size: int) -> Iterator[Arrived]:
        """Yield all requests with their clients and sizes; see ``MarkedArrivals.marked``."""
        sizes = None if self.lengths is None else _LengthDraws(self, self.lengths, generator)
        for times_s, clients in in_blocks(self._arrivals(generator, until_s), block_size):
            arrived = Arrived(times_s, tenants=clients)
            if sizes is not None:
                arrived.prompt_tokens, arrived.output_tokens = sizes.draw(times_s, clients)
            yield arrived

    @property
    def _windows(self) -> range:
        """The windows that are played."""
        last = len(self.rates.rates_rps)
        if self.to_s is not None:
            last = min(last, math.ceil(self.to_s / WINDOW_S))
        return range(int(self.from_s // WINDOW_S), last)

    def _window_rps(self, window: int) -> float:
        rate = float(self.rates.rates_rps[window].sum())
        return rate * self.speed * self.rate_factor

    def tables(self, window: int) -> NDArray[np.int64]:
        """Return the table of each client in a window of ten minutes, or -1 where it has none."""
        assert self.lengths is not None
        rows: NDArray[np.int64] = self.lengths.rows[window // _WINDOWS_OF_LENGTHS]
        return rows

    def tables_of_others(self, window: int) -> tuple[NDArray[np.int64], Floats]:
        """Return the tables that replace the missing ones in a window, and their shares."""
        assert self.lengths is not None
        rows = self.tables(window)
        first = window // _WINDOWS_OF_LENGTHS * _WINDOWS_OF_LENGTHS
        weights = self.rates.rates_rps[first : first + _WINDOWS_OF_LENGTHS].sum(axis=0)
        known = (rows >= 0) & (weights > 0.0)
        if not known.any():
            every = len(self.lengths.prompt.means)
            return np.arange(every), np.full(every, 1.0 / every)
        return rows[known], weights[known] / weights[known].sum()

    def window_at(self, time_s: float) -> int:
        """Return the window that is played at a time of the run, in seconds."""
        return self._windows[min(int(time_s * self.speed // WINDOW_S), len(self._windows) - 1)]

    def _arrivals(self, generator: Generators, until_s: float) -> Iterator[Marked]:
        """Yield the requests of each window, in order."""
        rngs = [generator(f"arrivals/{name}") for name in self.rates.names]
        played_s = WINDOW_S / self.speed
        for number, window in enumerate(self._windows):
            start_s = number * played_s
            if start_s >= until_s:
                return
            parts = [
                self._client_times(rngs[client], window, client, played_s)
                for client in range(len(rngs))
            ]
            clients = np.repeat(np.arange(len(rngs)), [len(part) for part in parts])
            times_s = np.concatenate(parts)
            order = np.argsort(times_s, kind="stable")
            times_s = start_s + times_s[order]
            within = int(np.searchsorted(times_s, until_s, side="left"))
            yield times_s[:within], clients[order][:within]

    def _client_times(
        self, rng: np.random.Generator, window: int, client: int, played_s: float
    ) -> Floats:
        """Return when a client sends in a window, in seconds from its start."""
        rate_rps = self.rates.rates_rps[window, client] * self.speed * self.rate_factor
        if rate_rps == 0.0:
            return np.empty(0)
        gaps = _Gaps(self.rates.shapes[window, client], self.rates.weibull[window, client])
        times_s: Floats = gaps.times(rng, rate_rps * played_s) / rate_rps
        return times_s


@dataclass(frozen=True, slots=True)
class _Gaps:
    """Gaps of mean 1 between the requests of a client.

    Attributes:
        shape: Shape of their distribution.
        weibull: Whether it is Weibull; else gamma.
    """

    shape: float
    weibull: bool

    def times(self, rng: np.random.Generator, until: float) -> Floats:
        """Return the times in [0, *until*) of the process in equilibrium."""
        times = np.array([self._rest(rng)])
        while times[-1] < until:
            expected = until - float(times[-1])
            more = self._gaps(rng, int(expected + 4.0 * math.sqrt(expected)) + 8)
            more[0] += times[-1]
            times = np.concatenate((times, np.cumsum(more)))
        return times[: int(np.searchsorted(times, until, side="left"))]

    def _gaps(self, rng: np.random.Generator, count: int) -> Floats:
        if self.weibull:
            powers: Floats = rng.standard_exponential(count) ** (1.0 / self.shape)
            return powers / math.gamma(1.0 + 1.0 / self.shape)
        gaps: Floats = rng.standard_gamma(self.shape, count) / self.shape
        return gaps

    def _rest(self, rng: np.random.Generator) -> float:
        """Return the time to the first request, from a place inside a gap drawn by its length."""
        if self.weibull:
            power = rng.standard_gamma(1.0 + 1.0 / self.shape) ** (1.0 / self.shape)
            return float(rng.random() * power / math.gamma(1.0 + 1.0 / self.shape))
        return float(rng.random() * rng.standard_gamma(self.shape + 1.0) / self.shape)


class _LengthDraws:
    """Draws the sizes of requests from their clients' tables, one after the other."""

    def __init__(self, process: ServeGen, lengths: ClientLengths, generator: Generators) -> None:
        self._process = process
        self._lengths = lengths
        self._prompt = generator("prompt")
        self._output = generator("output")
        self._client = generator("lengths")
        self._prompt_powers = lengths.prompt.powers
        self._output_powers = lengths.output.powers

    def draw(self, times_s: Floats, clients: Integers) -> tuple[Integers, Integers]:
        """Return the tokens of prompts and answers of the next requests."""
        count = len(times_s)
        rows = self._tables(times_s, clients, self._client.random(count))
        prompt, output = self._lengths.prompt, self._lengths.output
        return (
            prompt.counts(rows, self._prompt.random(count), self._prompt_powers),
            output.counts(rows, self._output.random(count), self._output_powers),
        )

    def _tables(self, times_s: Floats, clients: Integers, uniforms: Floats) -> Integers:
        """Return the table of each request; one of another client where its own is missing."""
        first = self._process.window_at(float(times_s[0]))
        last = self._process.window_at(float(times_s[-1]))
        if first == last:
            return self._tables_in(first, clients, uniforms)
        windows = np.array([self._process.window_at(time_s) for time_s in times_s.tolist()])
        rows = np.empty(len(clients), dtype=np.int64)
        for window in np.unique(windows).tolist():
            its = windows == window
            rows[its] = self._tables_in(window, clients[its], uniforms[its])
        return rows

    def _tables_in(self, window: int, clients: Integers, uniforms: Floats) -> Integers:
        rows: Integers = self._process.tables(window)[clients]
        missing = rows < 0
        if missing.any():
            others, shares = self._process.tables_of_others(window)
            rows[missing] = others[pick(bounds(shares), uniforms[missing])]
        return rows
