"""``fedsim verify``: fedsim against queueing theory, on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from fedsim.cli.failures import MISSED, reported
from fedsim.cli.options import Json, Workers
from fedsim.cli.output import print_json
from fedsim.cli.progress import progress_bar

_Seed = Annotated[
    int, typer.Option("--seed", min=0, metavar="N", help="The seed from which all runs follow.")
]


def verify(seed: _Seed = 1, workers: Workers = None, as_json: Json = False) -> None:
    """Check fedsim against queueing theory: small systems whose behavior is known, in a minute.

    Status 1 if a measured value differs from theory.
    """
    with reported():
        from fedsim.studies.verify import verify as run_verification

        with progress_bar(as_json) as report:
            result = run_verification(seed, workers=workers, progress=report)
        if as_json:
            print_json(result.to_json())
        else:
            from fedsim.cli.terminal import show
            from fedsim.report.verification import verification_report

            show(verification_report(result, f"fedsim verify --seed {seed}"))
        if result.differing:
            raise typer.Exit(MISSED)
