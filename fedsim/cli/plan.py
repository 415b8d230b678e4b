"""``fedsim plan``: the cheapest fleet that holds the objective, with confidence."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedsim.cli.failures import MISSED, STOPPED, reported
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

if TYPE_CHECKING:
    from fedsim.document import Document
    from fedsim.report.parts import Saved
    from fedsim.studies.plan.headroom import Headroom
    from fedsim.studies.plan.result import Plan

Ledger = Annotated[
    bool, typer.Option("--ledger", help="List every fleet that was looked at, and why.")
]
OfFile = Annotated[
    bool,
    typer.Option(
        "--headroom", help="How much traffic the fleet of the file holds; chooses no other."
    ),
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
    headroom: OfFile = False,
    out: Out = None,
    fresh: Fresh = False,
    workers: Workers = None,
    dask: Dask = None,
    page: Report = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Find the cheapest fleet that holds the objective, also with a region or node lost.

    With --headroom, how much traffic the file's own fleet holds; --set changes it, as in
    pools.us-h100.count=4. With --out, what DIR has of the same study is not run again. Status 1 if
    no fleet, or no traffic, holds the objective, or a run failed; 4 if the budget of runs ended the
    search.
    """
    with reported():
        _refuse_unlisted(ledger=ledger, headroom=headroom, silent=quiet and not as_json)
        from fedsim.scenario.load import load

        loaded = load(scenario, parsed(overrides)).changed(seed=seed)
        name = "headroom" if headroom else "plan"
        directory = result_directory(out, loaded, name)
        from fedsim.studies.plan.headroom import headroom as run_headroom
        from fedsim.studies.plan.planning import plan as run_plan

        more = [] if replications is None else ["--replications", str(replications)]
        more += ["--headroom"] if headroom else []
        repeat = repeat_command("plan", scenario, loaded.seed, overrides, out, *more)
        study: Callable[..., Plan | Headroom] = run_headroom if headroom else run_plan
        result = run_study(
            partial(study, loaded, replications=replications),
            directory,
            repeat,
            fresh=fresh or out is None,
            workers=workers,
            dask=dask,
            silent=quiet or as_json,
        )
        write_page(result, directory, wanted=page, silent=quiet or as_json)
        data = partial(_json, result, ledger=ledger)
        report = partial(_report, result, ledger=ledger)
        present(directory, repeat, data, report, quiet=quiet, as_json=as_json)
        if result.status == "budget":
            raise typer.Exit(STOPPED)
        if result.failures or result.status == "none":
            raise typer.Exit(MISSED)


def _refuse_unlisted(*, ledger: bool, headroom: bool, silent: bool) -> None:
    """Refuse ``--ledger`` where nothing could list the fleets.

    Raises:
        ArgumentError: It comes with ``--headroom`` or with ``--quiet``.
    """
    from fedsim.errors import ArgumentError

    if ledger and headroom:
        message = (
            "--ledger lists fleets, and --headroom looks at one alone; it lists every traffic that "
            "was looked at without an option."
        )
        raise ArgumentError(message, "Leave one of the two out.")
    if ledger and silent:
        message = "--ledger prints a list, and --quiet the directory alone."
        raise ArgumentError(message, "Leave one of the two out.")


def _report(result: Plan | Headroom, saved: Saved, *, ledger: bool) -> Document:
    from fedsim.report.headroom import headroom_report
    from fedsim.report.plan import plan_report
    from fedsim.studies.plan.result import Plan

    if isinstance(result, Plan):
        return plan_report(result, saved, ledger=ledger)
    return headroom_report(result, saved)


def _json(result: Plan | Headroom, *, ledger: bool) -> dict[str, Any]:
    from fedsim.studies.plan.headroom import headroom_json
    from fedsim.studies.plan.result import Plan
    from fedsim.studies.plan.storage import plan_json

    if not isinstance(result, Plan):
        return headroom_json(result)
    listed = {"ledger": result.evaluations.to_dict("records")} if ledger else {}
    return plan_json(result) | listed
