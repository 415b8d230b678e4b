"""``fedsim report``: a run or study as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedsim.cli.failures import reported

ResultPath = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="The directory of a run or study.", show_default=False),
]
File = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE", help="The file; default DIR/report.html."),
]


def report(directory: ResultPath, out: File = None) -> None:
    """Write the report of a run, comparison, sweep or plan as one HTML file with its charts.

    It needs no network and no JavaScript.
    """
    with reported():
        from fedsim.studies.open import open as opened

        typer.echo(opened(directory).report(out or directory))
