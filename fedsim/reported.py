"""What results have for people to look at: a page in a file, and a short one in a notebook."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any


class Shown:
    """Shows itself in a notebook: the answer in a sentence, and its main table."""

    def _repr_html_(self) -> str:
        text: str = _pages().short(self)
        return text


class Reported(Shown):
    """Has a report."""

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write the report as one HTML file, with charts, that reads without a network.

        Args:
            path: The file; for a directory, ``report.html`` in it.

        Returns:
            The file.

        Raises:
            ResultsError: It cannot be written, another file has its name, or the result lacks the
                tables for it.
        """
        written: Path = _pages().write(self, path)
        return written


def _pages() -> Any:
    # By name, as fedsim.__getattr__ does: a result knows nothing of what stands above it.
    return import_module("fedsim.report.html.pages")
