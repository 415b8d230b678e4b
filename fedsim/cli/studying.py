"""What the commands that run studies share: workers, progress, interruption, and the directory."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fedsim.cli.failures import going_on
from fedsim.cli.progress import progress_bar, writing


class _Saves(Protocol):
    def save(self, directory: str | os.PathLike[str]) -> Path:
        """Write it to *directory*."""
        ...


S = TypeVar("S", bound=_Saves)


def run_study(
    study: Callable[..., S],
    directory: Path,
    repeat: str,
    *,
    fresh: bool,
    workers: int | None,
    dask: str | None,
    silent: bool,
) -> S:
    """Run a study and write it to its directory.

    Args:
        study: Runs it, given ``workers``, ``executor``, ``directory``, ``fresh`` and ``progress``.
        directory: Where its runs go.
        repeat: The command line that repeats it.
        fresh: Whether to start over.
        workers: Number of processes, or None for one per processor.
        dask: Address of a Dask cluster to run on, or None.
        silent: Whether to show no progress.
    """
    from fedsim.studies.dask_cluster import cluster

    with (
        cluster(dask, workers) as executor,
        progress_bar(silent) as report,
        going_on(repeat, directory),
    ):
        how: dict[str, Any] = {"workers": workers, "executor": executor, "progress": report}
        result = study(directory=directory, fresh=fresh, **how)
    with writing(silent):
        result.save(directory)
    return result
