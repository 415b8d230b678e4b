"""Write the columns of each table into ``docs/tables.md``, from their declaration.

``python docs/make_tables.py`` replaces what stands between the markers of each table. A test in
``tests/docs`` fails when the page and ``fedsim.results.columns`` disagree.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from docs.blocks import between
from fedsim.results.columns import TABLES
from fedsim.results.rows import Column, Table

PAGE = Path(__file__).resolve().parent / "tables.md"
BEGIN = "<!-- {}: written by `python docs/make_tables.py` -->"
END = "<!-- end of {} -->"


def rewritten(page: str) -> str:
    """Return the page with the columns as they are declared.

    Raises:
        ValueError: The page lacks the markers of a table.
    """
    for table in TABLES.values():
        begin, end = BEGIN.format(table.name), END.format(table.name)
        page = between(page, begin, end, _columns(table))
    return page


def _columns(table: Table) -> str:
    rows = ["| column | dtype | unit | what it holds |", "|---|---|---|---|"]
    rows += map(_row, table.shown)
    return "\n".join(rows) + "\n"


def _row(column: Column) -> str:
    cells = (f"`{column.name}`", column.kind.dtype, column.kind.unit, column.description)
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
