"""What every command prints: headings, sentences, JSON, where it wrote and how to repeat it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console


def stdout() -> Console:
    """Return the console for results, 80 columns wide where there is no terminal."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, soft_wrap=False)


def heading(console: Console, text: str) -> None:
    """Print a heading with an empty line before it."""
    from rich.text import Text

    console.print()
    console.print(Text(_filled(console, text, "", ""), style="bold"), soft_wrap=True)


def paragraph(console: Console, text: str, style: str = "") -> None:
    """Print a text, wrapped between words."""
    from rich.text import Text

    console.print(Text(_filled(console, text, "", ""), style=style), soft_wrap=True)


def sentences(console: Console, texts: Iterable[str], style: str = "") -> None:
    """Print texts as a list, wrapped between words."""
    from rich.text import Text

    for text in texts:
        console.print(Text(_filled(console, text, "  - ", "    "), style=style), soft_wrap=True)


def _filled(console: Console, text: str, first: str, other: str) -> str:
    return fill(
        text,
        max(console.width, 20),
        initial_indent=first,
        subsequent_indent=other,
        break_long_words=False,
        break_on_hyphens=False,
    )


def print_json(data: Any) -> None:
    """Print plain values as JSON, NaN as null."""
    from fedsim.results.manifest import jsonable

    typer.echo(json.dumps(jsonable(data), indent=2, ensure_ascii=False, allow_nan=False))


def result_directory(out: Path | None, name: str, command: str, seed: int) -> Path:
    """Return where to write, and refuse at once what must not be overwritten.

    Raises:
        ResultsError: The directory exists, holds something, and is not fedsim's.
    """
    from fedsim.results.rundir import refuse_foreign

    path = out or Path("runs") / f"{name}-{command}-{seed}"
    refuse_foreign(path)
    return path


def repeat_command(
    command: str,
    scenario: Path,
    seed: int,
    overrides: Sequence[str] | None,
    out: Path | None,
    *more: str,
) -> str:
    """Return the command line that gives the same result again."""
    words = ["fedsim", command, str(scenario), "--seed", str(seed)]
    for text in overrides or []:
        words += ["--set", text]
    words += more
    if out is not None:
        words += ["--out", str(out)]
    return shlex.join(words)


def closing(console: Console, directory: Path, contents: str, repeat: str) -> None:
    """Print where the result lies and the command that repeats it, which is never broken."""
    console.print()
    console.print(f"Written to {directory}/ ({contents}).", soft_wrap=True)
    console.print("Again with:", repeat, soft_wrap=True)
