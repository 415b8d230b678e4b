"""The progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(quiet: bool, doing: str = "simulating") -> Iterator[Callable[[float, int], None]]:
    """Yield what to call with the number of runs that are done, and of all.

    The bar and the time that is left are on standard error, where that is a terminal.

    Args:
        quiet: Whether to show nothing.
        doing: What is done where there is one run.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    )
    task = bar.add_task("starting", total=None)

    def report(done: float, runs: int) -> None:
        what = doing if runs == 1 else f"{int(done)} of {runs} runs"
        bar.update(task, description=what, completed=done, total=runs)

    with bar:
        yield report


@contextmanager
def writing(quiet: bool) -> Iterator[None]:
    """Say on standard error, where that is a terminal, that tables and charts are written."""
    from rich.console import Console

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield
    else:
        with console.status("writing tables and charts"):
            yield
