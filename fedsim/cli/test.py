"""``fedsim test``: whether scenarios meet what they expect of themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedsim.cli.failures import MISSED, reported
from fedsim.cli.options import Json, Workers
from fedsim.cli.output import print_json
from fedsim.cli.progress import progress_bar

Places = Annotated[
    list[Path],
    typer.Argument(
        metavar="SCENARIO...", help="Scenario files, or folders of them.", show_default=False
    ),
]
Update = Annotated[
    bool,
    typer.Option("--update", help="Write golden files where decisions differ, and fail once."),
]
Tolerance = Annotated[
    float,
    typer.Option("--tolerance", min=0.0, metavar="N", help="Decisions in 10,000 that may differ."),
]
Junit = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML to FILE.")
]
Results = Annotated[
    Path,
    typer.Option("--out", metavar="DIR", help="Where what was obtained goes, and runs are kept."),
]


def test(
    scenarios: Places,
    update: Update = False,
    tolerance: Tolerance = 0.0,
    junit: Junit = None,
    out: Results = Path("runs/tests"),
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Test what scenarios expect of themselves: objectives, comparisons, measures, decisions.

    Status 1 if an expectation is not held. Runs that were made before are not made again.
    """
    with reported():
        import time

        from fedsim.results.files import require_folder, write_file
        from fedsim.testing.expectations import load_expecting, scenario_files, undecidable

        require_folder(junit)
        began_s = time.perf_counter()
        loaded = [load_expecting(path) for path in scenario_files(scenarios)]
        for scenario in loaded:
            for note in undecidable(scenario):
                typer.echo(f"{scenario.path}: {note}", err=True)
        from fedsim.testing.decisions import How
        from fedsim.testing.suite import suite

        how = How(update, tolerance, "fedsim test --update", out)
        with progress_bar(as_json, "testing") as report:
            tests = list(suite(loaded, how, workers, report))
        if junit is not None:
            from fedsim.testing.report import junit as as_junit

            write_file(junit, as_junit(tests))
        if as_json:
            from fedsim.testing.report import tests_json

            print_json(tests_json(tests))
        else:
            from fedsim.cli.terminal import show
            from fedsim.testing.report import tests_report

            show(tests_report(tests, wall_s=time.perf_counter() - began_s))
        if not all(each.passed for each in tests):
            raise typer.Exit(MISSED)
