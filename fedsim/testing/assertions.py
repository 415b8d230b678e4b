"""Assertions on runs and comparisons, which fail with what was expected, measured and why."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fedsim.document import Document, markdown
from fedsim.errors import ArgumentError, ResultsError
from fedsim.results.measures import MEASURES
from fedsim.results.run import Run
from fedsim.scenario.spec import NoWorseSpec
from fedsim.studies.comparison import Comparison
from fedsim.testing.decisions import Decided, How, check_decisions
from fedsim.testing.golden import golden_of, text_of
from fedsim.testing.judging import Finding, finding_text, no_worse_finding, slo_findings


@dataclass(slots=True)
class _Settings:
    """How golden files are treated by assertions; the pytest plugin sets it from its options."""

    how: How


SETTINGS = _Settings(How(accept="pytest --fedsim-update"))


def assert_slo(found: Run | Comparison, strategy: str | None = None) -> None:
    """Assert that an objective is held.

    Args:
        found: A run, of which every bound has to be held; or a comparison, of which every bound of
            *strategy* has to be held in the mean, at the comparison's confidence.
        strategy: One of what the comparison compares; None for its baseline.

    Raises:
        AssertionError: It is not; the text has every bound that is not.
        ArgumentError: There is no objective, or *found* is something else.
    """
    __tracebackhide__ = True
    if isinstance(found, Comparison):
        own = strategy or found.baseline
        findings = slo_findings(found, own)
        failing = [finding_text(each) for each in findings if each.result != "held"]
        known = bool(findings)
    elif isinstance(found, Run):
        verdicts = found.verdicts()
        failing = [str(verdict) for verdict in verdicts if not verdict.held]
        known = bool(verdicts)
    else:
        message = f"assert_slo takes a run or a comparison, not {found!r:.40}."
        raise ArgumentError(message, "Give what fedsim_run or fedsim_compare returns.")
    if not known:
        message = "The scenario has no objective."
        raise ArgumentError(message, "Add slo to it.")
    _require(failing)


def assert_no_worse(
    comparison: Comparison,
    strategy: str,
    *,
    than: str | None = None,
    measure: str = "goodput_share",
    margin: float = 0.01,
) -> None:
    """Assert that a strategy or router is shown to be no worse than another, but for a margin.

    Args:
        comparison: The comparison of both.
        strategy: What must not be worse.
        than: What it is compared with; None for the comparison's baseline.
        measure: A measure of which one direction is better.
        margin: The difference that does not matter, > 0: a share of 1 for a measure that is one
            (0.01 for a percentage point), else relative to the other.

    Raises:
        AssertionError: It is not shown; the text has the difference with its interval.
        ResultsError: There is no such measure, strategy or router.
    """
    __tracebackhide__ = True
    against = than or comparison.baseline
    for name in (strategy, against):
        if name not in comparison.strategies:
            msg = f"{name!r} was not compared; there are {', '.join(comparison.strategies)}"
            raise ResultsError(msg)
    if measure not in MEASURES:
        msg = f"there is no measure {measure!r}; choose one of {', '.join(MEASURES)}"
        raise ResultsError(msg)
    found = no_worse_finding(comparison, strategy, NoWorseSpec(against, measure, margin))
    _require([] if found.result == "held" else [finding_text(found)])


def assert_decisions_unchanged(run: Run, golden: str | os.PathLike[str]) -> None:
    """Assert that a run sent every attempt where a golden file says.

    ``pytest --fedsim-update`` writes the file where it differs or is missing, and fails once.

    Args:
        run: The run.
        golden: The file, such as ``golden/near.golden``; see ``docs/testing.md``.

    Raises:
        AssertionError: It did not, or the file is missing or was just written; the text names the
            first decision that differs.
        ResultsError: The file is broken, or cannot be written.
    """
    __tracebackhide__ = True
    path, how = Path(golden), SETTINGS.how
    decided = Decided(path, how.accept, how.directory / path.stem, lambda: run)
    finding, blocks = check_decisions(decided, text_of(golden_of(run)), how)
    if finding.result != "held":
        _require([decisions_text(finding, Document(tuple(blocks)))])


def decisions_text(finding: Finding, document: Document) -> str:
    """Return a finding with its report as one text."""
    return f"{finding_text(finding)}\n\n{markdown(document)}".rstrip()


def _require(failing: list[str]) -> None:
    __tracebackhide__ = True
    if failing:
        raise AssertionError("\n".join(failing))
