"""Traffic: everything about a stream's requests that does not depend on who serves them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrivals import BLOCK, ArrivalProcess, ClosedLoop
from fedsim.workload.arrived import Arrived, Begun, Generators, Integers, has_zones, is_marked
from fedsim.workload.checks import not_negative
from fedsim.workload.closed_loop import LoopUsers
from fedsim.workload.conversations import Conversation, Sessions
from fedsim.workload.counts import UNKNOWN
from fedsim.workload.details import Details
from fedsim.workload.luck import Luck, StreamLuck
from fedsim.workload.mean_sizes import MeanSizes
from fedsim.workload.popularity import bounds, pick, pick_each
from fedsim.workload.reactive import Users
from fedsim.workload.sizes import SizeDraws, Sizes
from fedsim.workload.sources import StreamSource
from fedsim.workload.tenants import Senders
from fedsim.workload.traces import Trace

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
        conversation: How each arrival goes on as a session, or None where it is a single request.

    Raises:
        ValueError: There are no origins, a weight is negative, their sum is 0, or token counts are
            given beside arrivals that bring theirs.
    """

    name: str
    origins: tuple[tuple[str, float], ...]
    arrivals: ArrivalProcess
    sizes: Sizes = _NO_SIZES
    tenants: Senders | None = None
    conversation: Conversation | None = None

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
        if self.conversation is not None:
            self._check_conversation()
        self._check_recorded_origins()

    def _check_recorded_origins(self) -> None:
        trace = self.arrivals.trace
        for name in () if trace is None or trace.origins is None else trace.origins.names:
            if name not in self._regions:
                message = f"{self.name} replays a trace with the origin {name!r}: add it to origins"
                raise ValueError(message)

    def _check_conversation(self) -> None:
        if isinstance(self.arrivals, ClosedLoop):
            message = f"{self.name} is a closed loop, whose users never leave: draw the arrivals"
            raise ValueError(message)
        if _brings_tokens(self.arrivals):
            message = f"{self.name} replays a trace, whose rows are no sessions: draw the arrivals"
            raise ValueError(message)
        if not self.has_tokens:
            message = f"{self.name} has conversations, whose prompts grow by both counts: give them"
            raise ValueError(message)
        if self.sizes.audio_s is not None or self.sizes.pictures is not None:
            message = f"{self.name} has conversations, which are of text: leave out the other kind"
            raise ValueError(message)

    @property
    def _regions(self) -> list[str]:
        return [region for region, _ in self.origins]

    @property
    def is_reactive(self) -> bool:
        """Whether its requests come from users who wait for answers: ``users``, not ``blocks``."""
        return self.conversation is not None or isinstance(self.arrivals, ClosedLoop)

    def mean_rps(self, until_s: float) -> float:
        """Return the expected requests in [0, *until_s*) per second of it, all turns counted.

        Turns that come after the end are counted too; an upper bound for a closed loop.
        """
        return self.arrivals.mean_rps(until_s) * self._requests_per_arrival

    def peak_rps(self, until_s: float) -> float:
        """Return the highest rate of requests in [0, *until_s*); see ``ArrivalProcess.peak_rps``.

        The turns of a conversation count as if they came at its beginning.
        """
        return self.arrivals.peak_rps(until_s) * self._requests_per_arrival

    @property
    def _requests_per_arrival(self) -> float:
        return 1.0 if self.conversation is None else max(self.conversation.turns.mean, 1.0)

    @property
    def mean_sizes(self) -> MeanSizes:
        """The mean sizes of its requests, tenants with sizes of their own included.

        Those of conversations count what each prompt repeats of the turns before it, and not that
        a conversation may end early for its length.
        """
        means = self._means_apart
        if self.conversation is None:
            return means
        turn_tokens = means.prompt_tokens - self._system_tokens + means.output_tokens
        repeated = self.conversation.earlier_turns_mean * turn_tokens
        return MeanSizes(means.prompt_tokens + repeated, means.output_tokens)

    @property
    def _system_tokens(self) -> float:
        """Mean tokens of a system prompt; 0 where there are none."""
        return 0.0 if self.sizes.prefixes is None else self.sizes.prefixes.tokens.mean

    @property
    def _means_apart(self) -> MeanSizes:
        """The mean sizes of requests that repeat nothing."""
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
        return MeanSizes(
            float(shares @ [each.prompt_mean for each in every]) + self._system_tokens,
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
        trace = self.arrivals.trace
        if trace is not None and trace.tenants is not None:
            return trace.tenants.names
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
        draws = _Draws(self, streams)
        for arrived in _arrivals(
            self.arrivals, self._regions, draws.generator, until_s, block_size
        ):
            yield draws.block(arrived)

    def users(self, streams: StreamSource, until_s: float, block_size: int = BLOCK) -> Users:
        """Return the users of a run; see ``fedsim.workload.reactive``.

        Args:
            streams: The random streams of the run.
            until_s: End of the arrivals in seconds.
            block_size: Most users drawn at once, >= 1; it changes no value.
        """
        if isinstance(self.arrivals, ClosedLoop):
            return LoopUsers(self, self.arrivals, streams, until_s)
        assert self.conversation is not None
        draws = _Draws(self, streams)
        begun = draws.begun(
            _arrivals(self.arrivals, self._regions, draws.generator, until_s, block_size)
        )
        return Sessions(self.conversation, draws.sizes, begun, streams, draws.luck, draws.generator)


class _Draws:
    """The draws of one pass through a stream's arrivals, each at the same arrival."""

    def __init__(self, traffic: Traffic, streams: StreamSource) -> None:
        def generator(purpose: str) -> np.random.Generator:
            return streams.generator(f"workload/{traffic.name}/{purpose}")

        tenants = traffic.tenants
        own_tokens = tenants.tokens if tenants is not None else ()
        self._streams = streams
        self._key = generator("key")
        self.generator: Generators = generator
        self.luck = StreamLuck(generator)
        self.sizes = SizeDraws(traffic.sizes, own_tokens, generator)
        self._origin_bounds = bounds([weight for _, weight in traffic.origins])
        self._tenant_bounds = None if tenants is None else bounds(tenants.shares)

    def block(self, arrived: Arrived) -> ArrivalBlock:
        """Return all that belongs to the next arrivals."""
        count = len(arrived.times_s)
        luck = self.luck.following(count)
        keys = self._key.integers(0, 2**64, size=count, dtype=np.uint64)
        origins, tenants = self._senders(arrived, luck)
        sizes = self.sizes.draw(luck, keys, tenants)
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
            luck = self.luck.following(len(arrived.times_s))
            yield Begun(arrived.times_s, *self._senders(arrived, luck))

    def _senders(self, arrived: Arrived, luck: Luck) -> tuple[Integers, Integers]:
        count = len(arrived.times_s)
        origins, tenants = arrived.origins, arrived.tenants
        if origins is None and arrived.origin_shares is not None:
            origins = pick_each(arrived.origin_shares, luck("origin"))
        elif origins is None:
            origins = _numbers(self._origin_bounds, "origin", luck, count)
        if tenants is None:
            tenants = _numbers(self._tenant_bounds, "tenant", luck, count)
        return origins, tenants


def _numbers(ends: NDArray[np.float64] | None, purpose: str, luck: Luck, count: int) -> Integers:
    """Return *count* numbers drawn by the shares that *ends* delimit, or as many unknowns."""
    if ends is None:
        return np.full(count, UNKNOWN, dtype=np.int64)
    if len(ends) == 1:
        return np.zeros(count, dtype=np.int64)
    return pick(ends, luck(purpose))


def _arrivals(
    arrivals: ArrivalProcess,
    regions: Sequence[str],
    generator: Generators,
    until_s: float,
    block_size: int,
) -> Iterator[Arrived]:
    """Yield what arrives in [0, *until_s*), with all that it brings along.

    Args:
        arrivals: The process.
        regions: The names of the origins, by number.
        generator: Gives the streams that it draws from.
        until_s: End of the arrivals in seconds.
        block_size: Most arrivals in a block.
    """
    if is_marked(arrivals):
        yield from arrivals.marked(generator, until_s, block_size)
        return
    trace, first = arrivals.trace, 0
    origins = None if trace is None else _recorded_origins(trace, regions)
    shares_at = arrivals.origin_shares(until_s) if has_zones(arrivals) else None
    for times_s in arrivals.times(generator("arrivals"), until_s, block_size):
        arrived = Arrived(times_s)
        if shares_at is not None:
            arrived.origin_shares = shares_at(times_s)
        if trace is not None:
            rows = slice(first, first + len(times_s))
            arrived.prompt_tokens = trace.prompt_tokens[rows]
            arrived.output_tokens = trace.output_tokens[rows]
            arrived.details = trace.prompts(rows)
            if trace.tenants is not None:
                arrived.tenants = trace.tenants.codes[rows]
            if origins is not None:
                arrived.origins = origins[rows]
        first += len(times_s)
        yield arrived


def _recorded_origins(trace: Trace, regions: Sequence[str]) -> Integers | None:
    """Return the number of the origin of each row, or None where the trace does not say."""
    if trace.origins is None:
        return None
    numbers = np.array([regions.index(name) for name in trace.origins.names], dtype=np.int64)
    return numbers[trace.origins.codes]


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
