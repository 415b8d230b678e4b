"""``fedsim plan``: the cheapest fleet that holds the objective, with confidence."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from fedsim.cli.failures import MISSED, STOPPED, reported
from fedsim.cli.options import (
    Dask,
    Fresh,
    Json,
    Out,
    Overrides,
    Quiet,
    ScenarioPath,
    Seed,
    Workers,
    parsed,
)
from fedsim.cli.output import print_json, repeat_command, result_directory
from fedsim.cli.studying import run_study

Ledger = Annotated[
    bool, typer.Option("--ledger", help="List every fleet that was looked at, and why.")
]
Replications = Annotated[
    int | None,
    typer.Option("--replications", min=1, metavar="N", help="Replications per fleet and case."),
]


def plan(
    scenario: ScenarioPath,
    overrides: Overrides = None,
    replications: Replications = None,
    seed: Seed = None,
    ledger: Ledger = False,
    out: Out = None,
    fresh: Fresh = False,
    workers: Workers = None,
    dask: Dask = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Find the cheapest fleet that holds the objective, also with a region or node lost.

    With --out, what DIR has of the same plan is not run again. Status 1 if no fleet of the box
    holds the objective, 4 if the budget of runs ended the search.
    """
    with reported():
        from fedsim.scenario.load import load

        loaded = load(scenario, parsed(overrides)).changed(seed=seed)
        directory = result_directory(out, loaded.name, "plan", loaded.seed)
        from fedsim.studies.plan.planning import plan as run_plan
        from fedsim.studies.plan.storage import plan_json

        more = [] if replications is None else ["--replications", str(replications)]
        repeat = repeat_command("plan", scenario, loaded.seed, overrides, out, *more)
        result = run_study(
            partial(run_plan, loaded, replications=replications),
            directory,
            repeat,
            fresh=fresh or out is None,
            workers=workers,
            dask=dask,
            silent=quiet or as_json,
        )
        if as_json:
            print_json(plan_json(result) | {"directory": str(directory), "repeat": repeat})
        elif quiet:
            typer.echo(directory)
        else:
            from fedsim.cli.terminal import show
            from fedsim.report.parts import Saved
            from fedsim.report.plan import plan_report

            show(plan_report(result, Saved(directory, repeat), ledger=ledger))
        if result.status != "found":
            raise typer.Exit(STOPPED if result.status == "budget" else MISSED)
