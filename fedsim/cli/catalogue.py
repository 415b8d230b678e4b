"""``fedsim catalogue``: the figures of the real world that a scenario can name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fedsim.cli.failures import reported
from fedsim.cli.options import Json
from fedsim.cli.output import print_json

if TYPE_CHECKING:
    from fedsim.report.catalogue import Listing

_Table = Annotated[
    str | None,
    typer.Argument(
        metavar="[gpus|prices|locations|failures]", help="The table.", show_default=False
    ),
]
_Word = Annotated[
    str | None,
    typer.Argument(
        metavar="[WORD]",
        help="Show what has this word in it; a location's name shows the round trips from there.",
        show_default=False,
    ),
]


def catalogue(table: _Table = None, word: _Word = None, as_json: Json = False) -> None:
    """List the GPU profiles, prices, locations and failure rates that a scenario can name."""
    with reported():
        from fedsim.cli.terminal import show
        from fedsim.report.catalogue import TABLES, listing_report, overview_report

        if table is None:
            overview = {name: make("") for name, make in TABLES.items()}
            if as_json:
                print_json({name: len(listing.rows) for name, listing in overview.items()})
            else:
                show(overview_report(overview))
            return
        listing = _listing(table, word or "")
        if as_json:
            print_json(listing.rows)
        else:
            show(listing_report(listing))


def _listing(table: str, word: str) -> Listing:
    """Return the rows of a table that have *word* in them.

    Raises:
        ScenarioError: There is no such table, or no such row.
    """
    from fedsim.errors import Problem, ScenarioError
    from fedsim.report.catalogue import TABLES
    from fedsim.scenario.catalogues.tables import close_to
    from fedsim.scenario.schema.base import suggestion

    if table not in TABLES:
        problem = Problem(f"There is no table {table!r}.", suggestion(table, list(TABLES)))
        raise ScenarioError([problem])
    listing = TABLES[table](word)
    if not listing.rows:
        names = [row["name"] for row in TABLES[table]("").rows]
        meant = close_to(word, names)
        remedy = f"Did you mean {meant}?" if meant else f"See fedsim catalogue {table} for all."
        raise ScenarioError([Problem(f"Nothing in {table} has {word!r} in it.", remedy)])
    return listing
