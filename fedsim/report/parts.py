"""What reports have in common: warnings, and where a result was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedsim.document import Block, Chart, Code, Heading, Sentence
from fedsim.results.rundir import REPORT

FAILED_RUNS = "failed/: why a run came to nothing"
"""What a study's directory has where a run failed."""


@dataclass(frozen=True, slots=True)
class Saved:
    """Where a result was written, and the command that gives it again.

    Attributes:
        directory: Where it was written.
        repeat: The command line.
        page: Whether its report is there as a page.
    """

    directory: Path
    repeat: str
    page: bool = False


def warnings_of(texts: Sequence[str]) -> list[Block]:
    """Return the list of warnings under its heading, or nothing without any."""
    if not texts:
        return []
    return [Heading("Warnings"), *(Sentence(text, "warning", item=True) for text in texts)]


def closing(
    saved: Saved, contents: Sequence[str], charts: Sequence[tuple[str, str]]
) -> list[Block]:
    """Return where a result lies, what is in it, and the command that repeats it.

    Args:
        saved: Where it was written.
        contents: A sentence per kind of file.
        charts: File name and title of each chart.
    """
    folder = saved.directory
    page = [f"{REPORT}: this report as a page, with its charts"] if saved.page else []
    return [
        Heading(f"Written to {folder}/"),
        *(Sentence(text, item=True) for text in (*contents, *page)),
        *(Chart(title, (folder / "charts" / name).as_posix()) for name, title in charts),
        Heading("Repeat with"),
        Code(saved.repeat, "shell"),
    ]
