"""The fenced blocks of the documentation's pages, and how they are run.

The words after the language say what a block is; Markdown renderers do not show them.

- ``yaml``: a whole scenario. ``yaml first.yaml``: the same, and the file of that name.
- ``yaml fragment``: keys that are merged into ``tests/docs/base.yaml``.
- ``python``: run in the page's folder, all of a page in one namespace. ``python my_routers.py``:
  the file of that name.
- ``console``: lines that begin with ``$`` are run in the page's folder, the others are what came
  out. ``console slow``: the same, but left to ``make docs`` and the slow tests.
- ``text output``: what the ``python`` block before it printed.
- ``diff``: a change of fedsim's own code. The ``python`` block that follows needs it, so
  ``tests/docs/test_additions.py`` runs it, in a copy of the code with the change.
- anything else is not run.

``tests/docs`` runs the pages and compares outputs with all figures masked, so that a change of the
figures breaks no test; ``make docs`` writes the outputs again.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
"""The repository."""

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
"""The pages whose blocks are run."""

COLUMNS = "100"
"""Width of the terminal that outputs are made for."""

_FENCE = re.compile(r"^```(?P<words>[^`\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_FIGURE = re.compile(r"[-+−]?\d[\d,]*(\.\d+)?([eE][-+]?\d+)?")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        page: The page.
        line: One-based line of its opening fence.
        language: The first word after the fence, or empty.
        word: The second one, or empty.
        text: What stands between the fences.
        span: Where *text* stands in the page.
    """

    page: Path
    line: int
    language: str
    word: str
    text: str
    span: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_file(self) -> bool:
        """Whether it is written to the file that its second word names."""
        return "." in self.word


@dataclass(frozen=True, slots=True)
class Output:
    """What came out where a block shows an output.

    Attributes:
        block: The block that shows it.
        text: The block's text as it would be now.
    """

    block: Block
    text: str


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    content = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(content):
        language, word = (*match["words"].split(), "", "")[:2]
        line = content.count("\n", 0, match.start()) + 1
        found.append(Block(page, line, language, word, match["text"], match.span("text")))
    return found


def between(text: str, begin: str, end: str, content: str) -> str:
    """Return the text of a page with *content* between two markers.

    Raises:
        ValueError: The page lacks the markers.
    """
    before, opened, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not opened or not closed:
        msg = f"the page lacks the markers {begin!r} and {end!r}"
        raise ValueError(msg)
    return f"{before}{begin}\n\n{content}\n{end}{after}"


def masked(output: str) -> str:
    """Return an output with its figures masked and its blanks made one."""
    return " ".join(_FIGURE.sub("#", output).split())


def run_page(page: Path, folder: Path, *, slow: bool) -> Iterator[Output]:
    """Run the blocks of a page in order, in *folder*, and yield each output that it shows.

    Args:
        page: The page.
        folder: An empty folder, which gets a copy of the repository's scenarios.
        slow: Whether to run the slow blocks too.
    """
    found = blocks(page)
    if not any(block.language in {"python", "console"} for block in found):
        return
    shutil.copytree(ROOT / "scenarios", folder / "scenarios")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    printed = ""
    with _inside(folder):
        for before, block in zip([None, *found], found, strict=False):
            if before is not None and before.language == "diff":
                continue
            if block.is_file:
                (folder / block.word).write_text(block.text, encoding="utf-8")
            elif block.language == "python":
                printed = _run_python(block, namespace)
            elif block.language == "text" and block.word == "output":
                yield Output(block, printed)
            elif block.language == "console" and (slow or block.word != "slow"):
                yield Output(block, _run_console(block, folder))


def _run_python(block: Block, namespace: dict[str, Any]) -> str:
    """Run a block and return what it printed."""
    code = compile("\n" * block.line + block.text, str(block.page), "exec")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, namespace)
    return _trimmed(printed.getvalue())


def _run_console(block: Block, folder: Path) -> str:
    """Run the commands of a block, and return them with what they print."""
    parts = []
    for command in re.findall(r"^\$ (.*(?:\\\n.*)*)", block.text, re.MULTILINE):
        done = subprocess.run(
            command,
            shell=True,
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if "Traceback" in done.stdout:
            msg = f"{block}: {command}\n{done.stdout}"
            raise RuntimeError(msg)
        parts.append(f"$ {command}\n{_trimmed(done.stdout)}")
    return "\n".join(parts)


def _environment(folder: Path) -> dict[str, str]:
    """Return an environment with this ``fedsim`` and ``python``, on a terminal of fixed width."""
    programs = folder / ".bin"
    programs.mkdir(exist_ok=True)
    for name, arguments in (("fedsim", ' -m fedsim "$@"'), ("python", ' "$@"')):
        script = programs / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}"{arguments}\n', encoding="utf-8")
        script.chmod(0o755)
    path = os.pathsep.join([str(programs), os.environ.get("PATH", "")])
    own = {"PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": COLUMNS, "NO_COLOR": "1"}
    return {**os.environ, **own, "MPLBACKEND": "Agg"}


def _trimmed(text: str) -> str:
    lines = [line.rstrip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    while lines and not lines[0]:
        lines.pop(0)
    return "".join(f"{line}\n" for line in lines)


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Work in *folder*, import from it, and forget afterwards what was imported from there."""
    with contextlib.chdir(folder):
        sys.path.insert(0, str(folder))
        try:
            yield
        finally:
            sys.path.remove(str(folder))
            for name, module in list(sys.modules.items()):
                file = getattr(module, "__file__", None)
                if file is not None and Path(file).is_relative_to(folder):
                    del sys.modules[name]
