"""The public interface is what docs/api.md lists: no name comes or goes unnoticed."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import fedsim

PAGE = Path("docs/api.md")
CLASSES = ("Scenario", "Run", "Comparison", "Explanation")


def listed():
    """Return the names that the page lists under each heading."""
    parts = re.split(r"^## `([\w.]+)`\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {
        heading: re.findall(r"^- `(\w+)`", text, flags=re.MULTILINE)
        for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }


LISTED = listed()
MODULES = [name for name in LISTED if name.rpartition(".")[2] not in CLASSES and name != "fedsim"]


def defined(module):
    """Return the public names of a module: those that it says, or else those that it defines."""
    if hasattr(module, "__all__"):
        return set(module.__all__)
    names = set()
    for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {each.id for each in targets if isinstance(each, ast.Name)}
    return {name for name in names if not name.startswith("_")}


def test_package():
    """The package exports what the page lists, and each name can be imported."""
    assert sorted(LISTED["fedsim"]) == sorted(fedsim.__all__)
    for name in fedsim.__all__:
        assert getattr(fedsim, name) is not None


@pytest.mark.parametrize("name", MODULES)
def test_module(name):
    """A public module has the names that the page lists, and no others."""
    module = importlib.import_module(name)

    assert sorted(LISTED[name]) == sorted(defined(module))
    for each in LISTED[name]:
        assert hasattr(module, each)


@pytest.mark.parametrize("name", CLASSES)
def test_members(name):
    """A class that the package exports has the attributes and methods that the page lists."""
    kind = getattr(fedsim, name)
    members = {each for each in dir(kind) if not each.startswith("_")}
    members |= {each for each in getattr(kind, "__annotations__", {}) if not each.startswith("_")}

    assert sorted(LISTED[f"fedsim.{name}"]) == sorted(members)
