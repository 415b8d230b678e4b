"""``fedsim``: the application and its commands."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from fedsim.cli.calibrate import calibrate
from fedsim.cli.catalogue import catalogue
from fedsim.cli.check import check
from fedsim.cli.compare import compare
from fedsim.cli.diff import diff
from fedsim.cli.explain import explain
from fedsim.cli.hints import Command, Group
from fedsim.cli.new import new
from fedsim.cli.plan import plan
from fedsim.cli.report import report
from fedsim.cli.run import run
from fedsim.cli.schema import schema
from fedsim.cli.study import study
from fedsim.cli.sweep import sweep
from fedsim.cli.test import test
from fedsim.cli.timeline import timeline
from fedsim.cli.trace import trace
from fedsim.cli.verify import verify
from fedsim.version import __version__

app = typer.Typer(
    cls=Group,
    help="Simulate a federation of GPU inference nodes, run by its real routers.",
    epilog=(
        "Exit status: 0 done, 1 objective missed, 2 invalid input, 3 bug in fedsim, 4 budget spent."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
EXAMPLES: Mapping[Callable[..., None], str] = {
    new: "fedsim new my-service --template engine",
    check: "fedsim check my-service.yaml --set pools.chat.count=6",
    run: "fedsim run my-service.yaml --seed 2 --out runs/second",
    compare: "fedsim compare my-service.yaml --router mine=my_routers:Mine --replications 10",
    sweep: "fedsim sweep my-sweep.yaml --replications 10 --out runs/sweep",
    test: "fedsim test scenarios/ --junit fedsim.xml",
    plan: "fedsim plan my-service.yaml --out runs/plan",
    report: "fedsim report runs/second --out second.html",
    study: "fedsim study runs/plan",
    diff: "fedsim diff runs/first runs/second",
    explain: "fedsim explain runs/second chat-17",
    timeline: "fedsim timeline runs/second --out second.pftrace",
    calibrate: "fedsim calibrate requests.csv",
    catalogue: "fedsim catalogue prices H100",
    trace: "fedsim trace requests.jsonl",
    verify: "fedsim verify",
    schema: "fedsim schema --out fedsim.schema.json",
}
"""Every command, in the order of the help, with an example that its own help shows."""


def _help(command: Callable[..., None]) -> str:
    """Return a command's docstring with a line for each paragraph, which terminals wrap."""
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


for _command, _example in EXAMPLES.items():
    app.command(cls=Command, help=_help(_command), epilog=f"Example: {_example}")(_command)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fedsim {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line and exit with its status."""
    try:
        app(prog_name="fedsim")
    finally:
        gc.freeze()  # the process ends: nothing is gained by a search for cycles in all it imported
