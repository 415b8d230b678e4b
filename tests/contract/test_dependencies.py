"""What the package depends on is what its code imports."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

MODULES = {"pyyaml": "yaml"}
"""The module of a package whose name is another."""

OF_EXTRAS = {"distributed", "perfetto", "pytest"}
"""Modules that a part other than the adapters imports where its extra or host is installed."""

OF_DEPENDENCIES = {"annotated_types", "pydantic_core"}
"""Modules of packages that a dependency brings along and documents as its own interface."""


def imported(folder):
    """Return the packages that the modules under *folder* import, the standard library left out."""
    found = set()
    for path in Path(folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {each.name.partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add((node.module or "").partition(".")[0])
    return found - set(sys.stdlib_module_names)


def test_dependencies():
    """Every one is imported; nothing else is, but by adapters, whose packages are extras."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.split(r"[^\w-]", each)[0] for each in project["dependencies"]]
    wanted = {MODULES.get(name, name) for name in names}
    adapted = imported("fedsim/adapters") - wanted

    assert imported("fedsim") - adapted - OF_EXTRAS - OF_DEPENDENCIES - {"fedsim"} == wanted
