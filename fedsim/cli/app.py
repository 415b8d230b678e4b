"""``fedsim``: the application and its commands."""

from __future__ import annotations

import gc
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
from fedsim.cli.study import study
from fedsim.cli.sweep import sweep
from fedsim.cli.test import test
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
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_COMMANDS = (
    new,
    check,
    run,
    compare,
    sweep,
    test,
    plan,
    report,
    study,
    diff,
    explain,
    calibrate,
    catalogue,
    trace,
    verify,
)
for _command in _COMMANDS:
    app.command(cls=Command)(_command)


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
