"""What docs/architecture.md shows of additions: each diff applies, and what it adds works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs.blocks import ROOT, Block, blocks

PAGE = ROOT / "docs" / "architecture.md"

FILES = {"policy": 1, "fault kind": 2, "column": 2, "measure": 1, "setting": 1}
"""What can be added, and in how many files."""


def additions() -> dict[str, tuple[list[Block], Block]]:
    """Return the diffs of each addition and the block that uses it, by the name in its heading."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    found: dict[str, tuple[list[Block], Block]] = {}
    diffs: list[Block] = []
    for block in blocks(PAGE):
        if block.language == "diff":
            diffs.append(block)
        elif diffs:
            headings = [line for line in lines[: block.line] if line.startswith("#")]
            found[headings[-1].removeprefix("### A ")] = (diffs, block)
            diffs = []
    return found


def test_every_addition_is_shown() -> None:
    """The page has a section for each."""
    assert sorted(additions()) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_addition(name: str, tmp_path: Path) -> None:
    """The diff touches as many files as it may, applies, and what it adds has an effect."""
    diffs, use = additions()[name]
    patch = "".join(block.text for block in diffs)
    touched = set(re.findall(r"^\+\+\+ b/(\S+)", patch, re.MULTILINE))
    assert len(touched) == FILES[name], touched
    shutil.copytree(
        ROOT / "fedsim", tmp_path / "fedsim", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copytree(ROOT / "scenarios", tmp_path / "scenarios")
    (tmp_path / "use.py").write_text(use.text, encoding="utf-8")

    without = run([sys.executable, "use.py"], tmp_path)
    applied = run(["git", "apply", "--verbose", "-"], tmp_path, patch)
    done = run([sys.executable, "use.py"], tmp_path)

    assert without.returncode != 0, "the example works without the addition"
    assert applied.returncode == 0, applied.stderr
    assert done.returncode == 0, done.stderr


def run(
    command: list[str], folder: Path, given: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in *folder*, which is no part of a repository."""
    own = {"PYTHONPATH": str(folder), "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **own},
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
