"""Directories that are whole as soon as they exist.

What goes into one is written next to it under another name and renamed into place, so that a run
which is cut off leaves nothing that looks like a result.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fedsim.errors import ArgumentError, ResultsError
from fedsim.results.files import unwritable, write_file

MANIFEST = "manifest.json"
"""The file by which the directory of a run is known."""

STUDY = "study.json"
"""The file by which the directory of a study is known."""

SCENARIO = "scenario.yaml"
"""The resolved scenario in such a directory."""

REPORT = "report.html"
"""The report as a page in such a directory, where it was asked for."""

PLUGINS = "plugin_directory"
"""The key of the manifest that holds the directory of the original scenario."""


@contextmanager
def whole_directory(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a new folder, which takes the name *target* once the block has ended well.

    A directory of that name is replaced if fedsim wrote it or if it is empty. If the block raises,
    the new folder is removed and *target* stays as it was.

    Raises:
        ResultsError: *target* exists and is something else, or cannot be written.
    """
    path = named(target).absolute()
    refuse_foreign(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent))
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield new
        new.chmod(0o755)
        _rename(new, path)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def write_json(path: Path, data: Any) -> None:
    """Write *data* as JSON for people, NaN as null."""
    from fedsim.results.manifest import json_text

    write_file(path, json_text(data) + "\n")


def dense_json(data: Any) -> str:
    """Return plain values, without NaN, as JSON on one line."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False)


def read_json(path: Path) -> Any:
    """Return what a JSON file of a run directory holds.

    Raises:
        ResultsError: It is missing or broken.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        msg = f"{path.parent} is not a run directory: it has no {path.name}"
        raise ResultsError(msg) from error
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read: {error}"
        raise ResultsError(msg) from error


def named(directory: object) -> Path:
    """Return the path that *directory* names; raises ``ArgumentError`` where it is none."""
    if isinstance(directory, str | os.PathLike):
        return Path(directory)
    message = f"A directory is a text or a path, not {directory!r:.40}."
    raise ArgumentError(message, 'Write "runs/mine".')


def plugin_directory(scenario: Path) -> Path:
    """Return where plug-ins may be that the file *scenario* names: next to it, as a rule.

    Those of a saved run's scenario are next to the one that it was run from, if that still exists.
    """
    if scenario.name == SCENARIO:
        named = _manifest(scenario.parent).get(PLUGINS)
        if isinstance(named, str) and Path(named).is_dir():
            return Path(named)
    return scenario.parent


def refuse_foreign(path: Path) -> None:
    """Check that *path* is free, empty, or a directory that fedsim wrote.

    Raises:
        ResultsError: It is something else, which must not be overwritten.
    """
    if is_free(path) or _manifest(path):
        return
    msg = f"{path} exists and is not a directory that fedsim wrote; choose another name"
    raise ResultsError(msg)


def is_free(path: Path) -> bool:
    """Return whether there is nothing at *path*, or a directory whose study never began."""
    if not path.exists():
        return True
    return path.is_dir() and all(each.name.startswith(f".{STUDY}.") for each in path.iterdir())


def _manifest(path: Path) -> dict[str, Any]:
    """Return the manifest of a directory that fedsim wrote, else an empty one.

    Other programs have files of those names, too.
    """
    for name in (STUDY, MANIFEST):
        try:
            manifest = json.loads((path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(manifest, dict) and "fedsim" in (manifest.get("versions") or {}):
            return manifest
    return {}


def _rename(new: Path, path: Path) -> None:
    """Give *new* the name *path*, and remove what had it before."""
    if not path.exists():
        new.rename(path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
    path.replace(old)
    new.rename(path)
    shutil.rmtree(old, ignore_errors=True)
