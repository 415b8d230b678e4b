"""``fedsim study``: the runs of a study, and how to repeat them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedsim.cli.failures import MISSED, reported
from fedsim.cli.options import Json
from fedsim.cli.output import print_json

StudyPath = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="The directory of a study.", show_default=False),
]
Bundle = Annotated[
    Path | None,
    typer.Option(
        "--bundle", metavar="FILE.zip", help="Pack scenario, plug-ins, hashes and commands."
    ),
]


def study(directory: StudyPath, bundle: Bundle = None, as_json: Json = False) -> None:
    """List the runs of a study: key, seed, digest, state, and the command that repeats each.

    Status 1 if a run failed or is missing.
    """
    with reported():
        from fedsim.studies.inventory import Inventory

        found = Inventory(directory)
        if bundle is not None:
            found.bundle(bundle)
        if as_json:
            print_json(found.to_json())
        elif bundle is not None:
            typer.echo(bundle)
        else:
            from fedsim.cli.terminal import show
            from fedsim.report.study import study_report

            show(study_report(found))
        if any(row["state"] != "done" for row in found.rows):
            raise typer.Exit(MISSED)
