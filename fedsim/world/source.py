"""Sources: the requests of a stream, as they arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from fedsim.kernel.environment import Environment, LightEvent
from fedsim.workload.arrival_blocks import ArrivalBlock
from fedsim.workload.details import Details
from fedsim.world.live import OnOver


class Arrive(Protocol):
    """Lets a request arrive now."""

    def __call__(
        self,
        stream: int,
        index: int,
        origin: int,
        arrived_s: float,
        tenant: int,
        prompt_tokens: int,
        output_tokens: int,
        key: int,
        service_uniform: float,
        stretch: float,
        details: Details | None = None,
        on_over: OnOver | None = None,
        user: int = -1,
        turn: int = -1,
    ) -> None:
        """Let request *index* of *stream* arrive.

        Args:
            stream: Code of the stream.
            index: The request's number in it, from 0.
            origin: Code of the region.
            arrived_s: The present time, in seconds.
            tenant: Who sends it, as a number from 0, or -1.
            prompt_tokens: Tokens of the prompt, or -1.
            output_tokens: Tokens of the answer, or -1.
            key: The 64-bit key of its draws.
            service_uniform: The uniform of its service at the first attempt.
            stretch: By how much its first attempt's round trip is stretched.
            details: What it is beyond its token counts, or None.
            on_over: Is called with it and its outcome when it is over, within a step of its task:
                a request that follows from it arrives through the queue.
            user: Which user or session of the stream sends it, from 0, or -1.
            turn: Its number among theirs, from 0, or -1.
        """
        ...


class Source(LightEvent):
    """The arrivals of one stream, drawn in blocks; one entry of the queue at a time.

    Args:
        env: The environment.
        code: Code of the stream.
        blocks: Its arrivals.
        regions: Code of the region of each of the stream's origins.
        stretches: Gives by how much round trips are stretched, for the keys of a block.
        arrive: Is called for every arrival.
    """

    __slots__ = (
        "_arrive",
        "_block",
        "_blocks",
        "_code",
        "_env",
        "_first",
        "_next",
        "_regions",
        "_stretches",
        "_stretches_of",
    )

    def __init__(
        self,
        env: Environment,
        code: int,
        blocks: Iterator[ArrivalBlock],
        regions: list[int],
        stretches: Callable[[Sequence[int]], list[float]],
        arrive: Arrive,
    ) -> None:
        self._env = env
        self._code = code
        self._regions = regions
        self._arrive = arrive
        self._blocks = blocks
        self._block: ArrivalBlock | None = None
        self._stretches_of = stretches
        self._stretches: list[float] = []
        self._first = 0
        self._next = 0

    def start(self) -> None:
        """Await the first arrival."""
        self._load()

    def process(self) -> None:
        """Await the next arrival, and let this one arrive."""
        block, place, stretches = self._block, self._next, self._stretches
        assert block is not None
        index = self._first + place
        following = place + 1
        if following < len(block.times_s):
            self._next = following
            env = self._env
            env.push(self, block.times_s[following])
        else:
            self._first += place + 1
            self._load()
        origin = self._regions[block.origins[place]]
        self._arrive(
            self._code,
            index,
            origin,
            block.times_s[place],
            block.tenants[place],
            block.prompt_tokens[place],
            block.output_tokens[place],
            block.keys[place],
            block.service_uniforms[place],
            stretches[place],
            None if block.details is None else block.details[place],
        )

    def _load(self) -> None:
        """Draw the next block, and await its first arrival."""
        self._next = 0
        self._block = block = next((block for block in self._blocks if len(block)), None)
        if block is not None:
            self._stretches = self._stretches_of(block.keys)
            self._env.push(self, block.times_s[0])
