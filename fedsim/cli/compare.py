"""``fedsim compare``: strategies against each other on the same requests and faults."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedsim.cli.failures import MISSED, reported
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
from fedsim.cli.output import present, repeat_command, result_directory
from fedsim.cli.studying import run_study

if TYPE_CHECKING:
    from fedsim.studies.comparison import Comparison

Replications = Annotated[
    int | None,
    typer.Option("--replications", min=1, metavar="N", help="Replications per strategy."),
]
Routers = Annotated[
    list[str] | None,
    typer.Option(
        "--router",
        metavar="[NAME=]ROUTER",
        help="A router to compare too: module:Class, git:REF:module:Class for that of another "
        "commit, or such as litellm/least-busy. Repeatable.",
    ),
]
Baseline = Annotated[
    str | None,
    typer.Option("--baseline", metavar="NAME", help="Baseline for the differences."),
]


def compare(
    scenario: ScenarioPath,
    overrides: Overrides = None,
    replications: Replications = None,
    routers: Routers = None,
    baseline: Baseline = None,
    seed: Seed = None,
    out: Out = None,
    fresh: Fresh = False,
    workers: Workers = None,
    dask: Dask = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compare strategies and routers on the same seeds: ranking, differences, tables and charts.

    With --out, what DIR has of the same comparison is not run again. Status 1 if a run failed, or
    if no strategy holds the objective in every replication.
    """
    with reported():
        from fedsim.scenario.load import load

        loaded = load(scenario, parsed(overrides)).changed(seed=seed)
        directory = result_directory(out, loaded.name, "compare", loaded.seed)
        from fedsim.report.comparison import comparison_report
        from fedsim.studies.cautions import load_warnings
        from fedsim.studies.compare import compare as run_comparison

        more = _options(replications, routers, baseline)
        repeat = repeat_command("compare", scenario, loaded.seed, overrides, out, *more)
        result = run_study(
            partial(
                run_comparison,
                loaded,
                routers=dict(map(_named, routers or [])),
                replications=replications,
                baseline=baseline,
            ),
            directory,
            repeat,
            fresh=fresh or out is None,
            workers=workers,
            dask=dask,
            silent=quiet or as_json,
        )
        overloads = load_warnings(loaded)
        data, report = (
            partial(_json, result, overloads),
            partial(comparison_report, result, overloads),
        )
        present(directory, repeat, data, report, quiet=quiet, as_json=as_json)
        if result.failures or (loaded.slo is not None and not result.holding):
            raise typer.Exit(MISSED)


def _json(comparison: Comparison, overloads: list[str]) -> dict[str, Any]:
    from fedsim.studies.storage import comparison_json

    found = comparison_json(comparison)
    return found | {"warnings": [*overloads, *found["warnings"]]}


def _named(router: str) -> tuple[str, str]:
    """Return the name and the text of a router: ``new=routers:Sticky``, or the text alone."""
    name, found, text = router.partition("=")
    return (name, text) if found and ":" not in name else (router, router)


def _options(
    replications: int | None, routers: list[str] | None, baseline: str | None
) -> Iterator[str]:
    """Yield the options of this command alone that a repetition needs."""
    if replications is not None:
        yield from ("--replications", str(replications))
    for router in routers or []:
        yield from ("--router", router)
    if baseline is not None:
        yield from ("--baseline", baseline)
