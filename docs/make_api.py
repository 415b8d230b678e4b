"""Write ``docs/api.md``, the list of the names in Python that a user may rely on.

``python docs/make_api.py`` writes it from the code. A test compares the names, so that none comes
or goes unnoticed; the sentences are those of the docstrings at the time of writing.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import fedsim

PAGE = Path(__file__).resolve().parent / "api.md"
CLASSES = ("Scenario", "Run", "Comparison", "Sweep", "Plan", "Headroom", "Explanation")
MODULES = (
    "fedsim.errors",
    "fedsim.federation.contracts",
    "fedsim.federation.runtime",
    "fedsim.federation.builder",
    "fedsim.federation.catalog",
    "fedsim.federation.context",
    "fedsim.federation.asyncio_runtime",
    "fedsim.adapters.choosers",
    "fedsim.results.diagnosis",
    "fedsim.scenario.catalogues.profile_files",
    "fedsim.studies.calibrate",
    "fedsim.studies.progress",
    "fedsim.testing",
)
_INTRODUCTION = """\
# The Python interface

These names stay as they are until the [changelog](../CHANGELOG.md) says otherwise; what is not
listed may change without notice. [tables.md](tables.md) has the columns of a run's tables,
[measures.md](measures.md) those of its summary, and [plugins.md](plugins.md) says how to write a
router, policy or strategy.
"""


def names() -> dict[str, list[str]]:
    """Return the public names by module, and the members of the exported classes."""
    found = {"fedsim": sorted(fedsim.__all__)}
    found |= {f"fedsim.{name}": sorted(_members(getattr(fedsim, name))) for name in CLASSES}
    for name in MODULES:
        found[name] = sorted(_defined(importlib.import_module(name)))
    return found


def listed() -> dict[str, list[str]]:
    """Return what the page lists, in the form of `names`."""
    parts = re.split(r"^## `([\w.]+)`\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {
        heading: re.findall(r"^- `(\w+)`", text, flags=re.MULTILINE)
        for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def page() -> str:
    """Return the text of the page."""
    return "\n".join([_INTRODUCTION, *_sections()]) + "\n"


def _sections() -> Iterator[str]:
    for heading, found in names().items():
        yield f"## `{heading}`\n"
        for name in found:
            text = _sentence(heading, name)
            yield f"- `{name}`: {text}" if text else f"- `{name}`"
        yield ""


def _defined(module: ModuleType) -> set[str]:
    """Return the public names of a module: those that it exports, or else all that it defines."""
    if hasattr(module, "__all__"):
        return set(module.__all__)
    found = set()
    for node in _tree(module).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {each.id for each in targets if isinstance(each, ast.Name)}
    return {name for name in found if not name.startswith("_")}


def _members(kind: type) -> set[str]:
    """Return the methods, properties, fields, and attributes that the constructor sets."""
    found = {*dir(kind), *getattr(kind, "__annotations__", {})}
    for node in ast.walk(_tree(sys.modules[kind.__module__])):
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__:
            for inner in ast.walk(node):
                if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store):
                    found.add(inner.attr)
    return {name for name in found if not name.startswith("_")}


def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def _sentence(heading: str, name: str) -> str:
    """Return the first sentence of what documents a name."""
    if name == "__version__":
        return "The version of the package."
    if heading.rpartition(".")[2] in CLASSES:
        owner = getattr(fedsim, heading.rpartition(".")[2])
        value = getattr(owner, name, None)
        if not (inspect.isroutine(value) or isinstance(value, property)):
            return _attribute(owner.__doc__ or "", name)
    else:
        value = getattr(importlib.import_module(heading), name)
    if not (inspect.isroutine(value) or isinstance(value, property | type)):
        return ""
    return (inspect.getdoc(value) or "").partition("\n")[0]


def _attribute(docstring: str, name: str) -> str:
    """Return what a class's docstring says of an attribute or argument."""
    match = re.search(
        rf"^ {{8}}{name}: (.*?)(?=^ {{0,8}}\S|\Z)", docstring, re.DOTALL | re.MULTILINE
    )
    return " ".join(match[1].split()) if match else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
