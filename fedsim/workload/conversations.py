"""Conversations: sessions whose prompts grow turn by turn and share their beginnings.

The prompt of a turn is the system prompt, all earlier messages and answers, and the new message,
so nearly all of it was the prompt or the answer of the turn before, and a prefix cache that still
has that need only compute the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrived import Begun, Generators, Integers
from fedsim.workload.checks import not_negative
from fedsim.workload.counts import token_counts
from fedsim.workload.details import Prompt
from fedsim.workload.distributions import Distribution
from fedsim.workload.luck import TURN, KeyedLuck, Luck, StreamLuck
from fedsim.workload.prefixes import BLOCK_TOKENS, text
from fedsim.workload.reactive import Turn
from fedsim.workload.sizes import SizeDraws
from fedsim.workload.sources import StreamSource

Words = NDArray[np.uint64]

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
    first_index: int
    first_hash: int
    shared: tuple[int, ...]
    prompt_tokens: list[int]
    output_tokens: list[int]
    keys: list[int]
    service_uniforms: list[float]
    think_s: list[float]


class Sessions:
    """The sessions of a stream in one run, as ``fedsim.workload.reactive.Users``.

    A session is drawn when its start is, whole: the number of its turns, its region and its tenant
    are the n-th elements of their streams for the n-th session, and all else of a turn is keyed by
    session and turn.

    Args:
        conversation: How they go.
        draws: The sizes of messages and answers.
        begun: The beginnings of the sessions.
        streams: The random streams of the run.
        luck: Their uniforms.
        generator: Gives the random streams of this stream.
    """

    def __init__(
        self,
        conversation: Conversation,
        draws: SizeDraws,
        begun: Iterator[Begun],
        streams: StreamSource,
        luck: StreamLuck,
        generator: Generators,
    ) -> None:
        self._conversation = conversation
        self._draws = draws
        self._begun = begun
        self._streams = streams
        self._luck = luck
        self._key = generator("key")
        self._sessions: dict[int, _Session] = {}
        self._drawn = 0
        self._indices = 0

    def starts(self) -> Iterator[NDArray[np.float64]]:
        """Yield the times at which sessions begin, in ascending blocks; see ``Users.starts``."""
        for begun in self._begun:
            self._draw(begun)
            yield begun.times_s

    def turns(self, user: int) -> int:
        """Return how many turns session *user* has, at least 1."""
        return len(self._sessions[user].keys)

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

    def index(self, user: int, turn: int) -> int:
        """Return the number of the request: sessions one after the other, turn by turn."""
        return self._sessions[user].first_index + turn

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
        prompts = self._draws.system_prompts
        return self._conversation.block_tokens if prompts is None else prompts.block_tokens

    def _draw(self, begun: Begun) -> None:
        """Draw the sessions that begin at *begun*."""
        count = len(begun.times_s)
        luck = self._luck.following(count)
        session_keys = self._key.integers(0, 2**64, size=count, dtype=np.uint64)
        turns = np.minimum(token_counts(self._conversation.turns, luck("turns")), TURNS_MOST)
        system_tokens, shared = self._system_prompts(luck, count)
        ends = np.cumsum(turns)
        firsts = ends - turns
        keys = self._turn_keys(session_keys, turns, firsts)
        keyed = KeyedLuck(self._streams, keys)
        messages, answers = self._draws.tokens(keyed, np.repeat(begun.tenants, turns))
        prompts = _grown(messages, answers, turns, firsts) + np.repeat(system_tokens, turns)
        kept = _kept(prompts, answers, turns, firsts, self._conversation.max_context)
        thinks_s = self._conversation.think_s.quantiles(keyed("think"))
        uniforms = self._streams.service_uniforms(keys, 1)
        for number, (first, length) in enumerate(zip(firsts.tolist(), kept.tolist(), strict=True)):
            rows = slice(first, first + length)
            self._sessions[self._drawn + number] = _Session(
                origin=int(begun.origins[number]),
                tenant=int(begun.tenants[number]),
                first_index=self._indices,
                first_hash=int(session_keys[number]) >> 2,
                shared=shared[number],
                prompt_tokens=prompts[rows].tolist(),
                output_tokens=answers[rows].tolist(),
                keys=keys[rows].tolist(),
                service_uniforms=uniforms[rows].tolist(),
                think_s=thinks_s[rows].tolist(),
            )
            self._indices += length
        self._drawn += count

    def _turn_keys(self, session_keys: Words, turns: Integers, firsts: Integers) -> Words:
        numbers = np.arange(int(turns.sum())) - np.repeat(firsts, turns)
        keys = np.repeat(session_keys, turns)
        return self._streams.keyed_words(keys, TURN, numbers.astype(np.uint64))

    def _system_prompts(self, luck: Luck, count: int) -> tuple[Integers, list[tuple[int, ...]]]:
        """Return the length of each session's system prompt, and the blocks inside it."""
        prompts = self._draws.system_prompts
        if prompts is None:
            return np.zeros(count, dtype=np.int64), [()] * count
        chosen = prompts.chosen(luck)
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
