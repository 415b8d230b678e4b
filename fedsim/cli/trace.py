"""``fedsim trace``: what is in a recorded trace, before a scenario replays it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedsim.cli.failures import reported
from fedsim.cli.options import Json
from fedsim.cli.output import print_json

if TYPE_CHECKING:
    from fedsim.workload.describe import Description
    from fedsim.workload.traces.formats import Columns
    from fedsim.workload.traces.trace import Trace

TracePath = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="The trace, gzipped or not.", show_default=False),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="azure, burstgpt, mooncake, bailian, csv, jsonl or parquet; default: by its content.",
    ),
]
ColumnNames = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="FIELD=COLUMN,…",
        help="Columns of your own file, such as time=t,prompt_tokens=in.",
    ),
]
ChartPath = Annotated[
    Path | None, typer.Option("--out", metavar="FILE.png", help="Draw a chart into this file.")
]


def trace(
    file: TracePath,
    form: Format = None,
    columns: ColumnNames = None,
    out: ChartPath = None,
    as_json: Json = False,
) -> None:
    """Describe a recorded trace: rate, bursts, sizes, and what its prompts have in common."""
    with reported():
        from fedsim.workload.describe import describe
        from fedsim.workload.traces.formats import recognised
        from fedsim.workload.traces.reading import read_trace

        chosen = _columns(columns)
        _check(form, columns, out)
        with _reading(file, as_json):
            form = form or recognised(str(file))
            requests = read_trace(file, form, chosen)
        found = describe(requests)
        if out is not None:
            _draw(requests, file, out)
        if as_json:
            chart = None if out is None else str(out)
            print_json(_json(file, form, requests, found) | {"chart": chart})
            return
        from fedsim.cli.terminal import show
        from fedsim.report.trace import trace_report

        show(trace_report(file, form, requests, found, out))


def _columns(text: str | None) -> Columns:
    """Return the columns that the option names.

    Raises:
        ScenarioError: It names something else.
    """
    from dataclasses import fields

    from fedsim.errors import Problem, ScenarioError
    from fedsim.scenario.schema.base import suggestion
    from fedsim.workload.traces.formats import Columns

    known = [each.name for each in fields(Columns)]
    names: dict[str, str] = {}
    problems = []
    for part in (text or "").split(",") if text else []:
        field, sign, column = part.partition("=")
        if not (sign and column.strip()):
            message, remedy = f"{part!r} names no column.", "Write FIELD=COLUMN,FIELD=COLUMN."
            problems.append(Problem(message, remedy, path="--columns"))
        elif field.strip() not in known:
            message = f"There is no field {field.strip()!r}."
            problems.append(Problem(message, suggestion(field.strip(), known), path="--columns"))
        else:
            names[field.strip()] = column.strip()
    if problems:
        raise ScenarioError(problems)
    return Columns(**names)


def _check(form: str | None, columns: str | None, out: Path | None) -> None:
    """Refuse options that cannot be.

    Raises:
        ScenarioError: The format is unknown or has columns of its own, or no chart can be written.
    """
    from fedsim.errors import Problem, ScenarioError
    from fedsim.scenario.schema.base import suggestion
    from fedsim.workload.traces.formats import FORMATS, OWN_FORMATS

    problems = []
    if form is not None and form not in FORMATS:
        message = f"There is no format {form!r}."
        problems.append(Problem(message, suggestion(form, list(FORMATS)), path="--format"))
    elif columns and form not in {None, *OWN_FORMATS}:
        message = f"The format {form} has columns of its own."
        problems.append(Problem(message, "Leave out --columns.", path="--columns"))
    if out is not None and out.suffix.lower() not in {".png", ".svg", ".pdf"}:
        message, remedy = f"{out} is not the name of a picture.", "Write FILE.png."
        problems.append(Problem(message, remedy, path="--out"))
    if problems:
        raise ScenarioError(problems)


@contextmanager
def _reading(file: Path, quiet: bool) -> Iterator[None]:
    """Say on standard error, where that is a terminal, that a file is read."""
    from rich.console import Console

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield
    else:
        with console.status(f"reading {file.name}"):
            yield


def _draw(requests: Trace, file: Path, out: Path) -> None:
    import pandas as pd

    from fedsim.charts.trace import trace_overview
    from fedsim.errors import ResultsError

    table = pd.DataFrame(
        {
            "time_s": requests.times_s,
            "prompt_tokens": requests.prompt_tokens,
            "output_tokens": requests.output_tokens,
        },
        copy=False,
    )
    chart = trace_overview(table, subtitle=f"{file.name}, {len(requests):,} requests")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        chart.savefig(out)
    except OSError as failure:
        message = f"{out}: The chart cannot be written: {failure.strerror or failure}."
        raise ResultsError(message) from failure


def _json(file: Path, form: str, requests: Trace, found: Description) -> dict[str, Any]:
    result: dict[str, Any] = {"file": str(file), "format": form, **asdict(found)}
    result["idc"] = {f"{window_s:g}": value for window_s, value in found.idc.items()}
    if found.sharing is not None:
        result["sharing"]["hit_share"] = found.sharing.hit_share
    return result | {"failures_left_out": requests.failures}
