"""Plug-ins of another commit: ``git:REF:module:Class``, from a temporary worktree of REF.

What lies in the repository comes from that commit, the plug-in's own imports included. So it runs
in processes of its own, in which every place of the repository is that of the worktree.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedsim.errors import Problem, ScenarioError

PREFIX = "git:"


@dataclass(frozen=True, slots=True)
class Committed:
    """A plug-in of a commit.

    Attributes:
        plugin: Its text, ``module:Class``.
        commit: The commit's hash.
    """

    plugin: str
    commit: str


@dataclass(frozen=True, slots=True)
class Tree:
    """A worktree of a repository.

    Attributes:
        root: The repository.
        place: The worktree.
        folder: The temporary folder that it lies in, which goes with it.
    """

    root: Path
    place: Path
    folder: Path

    def inside(self, path: Path) -> Path:
        """Return the counterpart of a path of the repository; another path as it is.

        A virtual environment may lie in the repository, and is no part of it.
        """
        if path.absolute().is_relative_to(sys.prefix):
            return path
        whole = path.resolve()
        return (
            self.place / whole.relative_to(self.root) if whole.is_relative_to(self.root) else path
        )

    def enter(self) -> None:
        """Let this process import from the worktree what it would from the repository."""
        house = Path(__file__).resolve().parents[2]
        here = self.inside(Path.cwd())
        here.mkdir(parents=True, exist_ok=True)
        known = [Path(place or ".") for place in sys.path]
        others = [place if place.resolve() == house else self.inside(place) for place in known]
        os.chdir(here)
        sys.path[:] = [str(here), *map(str, others)]


class Commits:
    """Finds the plug-ins of commits in what a variant changes.

    Args:
        directory: Where their modules may be, in addition to the current directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[str, Committed] = {}

    def resolved(self, changes: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """Return *changes* with ``module:Class`` for ``git:REF:module:Class``, and the commit.

        The commit is empty where they name none.

        Raises:
            ScenarioError: A commit or module is not there, or there are several commits.
        """
        found: dict[str, None] = {}
        plain = {path: self._plain(value, found) for path, value in changes.items()}
        if len(found) > 1:
            message = "The plug-ins of a variant come from one commit, and these come from several."
            raise _wrong(message, "Write the same REF in all of them.")
        return plain, next(iter(found), "")

    def _plain(self, value: Any, commits: dict[str, None]) -> Any:
        if isinstance(value, Mapping):
            return {self._plain(k, commits): self._plain(v, commits) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self._plain(each, commits) for each in value]
        if not isinstance(value, str) or not value.startswith(PREFIX):
            return value
        if value not in self._known:
            self._known[value] = committed(value, self._directory)
        commits[self._known[value].commit] = None
        return self._known[value].plugin


def committed(text: str, directory: Path) -> Committed:
    """Return the plug-in that ``git:REF:module:Class`` names.

    Args:
        text: Such a text.
        directory: Where its module may be, in addition to the current directory.

    Raises:
        ScenarioError: There is no repository, no such commit, or no such module in it.
    """
    parts = text.removeprefix(PREFIX).split(":")
    if len(parts) != 3 or not all(parts) or parts[0].startswith("-"):
        message = f"{text!r} is not of the form git:REF:module:Class."
        raise _wrong(message, "Write for instance git:main:my_routers:Sticky.")
    ref, module, name = parts
    root = repository()
    commit = git(root, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    if commit is None:
        message = f"{root} has no commit {ref!r}."
        raise _wrong(message, "Name a branch, tag or commit; git fetch gets those of others.")
    places = dict.fromkeys(each.resolve() for each in (Path.cwd(), directory))
    below = [place.relative_to(root) for place in places if place.is_relative_to(root)]
    path = module.replace(".", "/")
    files = [place / f"{path}{end}" for place in below for end in (".py", "/__init__.py")]
    if all(git(root, "cat-file", "-e", f"{commit}:{file.as_posix()}") is None for file in files):
        message = f"{ref} ({commit[:12]}) has no {' or '.join(map(str, files))} for {module}."
        raise _wrong(message, "Commit it there, or go to the directory that it is imported from.")
    return Committed(f"{module}:{name}", commit)


def repository() -> Path:
    """Return the root of the repository of the current directory.

    Raises:
        ScenarioError: There is none, or git is not installed.
    """
    found = git(Path.cwd(), "rev-parse", "--show-toplevel")
    if found is None:
        message = f"{Path.cwd()} is in no git repository, in which git:REF:module:Class could be."
        raise _wrong(message, "Go to a directory of the repository; git has to be installed.")
    return Path(found).resolve()


@contextmanager
def worktree(commit: str) -> Iterator[Tree]:
    """Yield a temporary worktree of a commit, which is removed afterwards.

    Raises:
        ScenarioError: There is no repository, or git cannot make it.
    """
    root = repository()
    folder = Path(tempfile.mkdtemp(prefix="fedsim-")).resolve()
    place = folder / commit[:12]
    try:
        if git(root, "worktree", "add", "--detach", "--quiet", str(place), commit) is None:
            message = f"git cannot make a worktree of {commit} in {folder}."
            raise _wrong(message, f"See what git -C {root} worktree add says.")
        yield Tree(root, place, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        git(root, "worktree", "prune")


def git(folder: Path, *words: str) -> str | None:
    """Return what git prints in a folder; None where it fails."""
    command: Sequence[str] = ("git", "-C", str(folder), *words)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _wrong(message: str, remedy: str) -> ScenarioError:
    return ScenarioError([Problem(message, remedy)])
