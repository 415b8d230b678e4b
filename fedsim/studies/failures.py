"""Makes the failure of a plug-in readable: the lines of the user's own files."""

from __future__ import annotations

import importlib
import traceback
from pathlib import Path

from fedsim.errors import PlugInError

_HOUSE = str(Path(__file__).parent.parent)
_IMPORTER = str(Path(importlib.__file__).parent)
_HEADING = "In the plug-in:"


def note_traceback(error: PlugInError) -> None:
    """Attach the plug-in's traceback to *error* as a note.

    An exception loses its cause on the way from a worker process; its notes come along.
    """
    lines = plugin_traceback(error)
    if lines and not _noted(error):
        error.add_note("\n".join([_HEADING, *lines]))


def plugin_traceback(error: PlugInError) -> list[str]:
    """Return the traceback of what the plug-in raised, without fedsim's own lines.

    Empty where it raised nothing, but returned what its contract does not allow.
    """
    noted = _noted(error)
    if noted:
        return noted.splitlines()[1:]
    cause = error.__cause__
    if cause is None:
        return []
    report = traceback.TracebackException.from_exception(cause)
    link: traceback.TracebackException | None = report
    while link is not None:
        link.stack = traceback.StackSummary.from_list(
            [frame for frame in link.stack if _is_users(frame.filename)]
        )
        link = link.__cause__ or link.__context__
    return "".join(report.format()).rstrip().splitlines()


def _noted(error: PlugInError) -> str:
    notes = getattr(error, "__notes__", [])
    return next((note for note in notes if note.startswith(_HEADING)), "")


def _is_users(file: str) -> bool:
    return not file.startswith((_HOUSE, _IMPORTER, "<frozen importlib"))
