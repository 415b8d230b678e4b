"""``fedsim diff``: what differs between two runs or two studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedsim.cli.failures import MISSED, reported
from fedsim.cli.options import Json
from fedsim.cli.output import print_json

First = Annotated[Path, typer.Argument(metavar="A", help="A run or study.", show_default=False)]
Second = Annotated[
    Path, typer.Argument(metavar="B", help="Another of the same kind.", show_default=False)
]


def diff(first: First, second: Second, as_json: Json = False) -> None:
    """Show what differs: of runs exactly, of studies what is beyond chance. Status 1 if anything.

    Of studies it also shows the smallest difference that could have been seen.
    """
    with reported():
        from fedsim.testing.diff import diff as difference

        found = difference(first, second)
        if as_json:
            from fedsim.document import to_json

            print_json(to_json(found.document) | {"differs": found.differs})
        else:
            from fedsim.cli.terminal import show

            show(found.document)
        if found.differs:
            raise typer.Exit(MISSED)
