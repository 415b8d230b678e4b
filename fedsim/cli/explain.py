"""``fedsim explain``: why a request went where it went, or what shows a finding."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedsim.cli.failures import reported
from fedsim.cli.options import Json
from fedsim.cli.output import print_json

if TYPE_CHECKING:
    from fedsim.results.evidence import Evidence
    from fedsim.scenario.explain import Explanation

RunPath = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="The directory of a run.", show_default=False),
]
Subject = Annotated[
    str,
    typer.Argument(
        metavar="REQUEST|FINDING",
        help="A request, such as chat-17; or a finding by its name or number, such as 1.",
        show_default=False,
    ),
]


def explain(run: RunPath, subject: Subject, as_json: Json = False) -> None:
    """Explain where a request went, or what shows a finding among the warnings of a run.

    Of a request: every candidate, its scores, and why it was not eligible. Of a finding: how the
    nodes of its pool compare, the rows that are evidence, and what to do.
    """
    with reported():
        from fedsim.results.evidence import names_finding

        (_finding if names_finding(subject) else _request)(run, subject, as_json)


def _request(run: Path, request: str, as_json: bool) -> None:
    from fedsim.scenario.explain import explain as explanation_of

    found = explanation_of(run, request)
    if as_json:
        print_json(_json(found))
        return
    from fedsim.cli.terminal import show
    from fedsim.report.explanation import explanation_report

    show(explanation_report(found))


def _finding(run: Path, wanted: str, as_json: bool) -> None:
    from fedsim.results.evidence import evidence_of
    from fedsim.results.run import Run

    loaded = Run.load(run)
    found = evidence_of(loaded, wanted)
    if as_json:
        print_json([_evidence_json(each) for each in found])
        return
    from fedsim.cli.terminal import show
    from fedsim.report.finding import finding_report

    show(finding_report(found, loaded.start))


def _evidence_json(found: Evidence) -> dict[str, Any]:
    return {
        "number": found.number,
        "finding": found.finding.name,
        "text": found.finding.text,
        "cause": found.advice.cause,
        "remedy": found.advice.remedy,
        "nodes": found.nodes.reset_index().to_dict("records"),
        "attempts": found.attempts.to_dict("records"),
        "events": found.events.to_dict("records"),
    }


def _json(found: Explanation) -> dict[str, Any]:
    return {
        "request": found.request.to_dict(),
        "attempts": found.attempts.to_dict("records"),
        "decisions": found.decisions.to_dict("records"),
        "repeated": found.repeated,
        "strategy": found.strategy,
        "no_retry": found.no_retry,
        "model": found.model,
    }
