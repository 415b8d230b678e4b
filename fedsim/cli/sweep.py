"""``fedsim sweep``: a scenario at every point of a grid, a list or a Latin hypercube."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from fedsim.cli.failures import MISSED, reported
from fedsim.cli.options import (
    Dask,
    Fresh,
    Json,
    Out,
    Overrides,
    Quiet,
    Report,
    ScenarioPath,
    Seed,
    Workers,
    parsed,
)
from fedsim.cli.output import present, repeat_command, result_directory, write_page
from fedsim.cli.studying import run_study

Replications = Annotated[
    int | None,
    typer.Option("--replications", min=1, metavar="N", help="Replications per point."),
]


def sweep(
    scenario: ScenarioPath,
    overrides: Overrides = None,
    replications: Replications = None,
    seed: Seed = None,
    out: Out = None,
    fresh: Fresh = False,
    workers: Workers = None,
    dask: Dask = None,
    page: Report = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Run the points of the scenario's sweep: tables, charts, knees and crossovers.

    With --out, what DIR has of the same sweep is not run again. Status 1 if a run failed.
    """
    with reported():
        from fedsim.scenario.load import load

        loaded = load(scenario, parsed(overrides)).changed(seed=seed)
        directory = result_directory(out, loaded, "sweep")
        from fedsim.report.sweep import sweep_report
        from fedsim.studies.sweep import sweep as run_sweep
        from fedsim.studies.sweep_storage import sweep_json

        more = [] if replications is None else ["--replications", str(replications)]
        repeat = repeat_command("sweep", scenario, loaded.seed, overrides, out, *more)
        result = run_study(
            partial(run_sweep, loaded, replications=replications),
            directory,
            repeat,
            fresh=fresh or out is None,
            workers=workers,
            dask=dask,
            silent=quiet or as_json,
        )
        write_page(result, directory, wanted=page, silent=quiet or as_json)
        data, report = partial(sweep_json, result), partial(sweep_report, result)
        present(directory, repeat, data, report, quiet=quiet, as_json=as_json)
        if result.failures:
            raise typer.Exit(MISSED)
