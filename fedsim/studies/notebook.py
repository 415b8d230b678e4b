"""A bar in the notebook of this process, if there is one, which shows how far a study is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from fedsim.studies.progress import Progress, Tell

_LEAST_BETWEEN_S = 0.2


def notebook_bar() -> Tell | None:
    """Return what shows progress under the cell that runs; None outside a notebook."""
    ipython: Any = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if getattr(shell, "kernel", None) is None:  # a terminal has none
        return None
    return _Bar(ipython.display.display)


class _Bar:
    """Draws progress again and again in one place, but not more often than one can look.

    Args:
        display: IPython's own, which gives a handle by which the output is replaced.
    """

    def __init__(self, display: Callable[..., Any]) -> None:
        self._display = display
        self._handle: Any = None
        self._drawn_s = 0.0

    def __call__(self, progress: Progress) -> None:
        over, now_s = progress.done >= progress.runs, time.perf_counter()
        if not over and self._handle is not None and now_s < self._drawn_s + _LEAST_BETWEEN_S:
            return
        self._drawn_s = now_s
        drawn = {"text/plain": str(progress), "text/html": _html(progress)}
        if self._handle is None:
            self._handle = self._display(drawn, raw=True, display_id=True)
        else:
            self._handle.update(drawn, raw=True)


def _html(progress: Progress) -> str:
    text = str(progress)
    bar = f'<progress value="{progress.done:.2f}" max="{progress.runs}">{text}</progress>'
    return f"<div>{bar} {text}</div>"
