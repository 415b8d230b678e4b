"""Reading the catalogues' files, and refusing names that they do not have."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, cast

from fedsim.scenario.schema.base import shown, suggestion

Label = Literal["measured", "derived", "estimated", "user"]
"""How much a figure is worth; ``user`` for one that the user stated."""


class CatalogueError(ValueError):
    """A catalogue has no such figure.

    Args:
        message: What is wrong, as a sentence.
        remedy: What to write instead, as a sentence.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}"


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


@cache
def sources() -> dict[str, Source]:
    """Return the sources of all catalogues by their keys."""
    return {row["key"]: Source(cast(Label, row["label"]), row["text"]) for row in rows("sources")}


def unknown(noun: str, name: str, known: Iterable[str]) -> CatalogueError:
    """Return the error for a *name* that is not among the *known* ones.

    Args:
        noun: What it names, such as ``GPU profile``.
        name: The name.
        known: The names of the catalogue.
    """
    close = suggestion(name, list(known))
    remedy = close if close.startswith("Did you mean") else ""
    listing = "fedsim catalogue lists the names."
    message = f"There is no {noun} {shown(name)} in the catalogue."
    return CatalogueError(message, f"{remedy} {listing[:1].upper()}{listing[1:]}".strip())
