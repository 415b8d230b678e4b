"""The fenced blocks of the documentation's pages, and how they are run.

The words after the language say what a block is; Markdown renderers do not show them.

- ``yaml``: a whole scenario. ``yaml first.yaml``: the same, and the file of that name.
- ``yaml fragment``: keys that are merged into ``tests/docs/base.yaml``.
- ``python``: run in the page's folder, all of a page in one namespace. ``python my_routers.py``:
  the file of that name. ``python slow``: left to ``make docs`` and the slow tests.
- ``console``: lines that begin with ``$`` are run in the page's folder, the others are what came
  out. A ``fedsim`` that a line begins with is run in this process. ``console slow``: as above.
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
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from fedsim.cli.app import app

ROOT = Path(__file__).resolve().parent.parent
"""The repository."""

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
"""The pages whose blocks are run."""

_TERMINAL = {"COLUMNS": "100", "NO_COLOR": "1"}
"""The terminal that outputs are made for."""

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
            left_out = before if block.language == "text" else block
            if left_out is not None and left_out.word == "slow" and not slow:
                continue
            if block.is_file:
                (folder / block.word).write_text(block.text, encoding="utf-8")
            elif block.language == "python":
                printed = _run_python(block, namespace)
            elif block.language == "text" and block.word == "output":
                yield Output(block, printed)
            elif block.language == "console":
                yield Output(block, _run_console(block, folder))


def _run_python(block: Block, namespace: dict[str, Any]) -> str:
    """Run a block and return what it printed."""
    code = compile("\n" * block.line + block.text, str(block.page), "exec")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, namespace)
    return _trimmed(printed.getvalue())


def lines_of(block: Block) -> list[str]:
    """Return the commands of a console's block, each with all that it is combined with."""
    return re.findall(r"^\$ (.*(?:\\\n.*)*)", block.text, re.MULTILINE)


def _run_console(block: Block, folder: Path) -> str:
    """Run the commands of a block, and return them with what they print."""
    parts = []
    for command in lines_of(block):
        printed = _run_command(command, folder)
        if "Traceback" in printed:
            msg = f"{block}: {command}\n{printed}"
            raise RuntimeError(msg)
        parts.append(f"$ {command}\n{_trimmed(printed)}")
    return "\n".join(parts)


def _run_command(command: str, folder: Path) -> str:
    """Run a command and return what it prints.

    The ``fedsim`` that it begins with runs here, where all is imported, and a shell that runs the
    rest of the line finds what it printed.
    """
    programs = folder / ".bin"
    programs.mkdir(exist_ok=True)
    _write_script(programs / "python", f'exec "{sys.executable}" "$@"')
    _write_script(programs / "fedsim", f'exec "{sys.executable}" -m fedsim "$@"')
    words, is_all = first_command(command)
    if words[0] == "fedsim":
        done = _run_here(words[1:], folder)
        if is_all:
            return done.output
        for name, text in (("out", done.stdout), ("err", done.stderr)):
            (programs / name).write_text(text, encoding="utf-8")
        replay = f'cat "{programs}/out"; cat "{programs}/err" >&2; exit {done.exit_code}'
        _write_script(programs / "fedsim", replay)
    return subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env={
            **os.environ,
            **_TERMINAL,
            "PATH": os.pathsep.join([str(programs), os.environ.get("PATH", "")]),
            "PYTHONPATH": str(ROOT),
            "MPLBACKEND": "Agg",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    ).stdout


def first_command(line: str) -> tuple[list[str], bool]:
    """Return the words of the first command of a line, and whether that is all of the line."""
    split = shlex.shlex(line.replace("\\\n", " "), posix=True, punctuation_chars=True)
    split.whitespace_split = True
    words = list(split)
    end = next((place for place, word in enumerate(words) if set(word) <= set("|;&<>()")), None)
    return words[:end], end is None


def _run_here(words: list[str], folder: Path) -> Result:
    """Run a command of fedsim in this process, and forget what it imported from *folder*."""
    known = set(sys.modules)
    done = CliRunner().invoke(app, words, prog_name="fedsim", env=_TERMINAL)
    _forget(folder, set(sys.modules) - known)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def _write_script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


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
            _forget(folder, list(sys.modules))


def _forget(folder: Path, names: Iterable[str]) -> None:
    """Let modules of *folder* be imported again, as they will be then."""
    for name in names:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and Path(file).is_relative_to(folder):
            del sys.modules[name]
