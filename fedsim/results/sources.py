"""Where the figures of a run come from, for its manifest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Label = Literal["measured", "derived", "estimated", "user"]
"""How much a figure is worth: ``measured`` as its source published or recorded it, ``derived`` from
such figures, ``estimated`` by a model, quoted at second hand or a default, ``user`` as stated."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that a run rests on.

    Attributes:
        path: Where it belongs in the scenario, such as ``pools.us-chat.cost``.
        value: The figure as a scenario would write it.
        label: How much it is worth.
        source: Where it comes from.
    """

    path: str
    value: str
    label: Label
    source: str


def count_by_label(figures: Iterable[Figure]) -> dict[Label, int]:
    """Return the number of figures with each label, 0 included."""
    labels = [figure.label for figure in figures]
    return {label: labels.count(label) for label in get_args(Label)}
