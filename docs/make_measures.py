"""Write the table of measures into ``docs/measures.md``, from the measures themselves.

``python docs/make_measures.py`` replaces what stands between the page's two markers. A test in
``tests/docs`` fails when the page and ``fedsim.results.measures`` disagree.
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from docs.blocks import between
from fedsim.results.measures import MEASURES, Measure

PAGE = Path(__file__).resolve().parent / "measures.md"
BEGIN = "<!-- measures: written by `python docs/make_measures.py` -->"
END = "<!-- end of the measures -->"


def rewritten(page: str) -> str:
    """Return the page with its table as the measures say.

    Raises:
        ValueError: The page lacks the markers.
    """
    return between(page, BEGIN, END, _table())


def _table() -> str:
    rows = [
        "| measure | formula | unit | better |",
        "|---|---|---|---|",
    ]
    for _, alike in groupby(MEASURES.values(), key=lambda measure: measure.formula):
        rows.append(_row(list(alike)))
    return "\n".join(rows) + "\n"


def _row(alike: list[Measure]) -> str:
    """Return the row of measures that have one formula."""
    first = alike[0]
    names = ", ".join(f"`{measure.name}`" for measure in alike)
    unit = "share" if first.unit == "%" else first.unit
    cells = (names, first.formula, unit, first.better or "")
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
