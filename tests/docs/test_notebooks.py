"""The notebooks run from top to bottom, and are committed as they ran."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

from notebooks.execute import FOLDER, execute

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of jupyter's own
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_runs(path: Path) -> None:
    """No cell fails or complains, and every cell gives what kind of output it is shown with."""
    found = execute(path)

    for cell, shown in zip(code_cells(found), code_cells(read(path)), strict=True):
        assert kinds(cell) == kinds(shown), cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_is_committed_executed(path: Path) -> None:
    """Every cell has been executed, in order, and names no place of somebody's machine."""
    notebook = read(path)

    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    text = path.read_text(encoding="utf-8")
    assert "/home/" not in text
    assert str(FOLDER.parent) not in text


def read(path: Path) -> Any:
    """Return a notebook."""
    return nbformat.read(path, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    """Return the cells of a notebook that can be executed."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell: Any) -> list[tuple[str, ...]]:
    """Return what kinds of output a cell has."""
    return [(each.output_type, *sorted(each.get("data", {}))) for each in cell.outputs]
