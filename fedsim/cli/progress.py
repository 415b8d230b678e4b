"""The progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fedsim.studies.progress import Progress


@contextmanager
def progress_bar(quiet: bool, doing: str = "simulating") -> Iterator[Callable[[Progress], None]]:
    """Yield what to call with how far the work is.

    The bar is on standard error, where that is a terminal: runs done, failed, per second, and the
    time that is left.

    Args:
        quiet: Whether to show nothing.
        doing: What is done where there is one run.
    """
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    shown = not quiet and console.is_terminal
    bar = Bar(
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
        disable=not shown,
    )
    task = bar.add_task("starting", total=None)

    def report(progress: Progress) -> None:
        one = f"{doing}, {progress.left}" if progress.left else doing
        what = str(progress) if progress.runs > 1 or progress.fleets else one
        runs = None if progress.fleets else progress.runs  # how many a plan takes is not known
        bar.update(task, description=what, completed=progress.done, total=runs)

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
