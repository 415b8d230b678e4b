"""``fedsim timeline``: a run as a trace that a browser shows, request by request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedsim.cli.failures import reported

RunPath = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="The directory of a run.", show_default=False),
]
Target = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE", help="The file to write; default RUN.pftrace."),
]


def timeline(run: RunPath, out: Target = None) -> None:
    """Write a run as a Perfetto trace: every request at its gateway and in the slot of its node.

    Open it at https://ui.perfetto.dev. Needs the extra timeline.
    """
    with reported():
        from fedsim.results.files import require_own, write_file
        from fedsim.results.packets import MARK
        from fedsim.results.perfetto import perfetto_trace
        from fedsim.results.run import Run

        file = out or Path(f"{run.resolve().name}.pftrace")
        require_own(file, MARK, "a trace")
        trace = perfetto_trace(Run.load(run))
        write_file(file, trace.data)
        of = "all" if trace.requests == trace.of else f"{trace.requests:,} of"
        part = "" if trace.requests == trace.of else ", evenly spread over the arrivals"
        typer.echo(
            f"{file}: {of} {trace.of:,} requests{part}; {trace.events:,} events, "
            f"{len(trace.data) / 1e6:.1f} MB. Open it at https://ui.perfetto.dev."
        )
