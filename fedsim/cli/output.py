"""What several commands share: JSON, where a result is written, and how to repeat it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from fedsim.document import Document
    from fedsim.report.parts import Saved
    from fedsim.reported import Reported
    from fedsim.scenario.spec import Scenario


def print_json(data: Any) -> None:
    """Print plain values as JSON, NaN as null."""
    from fedsim.results.manifest import json_text

    typer.echo(json_text(data))


def write_page(result: Reported, directory: Path, *, wanted: bool, silent: bool) -> None:
    """Write the report of a result as a page to its directory, if that is wanted."""
    if not wanted:
        return
    from fedsim.cli.progress import writing

    with writing(silent):
        result.report(directory)


def present(
    directory: Path,
    repeat: str,
    data: Callable[[], Mapping[str, Any]],
    report: Callable[[Saved], Document],
    *,
    quiet: bool,
    as_json: bool,
) -> None:
    """Print a result that was written: as JSON, its directory alone, or its report.

    Args:
        directory: Where it was written.
        repeat: The command line that gives it again.
        data: Gives the result as plain values.
        report: Gives its report.
        quiet: Whether to print the directory alone.
        as_json: Whether to print JSON.
    """
    if as_json:
        print_json({**data(), "directory": str(directory), "repeat": repeat})
    elif quiet:
        typer.echo(directory)
    else:
        from fedsim.cli.terminal import show
        from fedsim.report.parts import Saved
        from fedsim.results.rundir import REPORT

        show(report(Saved(directory, repeat, page=(directory / REPORT).exists())))


def result_directory(out: Path | None, scenario: Scenario, command: str) -> Path:
    """Return where to write, and refuse at once what must not be overwritten.

    Where no directory was named, that of the scenario's name and seed is replaced; a study of
    another scenario that is lost by that is named on standard error.

    Raises:
        ResultsError: The directory exists, holds something, and is not fedsim's.
    """
    from fedsim.results.rundir import SCENARIO, refuse_foreign

    path = out or Path("runs") / f"{scenario.name}-{command}-{scenario.seed}"
    refuse_foreign(path)
    if out is None and command != "run" and _is_of_another(path / SCENARIO, scenario):
        text = f"{path}/ holds the result of another scenario, which this one replaces;"
        typer.echo(f"{text} --out DIR would keep both.", err=True)
    return path


def _is_of_another(file: Path, scenario: Scenario) -> bool:
    """Return whether a saved scenario is another one, whatever its numbers of replications."""
    try:
        saved = file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    own, other = (
        [line for line in text.splitlines() if line.split(":")[0].strip() != "replications"]
        for text in (scenario.to_yaml(), saved)
    )
    return own != other


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
