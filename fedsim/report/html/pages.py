"""The page of whatever has a report, and the short one that a notebook shows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from yaml import safe_load

from fedsim.document import Block, Document, Heading, Sentence, Table
from fedsim.errors import FedsimError
from fedsim.html import html
from fedsim.report.html.page import Page, rendered
from fedsim.report.html.run import run_page
from fedsim.results.run import Run
from fedsim.results.rundir import REPORT, named, unwritable
from fedsim.scenario.load import load
from fedsim.scenario.spec import Scenario
from fedsim.studies.cautions import load_warnings, run_warnings

_MOST_CELLS = 400
"""Cells of the table that a notebook shows, at most."""


def write(result: Any, path: str | os.PathLike[str]) -> Path:
    """Write the page of a result to a file, and return that.

    Args:
        result: What has a report.
        path: The file; for a directory, ``report.html`` in it.

    Raises:
        ResultsError: It cannot be written, or the result lacks the tables for it.
    """
    file = named(path)
    if file.is_dir():
        file /= REPORT
    text = rendered(page_of(result))
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise unwritable(file, error) from error
    return file


def short(result: Any) -> str:
    """Return what a notebook shows of a result: the answer in a sentence, and its main table."""
    page = page_of(result)
    title, *blocks = page.report.blocks
    assert isinstance(title, Heading)
    table = next(place for place, block in enumerate(blocks) if isinstance(block, Table))
    shown: list[Block] = [Heading(title.text, 4), Sentence(page.answer)]
    return html(Document((*shown, blocks[table])), most_cells=_MOST_CELLS)


def page_of(result: Any) -> Page:
    """Return the page of a result."""
    return _page_of_run(result)


def _page_of_run(run: Run) -> Page:
    scenario, lacking = _scenario_of(run)
    loads = lacking if scenario is None else load_warnings(scenario)
    return run_page(run, scenario, [*loads, *run_warnings(run)])


def _scenario_of(run: Run) -> tuple[Scenario | None, list[str]]:
    """Return the scenario of a run, or None and why it cannot be read."""
    try:
        return load(safe_load(run.scenario_yaml)), []
    except FedsimError as error:
        reason = str(error).splitlines()[0]
        return None, [
            "The run's scenario cannot be read here, so that its load, and what engines and "
            f"scalers did, are not in this report: {reason}"
        ]
