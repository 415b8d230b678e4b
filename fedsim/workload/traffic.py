"""Traffic: everything about a stream's requests that does not depend on who serves them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from fedsim.workload.arrival_blocks import ArrivalBlock, ArrivalDraws
from fedsim.workload.arrivals import BLOCK, ArrivalProcess, ClosedLoop
from fedsim.workload.arrived import Begun, is_marked
from fedsim.workload.checks import not_negative
from fedsim.workload.marks import arriving, brings_tokens, brought_means
from fedsim.workload.mean_sizes import MeanSizes
from fedsim.workload.sizes import Sizes
from fedsim.workload.sources import StreamSource
from fedsim.workload.tenants import Senders

if TYPE_CHECKING:
    from fedsim.workload.conversations import Conversation
    from fedsim.workload.reactive import Users

_NO_SIZES = Sizes()

_INSTANT_S = 0.001
"""The rate at time 0 is that of this time, in seconds."""


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
            given next to arrivals that bring theirs.
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
        if drawn and brings_tokens(self.arrivals):
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
        if brings_tokens(self.arrivals):
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
        if brings_tokens(self.arrivals):
            brought = brought_means(self.arrivals)
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
        belongs to the n-th arrival. So a stream that gets tenants keeps its times, sizes and draws.

        Args:
            streams: The random streams of the run.
            until_s: End of the arrivals in seconds.
            block_size: Most arrivals in a block, >= 1; it changes no value.
        """
        draws = ArrivalDraws(self, streams)
        for arrived in arriving(
            self.arrivals, self.name, self._regions, draws.generator, until_s, block_size
        ):
            yield draws.block(arrived)

    def users(
        self,
        streams: StreamSource,
        until_s: float,
        block_size: int = BLOCK,
        answer_s: float = 0.0,
    ) -> Users:
        """Return the users of a run; see ``fedsim.workload.reactive``.

        Args:
            streams: The random streams of the run.
            until_s: End of the arrivals in seconds.
            block_size: Most users drawn at once, >= 1; it changes no value.
            answer_s: About how long an answer takes, in seconds, by which those are drawn who are
                under way at time 0.
        """
        if isinstance(self.arrivals, ClosedLoop):
            from fedsim.workload.closed_loop import LoopUsers

            return LoopUsers(self, self.arrivals, streams, until_s, answer_s)
        from fedsim.workload.conversations import Sessions, UnderWay

        assert self.conversation is not None
        draws, others = ArrivalDraws(self, streams), ArrivalDraws(self, streams, "under_way/")

        def begun(these: ArrivalDraws, until_s: float) -> Iterator[Begun]:
            generator = these.generator
            return these.begun(
                arriving(self.arrivals, self.name, self._regions, generator, until_s, block_size)
            )

        under_way = UnderWay(
            self.arrivals.mean_rps(_INSTANT_S),
            answer_s,
            until_s,
            partial(begun, others),
            others.generator,
        )
        return Sessions(
            self.conversation,
            draws.sizes,
            begun(draws, until_s),
            streams,
            draws.draws,
            draws.generator,
            under_way,
        )
