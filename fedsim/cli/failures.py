"""Turns errors into messages and exit statuses."""

from __future__ import annotations

import shlex
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from fedsim.errors import FedsimError, InternalError, PlugInError

DONE, MISSED, INPUT_WRONG, FEDSIM_WRONG, STOPPED, INTERRUPTED = 0, 1, 2, 3, 4, 130


@contextmanager
def reported() -> Iterator[None]:
    """Print an error of the block on standard error, and exit with its status.

    Only a bug in fedsim shows a traceback, which a bug report needs.
    """
    try:
        yield
    except typer.Exit:
        raise
    except KeyboardInterrupt as stop:
        _fail(str(stop) or "Interrupted; nothing was written.", INTERRUPTED)
    except PlugInError as error:
        _fail(_plugin_message(error), INPUT_WRONG)
    except InternalError as error:
        _fail(f"{_BUG}: {error}\n{_PLEASE}", FEDSIM_WRONG)
    except FedsimError as error:
        _fail(str(error), INPUT_WRONG)
    except BrokenPipeError:
        sys.stderr.close()
        raise typer.Exit(DONE) from None
    except Exception as error:  # noqa: BLE001 - whatever is left is ours
        lines = "".join(traceback.format_exception(error))
        message = f"{lines}{_BUG}: {type(error).__name__}.\n{_PLEASE}"
        _fail(message, FEDSIM_WRONG)


@contextmanager
def going_on(command: str, directory: Path) -> Iterator[None]:
    """Let a study that is interrupted keep what is done, and say how to go on with it.

    Args:
        command: The command line of the study, with or without ``--out``.
        directory: Where its runs are.
    """
    try:
        yield
    except KeyboardInterrupt:
        if "--out" not in shlex.split(command):
            command += f" --out {shlex.quote(str(directory))}"
        message = f"Interrupted; {directory} keeps the runs that are done. Go on with:\n  {command}"
        raise KeyboardInterrupt(message) from None


_BUG = "This is a bug in fedsim, not in your input"
_PLEASE = "Please report it, with the scenario, the seed and what is printed here."


def _plugin_message(error: PlugInError) -> str:
    from fedsim.studies.failures import plugin_traceback

    lines = plugin_traceback(error)
    return "\n".join([str(error), *(f"  {line}" for line in lines)])


def _fail(message: str, status: int) -> None:
    typer.echo(message, err=True)
    raise typer.Exit(status) from None
