"""Which event loop is the running one while the code of a plug-in is stepped."""

from __future__ import annotations

import sys
from asyncio import _get_running_loop, _set_running_loop, current_task
from asyncio.tasks import _enter_task, _leave_task

from fedsim.kernel.asyncio_tasks import HostLoop


class Installed:
    """Makes a loop the running one, and gives back what was there: nothing, or another loop.

    The finalizer of asynchronous generators goes with it, or a notebook's loop would close the
    generators of the simulation, in its own time. From Python 3.14 on the current task belongs to
    the thread and no longer to the loop, so that of the other loop is parked as well.
    """

    __slots__ = ("_hooks", "_loop", "_outer", "_outer_task")

    def __init__(self, loop: HostLoop) -> None:
        self._loop = loop

    def __enter__(self) -> None:
        loop = self._loop
        self._hooks = sys.get_asyncgen_hooks()
        self._outer = outer = _get_running_loop()
        self._outer_task = None
        if outer is not None:
            self._outer_task = task = current_task(outer)
            if task is not None:
                _leave_task(outer, task)
        sys.set_asyncgen_hooks(None, loop.close_generator)
        _set_running_loop(loop)
        loop.inside = True

    def __exit__(self, *_error: object) -> None:
        self._loop.inside = False
        outer = self._outer
        _set_running_loop(outer)
        sys.set_asyncgen_hooks(*self._hooks)
        if outer is not None and self._outer_task is not None:
            _enter_task(outer, self._outer_task)


class AlreadyInstalled:
    """In place of `Installed` where the loop is the running one already."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_error: object) -> None:
        pass


ALREADY_INSTALLED = AlreadyInstalled()
"""All that is needed within `Installed`."""
