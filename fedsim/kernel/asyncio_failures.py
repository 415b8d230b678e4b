"""What asyncio code did wrong without anyone noticing: lost failures, ignored cancellations."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from fedsim.errors import PlugInError
from fedsim.kernel.asyncio_tasks import SimTask, origin

if TYPE_CHECKING:
    from fedsim.kernel.environment import Environment


@dataclass(frozen=True, slots=True)
class Unhandled:
    """A failure that no code took notice of.

    Attributes:
        name: The task's name and function, or asyncio's words for the callback that failed.
        time_s: Simulated time in seconds at which it failed.
        exception: What was raised.
    """

    name: str
    time_s: float
    exception: BaseException


class Failures:
    """The failures of one loop that nothing handled.

    asyncio reports the exception of a task when the task is dropped and nothing had asked for it.
    A task that a cycle of references keeps alive would be reported whenever the garbage collector
    comes along, or never; `raise_first` finds those too.

    Attributes:
        unhandled: The failures, in the order of their discovery.
        ignored_cancellations: How often a task that was abandoned (a deadline had passed) went on
            or failed nevertheless, by name.
    """

    def __init__(self, env: Environment) -> None:
        self.unhandled: list[Unhandled] = []
        self.ignored_cancellations: dict[str, int] = {}
        self._env = env
        self._keys = count()
        self._failed: WeakValueDictionary[int, asyncio.Task[Any]] = WeakValueDictionary()

    def watch(self, task: asyncio.Task[Any]) -> None:
        """Remember a task that has ended, if it failed, without keeping it alive."""
        if not task.cancelled() and task._exception is not None:
            self._failed[next(self._keys)] = task
            if isinstance(task, SimTask):
                task.failed_s = self._env.now

    def report(self, context: Mapping[str, Any]) -> bool:
        """Record a context of asyncio's exception handler; return whether it is the first failure.

        What comes without an exception, such as a pending task that is dropped, is no failure, and
        an abandoned task was judged when it ended.
        """
        error = context.get("exception")
        task = context.get("task") or context.get("future")
        if error is None or (isinstance(task, SimTask) and task.abandoned_s is not None):
            return False
        name = origin(task) if isinstance(task, asyncio.Task) else str(context["message"])
        self.unhandled.append(Unhandled(name, self._when(task), error))
        return len(self.unhandled) == 1

    def judge_abandoned(self, task: asyncio.Task[Any], abandoned_s: float) -> None:
        """Count a task that has ended after it was cancelled, unless it ended as asked."""
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self.count_ignored(f"{task.get_name()}: raised {type(error).__name__}")
        elif self._env.now > abandoned_s:
            self.count_ignored(task.get_name())

    def count_ignored(self, name: str) -> None:
        """Count a task that did not end when it was cancelled."""
        self.ignored_cancellations[name] = self.ignored_cancellations.get(name, 0) + 1

    def _when(self, task: object) -> float:
        """Return when a task failed; now where that was not noted."""
        failed_s = task.failed_s if isinstance(task, SimTask) else None
        return self._env.now if failed_s is None else failed_s

    def raise_first(self) -> None:
        """Raise the first failure, if there is one, with what was raised as its cause.

        Raises:
            PlugInError: There is one.
        """
        for task in list(self._failed.values()):
            if task._log_traceback:
                error = task.exception()
                assert error is not None
                self.unhandled.append(Unhandled(origin(task), self._when(task), error))
        if self.unhandled:
            first = self.unhandled[0]
            problem = f"failed with {first.exception!r}, and nothing awaited the result"
            raise PlugInError(first.name, problem, time_s=first.time_s) from first.exception
