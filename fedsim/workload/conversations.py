"""Conversations: sessions whose prompts grow turn by turn and share their beginnings.

The prompt of a turn is the system prompt, all earlier messages and answers, and the new message,
so nearly all of it was the prompt or the answer of the turn before, and a prefix cache that still
has that need only compute the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrived import Begun, Generators, Integers
from fedsim.workload.checks import not_negative
from fedsim.workload.counts import token_counts
from fedsim.workload.details import Prompt
from fedsim.workload.distributions import Distribution
from fedsim.workload.draws import TURN, Draws, KeyedDraws, StreamDraws
from fedsim.workload.equilibrium import POINTS, quantile_grid, rest_of_gaps_s
from fedsim.workload.popularity import bounds, pick
from fedsim.workload.prefixes import BLOCK_TOKENS, text
from fedsim.workload.reactive import Turn
from fedsim.workload.sizes import SizeDraws
from fedsim.workload.sources import StreamSource

Words = NDArray[np.uint64]
Floats = NDArray[np.float64]

TURNS_MOST = 10_000
"""Most turns of a conversation; a heavier tail is cut there."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """How the sessions of a stream go; its arrivals are their beginnings.

    The stream's token counts are those of a turn's new message and of its answer, and its system
    prompts are those of its sessions.

    Attributes:
        turns: Distribution of the number of turns, at least 1 after rounding.
        think_s: Distribution of the time from an answer to the next message, in seconds.
        max_context: Most tokens of a prompt and its answer together, >= 2, or None for no limit:
            a conversation ends before the turn that would exceed it. A first turn that would is
            cut to it, the answer last.
        block_tokens: Tokens of a block of a prompt, >= 1, where there are no system prompts.
    """

    turns: Distribution
    think_s: Distribution
    max_context: int | None = None
    block_tokens: int = BLOCK_TOKENS

    @property
    def earlier_turns_mean(self) -> float:
        """Mean number of turns before a turn, over all turns: ``E[T (T - 1)] / (2 E[T])``.

        Long conversations have more of the turns: with a cv of 1 and a mean of 5 it is 4.5, not 2.
        """
        turns = self.turns
        return max(((turns.cv**2 + 1.0) * turns.mean - 1.0) / 2.0, 0.0)

    def __post_init__(self) -> None:
        not_negative("a conversation", think=self.think_s.mean)
        if self.max_context is not None and self.max_context < 2:
            message = (
                f"the max_context of a conversation must be at least 2, not {self.max_context}"
            )
            raise ValueError(message)
        if self.block_tokens < 1:
            message = (
                f"the block_tokens of a conversation must be at least 1, not {self.block_tokens}"
            )
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class _Session:
    """A conversation before it begins: all that does not depend on who serves it."""

    origin: int
    tenant: int
    first_turn: int
    first_hash: int
    shared: tuple[int, ...]
    prompt_tokens: list[int]
    output_tokens: list[int]
    keys: list[int]
    service_uniforms: list[float]
    think_s: list[float]


@dataclass(frozen=True, slots=True)
class UnderWay:
    """What is known of the sessions that a stream is in the middle of at time 0.

    Attributes:
        rate_rps: Sessions that begin per second, as at time 0 so before.
        answer_s: About how long an answer takes, in seconds.
        until_s: End of the arrivals in seconds.
        begun: Gives users of the same kind, who begin until a time in seconds.
        generator: Gives the random streams that they are drawn from.
    """

    rate_rps: float
    answer_s: float
    until_s: float
    begun: Callable[[float], Iterator[Begun]]
    generator: Generators

    def senders(self, count: int) -> Begun | None:
        """Return *count* users of this kind, or None where there is none."""
        if not count:
            return None
        parts = list(self.begun(2.0 * count / self.rate_rps))
        if not parts:
            return None
        # Where fewer ever begin, those under way are like them, in turn.
        times_s, origins, tenants = (
            np.resize(np.concatenate([getattr(part, name) for part in parts]), count)
            for name in ("times_s", "origins", "tenants")
        )
        return Begun(times_s, origins, tenants)


class Sessions:
    """The sessions of a stream in one run, as ``fedsim.workload.reactive.Users``.

    A session is drawn when its start is, whole: the number of its turns, its region and its tenant
    are the n-th elements of their streams for the n-th session that begins, and all else of a turn
    is keyed by session and turn. Those under way at time 0 have streams of their own.

    Args:
        conversation: How they go.
        sizes: The sizes of messages and answers.
        begun: The beginnings of the sessions.
        streams: The random streams of the run.
        draws: Their uniforms.
        generator: Gives the random streams of this stream.
        under_way: Sessions that have begun before, or None for none.

    Attributes:
        turns_drawn: Turns of the sessions drawn until now, were there no longest context.
        turns_kept: Those that they have.
    """

    def __init__(
        self,
        conversation: Conversation,
        sizes: SizeDraws,
        begun: Iterator[Begun],
        streams: StreamSource,
        draws: StreamDraws,
        generator: Generators,
        under_way: UnderWay | None = None,
    ) -> None:
        self._conversation = conversation
        self._sizes = sizes
        self._begun = begun
        self._streams = streams
        self._draws = draws
        self._key = generator("key")
        self._sessions: dict[int, _Session] = {}
        self._drawn = 0
        self._under_way = under_way
        self.turns_drawn = self.turns_kept = 0

    def starts(self) -> Iterator[Floats]:
        """Yield when sessions begin, or go on, in ascending blocks; see ``Users.starts``."""
        times_s, waiting = self._going_on()
        for begun in self._begun:
            draws = self._draws.following(len(begun.times_s))
            turns = self._turns(draws("turns"))
            sessions = self._draw(begun, turns, np.zeros_like(turns), draws, self._key)
            count = int(np.searchsorted(times_s, begun.times_s[-1], side="right"))
            all_s = np.concatenate((times_s[:count], begun.times_s))
            yield self._numbered(all_s, waiting[:count] + sessions)
            times_s, waiting = times_s[count:], waiting[count:]
        if waiting:
            yield self._numbered(times_s, waiting)

    def _numbered(self, times_s: Floats, sessions: list[_Session]) -> Floats:
        """Number sessions in the order of their times, and return these in order."""
        order = np.argsort(times_s, kind="stable")
        for place in order.tolist():
            self._sessions[self._drawn] = sessions[place]
            self._drawn += 1
        return times_s[order]

    def turns(self, user: int) -> int:
        """Return how many turns session *user* has, at least 1."""
        return len(self._sessions[user].keys)

    def first_turn(self, user: int) -> int:
        """Return the number of the turn with which session *user* starts; see ``Users``."""
        return self._sessions[user].first_turn

    def turn(self, user: int, turn: int) -> Turn:
        """Return a turn of session *user*; see ``Users.turn``."""
        session = self._sessions[user]
        prompt_tokens, output_tokens = session.prompt_tokens[turn], session.output_tokens[turn]
        key = session.keys[turn]
        return Turn(
            origin=session.origin,
            tenant=session.tenant,
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            key=key,
            service_uniform=session.service_uniforms[turn],
            details=self._prompt(session, prompt_tokens, output_tokens, key),
            think_s=session.think_s[turn],
        )

    def release(self, user: int) -> None:
        """Forget session *user*."""
        del self._sessions[user]

    def _prompt(self, session: _Session, tokens: int, answer_tokens: int, key: int) -> Prompt:
        """Return the blocks of a prompt, the last its own unless it is full, and of its answer."""
        first, size = session.first_hash, self._block_tokens
        prompt = text(session.shared, tokens, first, size, key >> 2)
        said = range(first + tokens // size, first + (tokens + answer_tokens) // size + 1)
        return replace(prompt, answer=tuple(said))

    @property
    def _block_tokens(self) -> int:
        prompts = self._sizes.system_prompts
        return self._conversation.block_tokens if prompts is None else prompts.block_tokens

    def _turns(self, uniforms: Floats) -> Integers:
        return np.minimum(token_counts(self._conversation.turns, uniforms), TURNS_MOST)

    def _going_on(self) -> tuple[Floats, list[_Session]]:
        """Return when the sessions under way at time 0 go on, ascending, and these.

        By Little's law there are as many as begin in a session's time. One of T turns is met in
        proportion to its T - 1 gaps, in any of them, and the longer the gap, the sooner; one that
        ends before for its length is not met there.
        """
        under_way, conversation = self._under_way, self._conversation
        if under_way is None:
            return np.empty(0), []
        grid = self._turns((np.arange(POINTS) + 0.5) / POINTS)
        gap_s = float(quantile_grid(conversation.think_s).mean()) + under_way.answer_s
        met = under_way.rate_rps * float(np.mean(grid - 1)) * gap_s
        count = int(under_way.generator("number").poisson(met))
        who = under_way.senders(count)
        if who is None:
            return np.empty(0), []
        streams = StreamDraws(under_way.generator)
        draws = streams.following(count)
        turns = grid[pick(bounds((grid - 1).astype(np.float64)), draws("turns"))]
        first_turns = 1 + np.floor(draws("turn") * (turns - 1)).astype(np.int64)
        rest_s = rest_of_gaps_s(
            conversation.think_s, under_way.answer_s, draws("think"), draws("rest")
        )
        order = np.argsort(rest_s, kind="stable")
        order = order[rest_s[order] < under_way.until_s]
        begun = Begun(rest_s[order], who.origins[order], who.tenants[order])
        draws, key = streams.following(len(order)), under_way.generator("key")
        sessions = self._draw(begun, turns[order], first_turns[order], draws, key)
        kept = [number for number, each in enumerate(sessions) if each.first_turn < len(each.keys)]
        return begun.times_s[kept], [sessions[number] for number in kept]

    def _draw(
        self,
        begun: Begun,
        turns: Integers,
        first_turns: Integers,
        draws: Draws,
        key: np.random.Generator,
    ) -> list[_Session]:
        """Return the sessions of *begun*, of so many *turns* each."""
        count = len(begun.times_s)
        if not count:
            return []
        session_keys = key.integers(0, 2**64, size=count, dtype=np.uint64)
        system_tokens, shared = self._system_prompts(draws, count)
        ends = np.cumsum(turns)
        firsts = ends - turns
        keys = self._turn_keys(session_keys, turns, firsts)
        keyed = KeyedDraws(self._streams, keys)
        messages, answers = self._sizes.tokens(keyed, np.repeat(begun.tenants, turns))
        prompts = _grown(messages, answers, turns, firsts) + np.repeat(system_tokens, turns)
        kept = _kept(prompts, answers, turns, firsts, self._conversation.max_context)
        self.turns_drawn += int(turns.sum())
        self.turns_kept += int(kept.sum())
        thinks_s = self._conversation.think_s.quantiles(keyed("think"))
        uniforms = self._streams.service_uniforms(keys, 1)
        sessions = []
        for number, (first, length) in enumerate(zip(firsts.tolist(), kept.tolist(), strict=True)):
            rows = slice(first, first + length)
            session = _Session(
                origin=int(begun.origins[number]),
                tenant=int(begun.tenants[number]),
                first_turn=int(first_turns[number]),
                first_hash=int(session_keys[number]) >> 2,
                shared=shared[number],
                prompt_tokens=prompts[rows].tolist(),
                output_tokens=answers[rows].tolist(),
                keys=keys[rows].tolist(),
                service_uniforms=uniforms[rows].tolist(),
                think_s=thinks_s[rows].tolist(),
            )
            sessions.append(session)
        return sessions

    def _turn_keys(self, session_keys: Words, turns: Integers, firsts: Integers) -> Words:
        numbers = np.arange(int(turns.sum())) - np.repeat(firsts, turns)
        keys = np.repeat(session_keys, turns)
        return self._streams.keyed_words(keys, TURN, numbers.astype(np.uint64))

    def _system_prompts(self, draws: Draws, count: int) -> tuple[Integers, list[tuple[int, ...]]]:
        """Return the length of each session's system prompt, and the blocks inside it."""
        prompts = self._sizes.system_prompts
        if prompts is None:
            return np.zeros(count, dtype=np.int64), [()] * count
        chosen = prompts.chosen(draws)
        return prompts.tokens[chosen], [prompts.blocks[number] for number in chosen.tolist()]


def _grown(messages: Integers, answers: Integers, turns: Integers, firsts: Integers) -> Integers:
    """Return the tokens of each prompt: all messages and answers before it, and its own message."""
    texts = messages + answers
    before = np.cumsum(texts) - texts
    prompts: Integers = before - np.repeat(before[firsts], turns) + messages
    return prompts


def _kept(
    prompts: Integers, answers: Integers, turns: Integers, firsts: Integers, most: int | None
) -> Integers:
    """Return how many turns of each session fit into *most* tokens; cut the first one to it."""
    if most is None:
        return turns
    answers[firsts] = np.minimum(answers[firsts], most - 1)
    prompts[firsts] = np.minimum(prompts[firsts], most - answers[firsts])
    fits = prompts + answers <= most
    # Contexts grow turn by turn, but for a first one that was cut: what follows it is too long.
    kept: Integers = np.add.reduceat(fits.astype(np.int64), firsts)
    return kept
