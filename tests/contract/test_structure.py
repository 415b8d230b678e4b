"""The shape of the code: no circles of imports, no function that does not fit a screen or two."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import fedsim

PACKAGE = Path(fedsim.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

LONGEST_FUNCTION_LINES = 60

TOGETHER = [
    {f"fedsim.{name}" for name in names.split()}
    for names in (
        # One idea over four files, which call back into each other.
        "federation.attempts federation.gateway federation.hedging federation.streams",
        # A result, and what its methods plot and save import when they are called.
        "studies.comparison studies.plots studies.storage",
        "studies.swept studies.sweep_plots studies.sweep_storage",
        "studies.plan.result studies.plan.plots studies.plan.storage studies.plan.words",
    )
]
"""Files that may need each other."""


def module_of(file: Path) -> str:
    """Return the name that a file is imported by."""
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_of(file): file for file in FILES}


def imported(file: Path) -> Iterator[str]:
    """Yield the modules of fedsim that a file imports, for types alone or in functions, too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                if whole in MODULES or node.module in MODULES:
                    yield whole if whole in MODULES else node.module


def together(module: str) -> set[str]:
    """Return the files that a file may need although they need it."""
    return next((names for names in TOGETHER if module in names), set())


def test_no_import_circles() -> None:
    """No file needs another that needs it, not even for its types."""
    graph = {
        module: set(imported(file)) - {module} - together(module)
        for module, file in MODULES.items()
    }

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" → ".join(error.args[1])) from None


def documented(node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.stmt | None:
    """Return a function's docstring."""
    return node.body[0] if ast.get_docstring(node) is not None else None


def lines_of(node: ast.stmt | None) -> int:
    """Return how many lines a statement takes."""
    return 0 if node is None else (node.end_lineno or node.lineno) - node.lineno + 1


def test_functions_fit_a_screen() -> None:
    """No function is longer than sixty lines, its docstring aside."""
    long = [
        f"{file.name}: {node.name}"
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and lines_of(node) - lines_of(documented(node)) > LONGEST_FUNCTION_LINES
    ]

    assert not long
