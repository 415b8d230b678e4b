"""The page of whatever has a report, and the short one that a notebook shows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fedsim.document import Block, Document, Heading, Sentence, Table
from fedsim.errors import FedsimError
from fedsim.html import html
from fedsim.report.check import check_report
from fedsim.report.html.comparison import comparison_page
from fedsim.report.html.page import MARK, Page, rendered
from fedsim.report.html.plan import headroom_page, plan_page
from fedsim.report.html.run import run_page
from fedsim.report.html.sweep import sweep_page
from fedsim.results.files import require_own, write_file
from fedsim.results.run import Run
from fedsim.results.rundir import REPORT, SCENARIO, named
from fedsim.scenario.load import load
from fedsim.scenario.offered_load import OfferedLoad
from fedsim.scenario.source import parse_value
from fedsim.scenario.spec import Scenario
from fedsim.studies.cautions import load_warnings, run_warnings
from fedsim.studies.comparison import Comparison
from fedsim.studies.plan.headroom import Headroom
from fedsim.studies.plan.result import Plan
from fedsim.studies.swept import Sweep

_MOST_CELLS = 400
"""Cells of the table that a notebook shows, at most."""


def write(result: Any, path: str | os.PathLike[str]) -> Path:
    """Write the page of a result to a file, and return that.

    Args:
        result: What has a report.
        path: The file; for a directory, ``report.html`` in it.

    Raises:
        ResultsError: It cannot be written, another file has its name, or the result lacks the
            tables for it.
        ScenarioError: The scenario of a saved run was damaged.
    """
    file = named(path)
    if file.is_dir():
        file /= REPORT
    require_own(file, MARK, "a page")
    return write_file(file, rendered(page_of(result)))


def short(result: Any) -> str:
    """Return what a notebook shows of a result: the answer in a sentence, and its main table.

    A scenario, which has no answer yet, shows what it is, and its pools.
    """
    if isinstance(result, Scenario):
        return _shown(result)
    page = page_of(result)
    title, *blocks = page.report.blocks
    assert isinstance(title, Heading)
    tables = [block for block in blocks if isinstance(block, Table)][:1]
    shown: list[Block] = [Heading(title.text, 4), Sentence(page.answer), *tables]
    return html(Document(tuple(shown)), most_cells=_MOST_CELLS)


def _shown(scenario: Scenario) -> str:
    report = check_report(OfferedLoad(scenario), (), served=True)
    blocks = report.blocks
    pools = next(
        place
        for place, block in enumerate(blocks)
        if isinstance(block, Heading) and block.text.startswith("Pools")
    )
    first = [block for block in blocks[:pools] if isinstance(block, Sentence) and not block.item]
    shown: list[Block] = [Heading(scenario.name, 4), *first, blocks[pools + 1]]
    return html(Document(tuple(shown)), most_cells=_MOST_CELLS)


def page_of(result: Run | Comparison | Sweep | Plan | Headroom) -> Page:
    """Return the page of a result."""
    if isinstance(result, Run):
        return _page_of_run(result)
    if isinstance(result, Comparison):
        return comparison_page(result, load_warnings(result.scenario))
    if isinstance(result, Sweep):
        return sweep_page(result)
    return plan_page(result) if isinstance(result, Plan) else headroom_page(result)


def _page_of_run(run: Run) -> Page:
    scenario, lacking = _scenario_of(run)
    loads = lacking if scenario is None else load_warnings(scenario)
    return run_page(run, scenario, [*loads, *run_warnings(run)])


def _scenario_of(run: Run) -> tuple[Scenario | None, list[str]]:
    """Return the scenario of a run, or None and why it cannot be read."""
    tree = parse_value(run.scenario_yaml, SCENARIO)
    try:
        return load(tree), []
    except FedsimError as error:
        reason = str(error).splitlines()[0]
        return None, [
            "The run's scenario cannot be read here, so that its load, and what engines and "
            f"scalers did, are not in this report: {reason}"
        ]
