"""Something that a node does at a time which may still change."""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heappush

from simpy.events import NORMAL

from fedsim.kernel.environment import Environment, LightEvent


class Due(LightEvent):
    """Calls *action* when it is due; an entry of the queue for another time does nothing.

    Attributes:
        due_s: When it is due, in seconds; infinite while it is not.
    """

    __slots__ = ("_action", "_env", "due_s")

    def __init__(self, env: Environment, action: Callable[[], None]) -> None:
        self._env = env
        self._action = action
        self.due_s = math.inf

    def process(self) -> None:
        """Call the action, if it is due."""
        if self._env._now == self.due_s:
            self.due_s = math.inf
            self._action()

    def schedule(self, due_s: float) -> None:
        """Call the action at *due_s* seconds, and no more at the time set before."""
        self.due_s = due_s
        env = self._env
        heappush(env._queue, (due_s, NORMAL, next(env._eid), self))

    def cancel(self) -> None:
        """Do not call the action."""
        self.due_s = math.inf
