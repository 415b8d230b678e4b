"""``fedsim calibrate``: what a scenario needs to know of a node, from a log of its requests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fedsim.cli.failures import MISSED, reported
from fedsim.cli.options import Json, Quiet
from fedsim.cli.output import print_json
from fedsim.cli.progress import progress_bar, writing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fedsim.studies.calibrate import Column, Labels, Limits

LogPath = Annotated[
    Path,
    typer.Argument(
        metavar="LOG", help="Requests as CSV, JSON lines or Parquet.", show_default=False
    ),
]
Service = Annotated[
    bool, typer.Option("--service", help="Fit a distribution to service times instead.")
]
ColumnNames = Annotated[
    list[str] | None,
    typer.Option(
        "--columns",
        metavar="FIELD=COLUMN[:UNIT],…",
        help="Columns by field, such as arrival=t,ttft=first:ms. Repeatable.",
    ),
]
MaxBatch = Annotated[
    int, typer.Option("--max-batch", min=1, metavar="N", help="Most requests at once on a node.")
]
TokenBudget = Annotated[
    int, typer.Option("--token-budget", min=1, metavar="N", help="Most tokens of a step.")
]
KvCapacity = Annotated[
    int | None,
    typer.Option("--kv-capacity", min=16, metavar="N", help="Tokens that the KV cache holds."),
]
Chunked = Annotated[
    bool,
    typer.Option("--chunked-prefill/--whole-prefill", help="Whether steps may split a prompt."),
]
Admit = Annotated[
    Literal["whole", "chunk"],
    typer.Option("--admit", help="What of a request has to fit into the KV cache at first."),
]
Model = Annotated[str, typer.Option("--model", metavar="NAME", help="For the profile.")]
Gpu = Annotated[str, typer.Option("--gpu", metavar="NAME", help="For the profile.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Where to write; default runs/LOG-calibrate."),
]
Force = Annotated[
    bool, typer.Option("--force", help="Write the profile even if it predicts nothing.")
]
Gpus = Annotated[int, typer.Option("--gpus", min=1, metavar="N", help="GPUs of a node.")]


def calibrate(
    log: LogPath,
    service: Service = False,
    columns: ColumnNames = None,
    max_batch: MaxBatch = 256,
    token_budget: TokenBudget = 8192,
    kv_capacity: KvCapacity = None,
    chunked_prefill: Chunked = True,
    admit: Admit = "whole",
    model: Model = "unknown",
    gpu: Gpu = "unknown",
    gpus: Gpus = 1,
    out: Out = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Fit an engine, or a service distribution, to a log, and test it on requests held out."""
    with reported():
        from fedsim.results.rundir import refuse_foreign
        from fedsim.studies.calibrate import Labels
        from fedsim.workload.logs.cells import log_name

        directory = out or Path("runs") / f"{log_name(log)}-calibrate"
        refuse_foreign(directory)
        chosen = _columns(columns)
        if service:
            _service(log, chosen, directory, quiet, as_json)
        else:
            limits = _limits(max_batch, token_budget, kv_capacity, chunked_prefill, admit)
            labels = Labels(model, gpu, gpus)
            _engine(log, chosen, limits, labels, directory, force, quiet, as_json)


def _columns(texts: list[str] | None) -> Mapping[str, Column]:
    from fedsim.errors import Problem, ScenarioError
    from fedsim.studies.calibrate import parse_columns

    try:
        return parse_columns(texts or [])
    except ValueError as error:
        raise ScenarioError([Problem(str(error), path="--columns")]) from None


def _limits(
    max_batch: int,
    token_budget: int,
    kv_capacity: int | None,
    chunked_prefill: bool,
    admit: Literal["whole", "chunk"],
) -> Limits:
    from fedsim.errors import Problem, ScenarioError
    from fedsim.studies.calibrate import Limits

    try:
        return Limits(max_batch, token_budget, kv_capacity, chunked_prefill, admit)
    except ValueError as error:
        raise ScenarioError([Problem(str(error), path="--token-budget")]) from None


def _engine(
    log: Path,
    columns: Mapping[str, Column],
    limits: Limits,
    labels: Labels,
    directory: Path,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    from fedsim.studies.calibrate import calibrate_engine, save_engine
    from fedsim.studies.calibrate.storage import engine_json
    from fedsim.studies.progress import Meter

    with progress_bar(quiet or as_json, "fitting") as report:
        told = Meter(report, runs=1)
        fit = calibrate_engine(log, columns=columns, limits=limits, progress=told)
    written = force or not fit.is_useless
    if written:
        with writing(quiet or as_json):
            save_engine(fit, directory, labels)
    if as_json:
        print_json(engine_json(fit) | {"directory": str(directory) if written else None})
    elif not quiet:
        from fedsim.cli.terminal import show
        from fedsim.report.calibration import engine_report

        show(engine_report(fit, directory if written else None))
    elif written:
        typer.echo(directory)
    if not written:
        message = (
            "The fitted engine is off by more than half of the times of held-out requests, so that "
            "nothing was written: correct what the warnings name, or write it with --force."
        )
        typer.echo(message, err=True)
        raise typer.Exit(MISSED)


def _service(
    log: Path, columns: Mapping[str, Column], directory: Path, quiet: bool, as_json: bool
) -> None:
    from fedsim.studies.calibrate import calibrate_service, save_service
    from fedsim.studies.calibrate.storage import service_json

    fit = calibrate_service(log, columns=columns)
    with writing(quiet or as_json):
        save_service(fit, directory)
    if as_json:
        print_json(service_json(fit) | {"directory": str(directory)})
    elif quiet:
        typer.echo(directory)
    else:
        from fedsim.cli.terminal import show
        from fedsim.report.calibration import service_report

        show(service_report(fit, directory))
