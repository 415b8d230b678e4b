"""The options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

ScenarioPath = Annotated[
    Path, typer.Argument(metavar="SCENARIO", help="The scenario file.", show_default=False)
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Override a value, such as pools.us-chat.count=6. Repeatable.",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, metavar="N", help="The seed, in place of the scenario's."),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Where to write; default runs/NAME-COMMAND-SEED."),
]
Fresh = Annotated[
    bool,
    typer.Option("--fresh", help="Remove what DIR holds, rather than go on with it."),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, metavar="N", help="Processes; default one per processor."),
]
Dask = Annotated[
    str | None,
    typer.Option(
        "--dask", metavar="ADDRESS", help="Run on the Dask cluster of a scheduler (extra dask)."
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print the directory alone, and no progress.")
]
Report = Annotated[
    bool,
    typer.Option("--report", help="Write the report as a page too, to DIR/report.html."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def parsed(overrides: list[str] | None) -> dict[str, object]:
    """Return the overrides by path.

    Raises:
        ScenarioError: One is not of the form PATH=VALUE; it holds the problems of all.
    """
    from fedsim.errors import Problem, ScenarioError
    from fedsim.scenario.overrides import parse_assignment

    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for text in overrides or []:
        try:
            path, value = parse_assignment(text)
        except ScenarioError as error:
            problems += error.problems
        else:
            values[path] = value
    if problems:
        raise ScenarioError(problems)
    return values
