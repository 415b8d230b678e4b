"""What docs/architecture.md shows of additions: each diff applies, and what it adds works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

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
def test_none_is_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What uses an addition fails without it."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "use"}

    with pytest.raises(Exception):  # noqa: B017 - which one is the addition's affair
        exec(additions()[name][1].text, names)


RUN = """
import json, sys, traceback

failures = {}
for name, text in json.load(sys.stdin).items():
    try:
        exec(text, {"__name__": "use"})
    except Exception:
        failures[name] = traceback.format_exc()
print(json.dumps(failures))
"""


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """How the uses fail in a copy of the code with all additions, each having applied alone."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "fedsim", folder / "fedsim")
    shutil.copytree(ROOT / "scenarios", folder / "scenarios")
    patches = ["".join(block.text for block in diffs) for diffs, _ in additions().values()]
    for patch in patches:
        run(["git", "apply", "--check", "-"], folder, patch)
    for patch in patches:
        run(["git", "apply", "-"], folder, patch)
    uses = json.dumps({name: use.text for name, (_, use) in additions().items()})
    found: dict[str, str] = json.loads(run([sys.executable, "-c", RUN], folder, uses))
    return found


@pytest.mark.parametrize("name", FILES)
def test_addition(name: str, failures: dict[str, str]) -> None:
    """The diff touches as many files as it may, applies, and what it adds has an effect."""
    diffs, _ = additions()[name]
    patch = "".join(block.text for block in diffs)
    touched = set(re.findall(r"^\+\+\+ b/(\S+)", patch, re.MULTILINE))

    assert len(touched) == FILES[name], touched
    assert failures.get(name) is None


def run(command: list[str], folder: Path, given: str) -> str:
    """Run a command in *folder*, which is no part of a repository, and return what it prints."""
    own = {"PYTHONPATH": str(folder), "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **own},
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
