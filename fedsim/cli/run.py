"""``fedsim run``: one run of a scenario."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from fedsim.cli.failures import MISSED, reported
from fedsim.cli.options import Json, Out, Overrides, Quiet, Report, ScenarioPath, Seed, parsed
from fedsim.cli.output import present, repeat_command, result_directory, write_page
from fedsim.cli.progress import progress_bar, writing

if TYPE_CHECKING:
    from fedsim.results.run import Run
    from fedsim.scenario.spec import Scenario


def run(
    scenario: ScenarioPath,
    overrides: Overrides = None,
    seed: Seed = None,
    out: Out = None,
    page: Report = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Run a scenario once: summary, tables and charts. Status 1 if the objective is missed."""
    with reported():
        from fedsim.scenario.load import load

        loaded = load(scenario, parsed(overrides)).changed(seed=seed)
        directory = result_directory(out, loaded, "run")
        result, warnings = _simulated(loaded, quiet or as_json)
        with writing(quiet or as_json):
            result.save(directory)
        write_page(result, directory, wanted=page, silent=quiet or as_json)
        repeat = repeat_command("run", scenario, loaded.seed, overrides, out)
        from fedsim.report.run import run_report

        data, report = (
            partial(_json, result, warnings),
            partial(run_report, result, loaded, warnings),
        )
        present(directory, repeat, data, report, quiet=quiet, as_json=as_json)
        if not all(verdict.held for verdict in result.verdicts()):
            raise typer.Exit(MISSED)


def _simulated(scenario: Scenario, quiet: bool) -> tuple[Run, list[str]]:
    """Return the run, and what to know before trusting its numbers."""
    from fedsim.results.conservation import require
    from fedsim.scenario.simulate import simulate
    from fedsim.studies.cautions import load_warnings, run_warnings
    from fedsim.studies.progress import Meter

    with progress_bar(quiet) as report:
        result = simulate(scenario, progress=Meter(report, runs=1))
    require(result.tables)
    return result, [*load_warnings(scenario), *run_warnings(result)]


def _json(run: Run, warnings: list[str]) -> dict[str, Any]:
    from fedsim.results.manifest import verdict_to_json

    by = {}
    for name in ("stream", "origin"):
        by[name] = run.summary(name).reset_index().to_dict("records")
    return {
        "scenario": run.name,
        "strategy": run.strategy,
        "seed": run.seed,
        "digest": run.digest,
        "summary": run.summary().to_dict("records")[0],
        "by": by,
        "outcomes": run.requests["outcome"].value_counts(sort=False).to_dict(),
        "objective": [verdict_to_json(each) for each in run.verdicts()],
        "warnings": warnings,
    }
