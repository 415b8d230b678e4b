"""What ``fedsim catalogue`` prints on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedsim.cli.catalogue_listings import Heading, Listing, Row
from fedsim.cli.figures import MISSING, plain
from fedsim.cli.output import heading, paragraph, sentences, stdout
from fedsim.cli.tables import Column, print_table


def print_overview(tables: Mapping[str, Listing]) -> None:
    """Print which tables there are."""
    console = stdout()
    names = list(tables)
    print_table(
        console,
        [
            Column("table", names, left=True),
            Column("entries", [str(len(tables[name].rows)) for name in names]),
            Column("of", [tables[name].title for name in names], left=True),
        ],
        indent=0,
    )
    console.print()
    paragraph(
        console, "fedsim catalogue TABLE lists one, fedsim catalogue TABLE WORD a part of it."
    )


def print_listing(listing: Listing) -> None:
    """Print a table, and below its rows how much they are worth and where they come from."""
    console = stdout()
    paragraph(console, listing.title, style="bold")
    paragraph(console, listing.about)
    if not listing.grouped:
        console.print()
        print_table(console, _columns(listing, listing.rows))
        console.print()
        sentences(console, [f"{row['name']}: {_sources(row)}" for row in listing.rows])
        return
    groups: dict[str, list[Row]] = {}
    for row in listing.rows:
        groups.setdefault(_sources(row), []).append(row)
    for source, rows in groups.items():
        heading(console, source)
        print_table(console, _columns(listing, rows))


def _sources(row: Row) -> str:
    texts = [f"{row['label']}: {row['source']}"]
    if "mttr_source" in row:
        texts.append(f"mttr {row['mttr_label']}: {row['mttr_source']}")
    return "; ".join(texts)


def _columns(listing: Listing, rows: list[Row]) -> list[Column]:
    return [
        Column(
            each.text,
            [_cell(row[each.key], each) for row in rows],
            each.rank,
            left=isinstance(rows[0][each.key], str),
        )
        for each in listing.headings
        if any(row[each.key] not in (None, {}) for row in rows)
    ]


def _cell(value: Any, heading: Heading) -> str:
    if value is None or value == {}:
        return MISSING
    if isinstance(value, dict):
        return "/".join(f"{each * heading.scale:.1f}" for each in value.values())
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    if heading.decimals is None:
        return plain(value * heading.scale)
    return f"{value * heading.scale:,.{heading.decimals}f}"
