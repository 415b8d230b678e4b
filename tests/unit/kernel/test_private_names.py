"""What stands above the kernel uses none of its private names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import fedsim

ROOT = Path(fedsim.__file__).parent
PRIVATE = re.compile(r"_[A-Za-z]\w*")
SIMPY = {"_queue", "_eid", "_now", "_ok", "_value", "_defused"}
"""What SimPy's own code calls the queue, the clock and the state of an event."""


def private_uses(source: str) -> list[str]:
    """Return the private names that a module takes from elsewhere than its own classes."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            ("fedsim.kernel", "simpy")
        ):
            found += [alias.name for alias in node.names if PRIVATE.fullmatch(alias.name)]
        if isinstance(node, ast.Attribute) and PRIVATE.fullmatch(node.attr):
            owner = node.value
            own = isinstance(owner, ast.Name) and owner.id in {"self", "cls"}
            if node.attr in SIMPY and not own:
                found.append(f"{ast.unparse(owner)}.{node.attr}")
            elif isinstance(owner, ast.Attribute | ast.Name) and not own:
                name = owner.attr if isinstance(owner, ast.Attribute) else owner.id
                if name.lstrip("_") in {"env", "event", "task", "tasks", "loop", "wake", "signal"}:
                    found.append(f"{ast.unparse(owner)}.{node.attr}")
    return found


@pytest.mark.parametrize("package", ["world", "workload", "federation", "adapters", "scenario"])
def test_no_private_name_of_the_kernel(package):
    """No module imports a private name of the kernel, or reads one from its objects."""
    used = {
        str(path.relative_to(ROOT)): names
        for path in sorted((ROOT / package).rglob("*.py"))
        if (names := private_uses(path.read_text(encoding="utf-8")))
    }

    assert not used


@pytest.mark.parametrize(
    "line",
    [
        "heappush(env._queue, 1)",
        "now_s = self._env._now",
        "self.env._schedule(job)",
        "from fedsim.kernel.tasks import _Scope",
    ],
)
def test_finds_private_names(line):
    """Each way to use one is found."""
    assert private_uses(line)
