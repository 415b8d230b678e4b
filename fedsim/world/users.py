"""Sources of users who wait for an answer before they go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fedsim.kernel.environment import Environment, LightEvent
from fedsim.workload.reactive import Users
from fedsim.world.source import Arrive

if TYPE_CHECKING:
    from fedsim.world.live import LiveRequest

LEAST_TURN_S = 0.001
"""A request that failed in no time is followed by the next one this much later at the earliest.

Otherwise a user without a think time, whom a gateway turns away at once, would stop the clock.
"""


class UserSource(LightEvent):
    """The users of one stream, as they come; one entry of the queue for those who have not begun.

    Each of the others has at most one request or one entry of the queue.

    Args:
        env: The environment.
        code: Code of the stream.
        users: The users.
        until_s: Arrivals stop at this time, in seconds.
        regions: Code of the region of each of the stream's origins.
        stretch: Gives by how much round trips are stretched, for the key of a request.
        arrive: Is called for every arrival.
    """

    __slots__ = (
        "_arrive",
        "_begun",
        "_code",
        "_env",
        "_next",
        "_regions",
        "_sent",
        "_starts",
        "_starts_s",
        "_stretch",
        "_until_s",
        "_users",
    )

    def __init__(
        self,
        env: Environment,
        code: int,
        users: Users,
        until_s: float,
        regions: list[int],
        stretch: Callable[[int], float],
        arrive: Arrive,
    ) -> None:
        self._env = env
        self._users = users
        self._until_s = until_s
        self._code = code
        self._regions = regions
        self._stretch = stretch
        self._arrive = arrive
        self._starts = users.starts()
        self._starts_s: list[float] = []
        self._next = 0
        self._begun = 0
        self._sent = -1  # number of the last request

    def start(self) -> None:
        """Await the first user."""
        self._await_next()

    def process(self) -> None:
        """Await the next user, and let this one begin."""
        user = _User(self, self._begun, self._users.first_turn(self._begun))
        self._begun += 1
        self._await_next()
        user.process()

    def send(self, user: _User) -> None:
        """Let the request of a user's present turn arrive now."""
        turn = self._users.turn(user.number, user.turn)
        user.think_s = turn.think_s
        self._sent += 1
        self._arrive(
            self._code,
            self._sent,
            self._regions[turn.origin],
            self._env.now,
            turn.tenant,
            turn.prompt_tokens,
            turn.output_tokens,
            turn.key,
            turn.service_uniform,
            self._stretch(turn.key),
            turn.details,
            user.request_over,
            user.number,
            user.turn,
        )

    def go_on(self, user: _User, live: LiveRequest) -> None:
        """Await the next request of a user whose request *live* is over, if there is one."""
        next_s = self._env.now + user.think_s
        if next_s == live.arrived_s:
            next_s += LEAST_TURN_S
        user.turn += 1
        turns = self._users.turns(user.number)
        if (turns is not None and user.turn >= turns) or next_s >= self._until_s:
            self._users.release(user.number)
        else:
            self._env.push(user, next_s)

    def _await_next(self) -> None:
        if self._next == len(self._starts_s):
            block = next(self._starts, None)
            if block is None:
                return
            self._starts_s, self._next = block.tolist(), 0
        self._env.push(self, self._starts_s[self._next])
        self._next += 1


class _User(LightEvent):
    """A user who has begun: the entry of the queue that ends a time of thinking."""

    __slots__ = ("_source", "number", "think_s", "turn")

    def __init__(self, source: UserSource, number: int, turn: int) -> None:
        self._source = source
        self.number = number
        self.turn = turn
        self.think_s = 0.0

    def process(self) -> None:
        """Send the next request."""
        self._source.send(self)

    def request_over(self, live: LiveRequest, outcome: str) -> None:
        """Go on, whatever came of the request."""
        self._source.go_on(self, live)
