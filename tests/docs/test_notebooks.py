"""The notebooks run from top to bottom, and are committed as they ran."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

from notebooks.execute import FOLDER, execute

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


SHORTER = {
    "compare_strategies": {
        '"duration": "5min"': '"duration": "30s"',
        '"warmup": "1min"': '"warmup": "5s"',
        '"at": "2min", "lasts": "75s"': '"at": "12s", "lasts": "10s"',
        "replications=3": "replications=2",
        "workers=2": "workers=1",
    },
    "first_steps": {'"duration": "10min"': '"duration": "7min"', "workers=2": "workers=1"},
}
"""What to replace in the cells of each notebook, so that they take a second or two."""

LONG = {"pitfalls", "plan_a_lost_region", "staleness", "two_gpus", "your_own_router_and_its_tests"}
"""Notebooks that are not made shorter, and run among the slow tests alone."""


@pytest.mark.parametrize(
    "path", [path for path in NOTEBOOKS if path.stem not in LONG], ids=lambda path: path.name
)
def test_cells_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell runs with the fedsim of today, if on less."""
    import pandas as pd

    code = "\n".join(cell.source for cell in code_cells(read(path)))
    for words, other in SHORTER[path.stem].items():
        assert words in code, words
        code = code.replace(words, other)
    monkeypatch.chdir(FOLDER)
    with pd.option_context("display.precision", 3):
        exec(code, {"__name__": "__main__"})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of jupyter's own
def test_a_notebook_is_executed(tmp_path: Path) -> None:
    """Outputs come in, and nothing that tells when and where."""
    cells = [nbformat.v4.new_code_cell("x = 6"), nbformat.v4.new_code_cell("x * 7")]
    file = tmp_path / "small.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), file)

    found = execute(file)

    assert [cell.execution_count for cell in found.cells] == [1, 2]
    assert found.cells[1].outputs[0]["data"] == {"text/plain": "42"}
    assert not found.cells[1].metadata


@pytest.mark.slow
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
