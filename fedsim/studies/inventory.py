"""What the directory of a study holds: its runs, the commands that repeat them, and a bundle."""

from __future__ import annotations

import os
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from fedsim.errors import ResultsError
from fedsim.results.manifest import json_text
from fedsim.results.rundir import PLUGINS, SCENARIO, STUDY, named
from fedsim.studies.cells import (
    PlannedRun,
    plugin_sources,
    source_digest,
    texts_in,
)
from fedsim.studies.records import state_of
from fedsim.studies.repeating import repeat_command, study_command
from fedsim.studies.store import Store

_TIME = (1980, 1, 1, 0, 0, 0)
"""The time of every file in a bundle, the first that the format has."""

_README = """\
A fedsim study.

scenario.yaml  what was run
study.json     the cells with their seeds, versions of the libraries, the digests of plug-ins
runs.json      what each run came to: seed, digest, state, error, and the command that repeats it
plugins/       the sources of the scenario's own plug-ins
files.json     the SHA-256 of each file that the scenario names, such as a trace

{command}

Repeat one run with its command from {where}, with the path of scenario.yaml in place
of the one that it has. The digest is the same with the same versions and files.
"""

_NO_COMMAND = """\
The study was made in Python, with seeds or objects that no command line can name. Repeat its runs
one by one."""


class Inventory:
    """The runs of the study in a directory, read from its files alone.

    Args:
        directory: The directory.

    Raises:
        ResultsError: It is not a study's, or is broken.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._store = Store.open(directory)
        self._manifest = self._store.manifest
        self.directory = self._store.directory

    @property
    def name(self) -> str:
        """The scenario's name."""
        return str(self._manifest["name"])

    @property
    def kind(self) -> str:
        """What the study is, such as ``comparison``."""
        return str(self._manifest["kind"])

    @property
    def version(self) -> str:
        """The version of fedsim that made it."""
        return str(self._manifest["versions"]["fedsim"])

    @property
    def created(self) -> str:
        """When it began, in UTC."""
        return str(self._manifest["created"])

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """A mapping per run that was ever asked for, the last command's first.

        Keys ``id``, ``key``, ``replication``, ``seed``, ``digest`` (empty unless done), ``state``
        (``done``, ``failed`` or ``missing``), ``error`` (empty unless failed) and ``command``.
        """
        return [self._row(run) for run in self._store.planned(asked=False)]

    @property
    def command(self) -> str:
        """The command line that makes the whole study again; empty where none can."""
        return self._command(str(self.directory / SCENARIO))

    def to_json(self) -> dict[str, Any]:
        """Return the inventory as plain values."""
        return {
            "name": self.name,
            "kind": self.kind,
            "directory": str(self.directory),
            "created": self.created,
            "versions": self._manifest["versions"],
            "options": self._manifest["options"],
            "command": self.command,
            "runs": self.rows,
        }

    def bundle(self, file: str | os.PathLike[str]) -> Path:
        """Write an archive from which others can repeat the study; the same study gives the same.

        It holds the scenario, ``study.json``, the runs with their commands, the sources of
        plug-ins, and the SHA-256 of each file that the scenario names.

        Args:
            file: The archive; one of that name is replaced.

        Raises:
            ResultsError: It cannot be written, or a plug-in has changed since the runs were made.
        """
        path = named(file)
        plugins = self._plugins()
        held = {
            "README.txt": self._readme("plugins" if plugins else "").encode(),
            SCENARIO: (self.directory / SCENARIO).read_bytes(),
            STUDY: (self.directory / STUDY).read_bytes(),
            "runs.json": _json(self.rows),
            "files.json": _json(self._files()),
            **plugins,
        }
        try:
            with ZipFile(path, "w") as archive:
                for name in sorted(held):
                    info = ZipInfo(name, _TIME)
                    info.compress_type, info.external_attr = ZIP_DEFLATED, 0o644 << 16
                    archive.writestr(info, held[name])
        except OSError as error:
            msg = f"cannot write {path}: {error.strerror or error}; choose another file"
            raise ResultsError(msg) from error
        return path

    def _row(self, run: PlannedRun) -> dict[str, Any]:
        state = state_of(self._store.result(run))
        return {
            "id": run.id,
            "key": dict(run.cell.key),
            "replication": run.cell.replication,
            "seed": run.seed,
            **state,
            "digest": state["digest"] or "",
            "command": repeat_command(str(self.directory / SCENARIO), run),
        }

    def _command(self, scenario: str) -> str:
        return study_command(scenario, self._manifest, self._store.planned())

    def _readme(self, folder: str) -> str:
        """Return the text of ``README.txt``; commands run in that folder of the archive."""
        up, where = ("../", f"the folder {folder}/") if folder else ("", "this folder")
        command = self._command(up + SCENARIO)
        how = f"Make the whole study again, from {where}:\n\n  {command} --out {up}again"
        return _README.format(command=how if command else _NO_COMMAND, where=where)

    def _files(self) -> dict[str, str]:
        """Return the SHA-256 of each file that the scenario or a change of it names."""
        folder, found = Path(self._manifest[PLUGINS]), {}
        changes = [cell["changes"] for cell in self._manifest["cells"]]
        for text in texts_in([self._manifest["scenario"], changes]):
            try:
                found[text] = sha256((folder / text).read_bytes()).hexdigest()
            except (OSError, ValueError):
                if text.startswith("/"):
                    found[text] = "missing"
        return dict(sorted(found.items()))

    def _plugins(self) -> dict[str, bytes]:
        """Return the sources of plug-ins by their names in the archive.

        Raises:
            ResultsError: One is not what the runs were made with.
        """
        folder, held = Path(self._manifest[PLUGINS]), {}
        for text, digest in sorted(self._manifest["plugins"].items()):
            sources = plugin_sources(text, folder)
            if sources is None:
                continue  # a file, or an object given in Python
            if not sources:
                msg = f"{text} is not found; go to the directory in which the study was made"
                raise ResultsError(msg)
            if source_digest(sources) != digest:
                msg = (
                    f"the source of {text} has changed since the runs were made; restore it, or "
                    "make the study again with --fresh"
                )
                raise ResultsError(msg)
            for path, source in sources.items():
                held[_place(path, folder)] = source
        return held


def _place(path: Path, folder: Path) -> str:
    """Return where in an archive a source goes: as it lies by the scenario, or where one works."""
    for root in (folder.resolve(), Path.cwd().resolve()):
        if path.is_relative_to(root):
            return f"plugins/{path.relative_to(root).as_posix()}"
    return f"plugins/{path.name}"


def _json(data: Any) -> bytes:
    return (json_text(data) + "\n").encode()
