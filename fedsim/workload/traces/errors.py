"""What is wrong with a table of requests, and in which line."""

from __future__ import annotations

from fedsim.errors import FedsimError


class TraceError(FedsimError, ValueError):
    """A trace, or another file of requests, cannot be read.

    Args:
        file: The file as the caller named it.
        line: One-based line that is wrong, or None where it is the file as a whole.
        message: What is wrong, as a sentence.
        remedy: How to mend it, as a sentence.
    """

    def __init__(self, file: str, line: int | None, message: str, remedy: str) -> None:
        super().__init__(file, line, message, remedy)
        self.file = file
        self.line = line
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.message} {self.remedy}"


def unreadable(file: str, reason: object, remedy: str) -> TraceError:
    """Return the error of a file that a library cannot read, for the *reason* that it gives."""
    return TraceError(file, None, f"The file cannot be read: {str(reason).rstrip('.')}.", remedy)


class UnfitError(ValueError):
    """A chunk of a trace is broken somewhere; a scan line by line will say where."""


def shown(value: object, most: int = 60) -> str:
    """Return *value* as a short text for a message, in quotes where it is a text."""
    if isinstance(value, str):
        return repr(value if len(value) <= most else value[: most - 1] + "…")
    text = str(value)
    return text if len(text) <= most else text[: most - 1] + "…"
