"""Users who wait for an answer before they go on: closed loops and conversations.

Plain traffic arrives whatever becomes of it. A user sends a request (a *turn*), waits until it is
over, thinks, and sends the next. So the times of all turns but the first depend on who serves
them; everything else about a turn is a function of the seed, the stream, the user and the turn's
number alone, and two routers compared on one seed meet the same conversations.

This is what the world needs to know of such users, whom ``Traffic.users`` gives it. It lets user n,
counted from 0, send turn ``first_turn`` at the n-th of ``starts``, and turn k + 1 when turn k is
over and ``think_s`` of turn k has passed, unless that was the last one or arrivals have ended. A
turn that failed is followed like one that was served: the user asks on.

Users are in equilibrium from the start, as if they had always been there: some are under way at
time 0, in the middle of a gap between two turns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.details import Details


@dataclass(frozen=True, slots=True)
class Turn:
    """One request of a user.

    Attributes:
        origin: Where it comes from, as an index into ``Traffic.origins``; the same for all turns
            of a user.
        tenant: Who sends it, as a number from 0, or -1; the same for all turns of a user.
        prompt_tokens: Tokens of the prompt with all that it repeats, or -1 where unknown.
        output_tokens: Tokens of the answer, or -1 where unknown.
        key: The 64-bit key of the request, from which its draws follow.
        service_uniform: The uniform of its service at the first attempt, in (0, 1).
        details: What it is beyond its token counts, or None.
        think_s: From the end of this turn to the next one, in seconds, >= 0.
    """

    origin: int
    tenant: int
    prompt_tokens: int
    output_tokens: int
    key: int
    service_uniform: float
    details: Details | None
    think_s: float


class Users(Protocol):
    """The users of a stream in one run; users and turns are counted from 0."""

    def starts(self) -> Iterator[NDArray[np.float64]]:
        """Yield when users send their first turns in the run, in ascending blocks, none empty.

        It is called once, and a user is asked for only after its start has been yielded.
        """
        ...

    def turns(self, user: int) -> int | None:
        """Return how many turns *user* has, at least 1, or None for no end."""
        ...

    def first_turn(self, user: int) -> int:
        """Return the number of the turn with which *user* starts: 0, or more if under way."""
        ...

    def turn(self, user: int, turn: int) -> Turn:
        """Return turn number *turn* of *user*, who has taken all turns before it.

        Raises:
            LookupError: The user has fewer turns, or has been released.
        """
        ...

    def release(self, user: int) -> None:
        """Forget *user*, who has taken the last turn, or will take no other."""
        ...
