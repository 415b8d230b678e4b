"""Reading the catalogues' files, and refusing names that they do not have."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import cast

from fedsim.errors import RemediedError
from fedsim.results.sources import Label
from fedsim.scenario.schema.base import shown


class CatalogueError(RemediedError):
    """A catalogue has no such figure."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where figures come from.

    Attributes:
        label: How much they are worth.
        text: The source, for a person to find.
    """

    label: Label
    text: str


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of ``data/<name>.csv`` by column."""
    text = files(__package__).joinpath("data", f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def scaled(text: str, exponent: int) -> float:
    """Return a figure times that power of ten, as exact as if it had been written so."""
    return float(Decimal(text).scaleb(exponent))


@cache
def sources() -> dict[str, Source]:
    """Return the sources of all catalogues by their keys."""
    return {row["key"]: Source(cast(Label, row["label"]), row["text"]) for row in rows("sources")}


def unknown(noun: str, name: str, known: Iterable[str], table: str) -> CatalogueError:
    """Return the error for a *name* that is not among the *known* ones.

    Args:
        noun: What it names, such as ``GPU profile``.
        name: The name.
        known: The names of the catalogue.
        table: What ``fedsim catalogue`` calls it.
    """
    meant = close_to(name, known)
    remedy = f"Did you mean {meant}?" if meant else f"See fedsim catalogue {table} for all."
    return CatalogueError(f"There is no {noun} {shown(name)} in the catalogue.", remedy)


def close_to(name: str, known: Iterable[str]) -> str | None:
    """Return the *known* name that *name* is closest to, or None if it is close to none."""
    spellings = {_folded(each): each for each in known}
    close = get_close_matches(_folded(name), list(spellings), 1)
    return spellings[close[0]] if close else None


def _folded(name: str) -> str:
    """Return a name without case and blanks, which people leave out."""
    return name.casefold().replace(" ", "")
