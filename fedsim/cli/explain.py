"""``fedsim explain``: why a request went where it went."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedsim.cli.failures import reported
from fedsim.cli.options import Json
from fedsim.cli.output import print_json

if TYPE_CHECKING:
    from fedsim.scenario.explain import Explanation

RunPath = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="The directory of a run.", show_default=False),
]
RequestId = Annotated[
    str,
    typer.Argument(metavar="REQUEST", help="The request, such as chat-17.", show_default=False),
]


def explain(run: RunPath, request: RequestId, as_json: Json = False) -> None:
    """Explain where a request went: every candidate, its scores, and why it was not eligible."""
    with reported():
        from fedsim.scenario.explain import explain as explanation_of

        found = explanation_of(run, request)
        if as_json:
            print_json(_json(found))
        else:
            from fedsim.cli.terminal import show
            from fedsim.report.explanation import explanation_report

            show(explanation_report(found))


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
