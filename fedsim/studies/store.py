"""A study's directory, whose files are the whole truth about it.

``study.json`` says what the study is of and which runs it has planned; it is there before the
first run. Each run that is done has a file in ``runs/``, and each that failed one in ``failed/``.
A file is written under another name and renamed once it is on the disk, so that it is whole as
soon as it exists. What else a directory holds is made from these.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fedsim.errors import ResultsError
from fedsim.results.files import unwritable, write_file
from fedsim.results.manifest import FORMAT, jsonable, provenance
from fedsim.results.run import Run
from fedsim.results.rundir import (
    MANIFEST,
    PLUGINS,
    REPORT,
    SCENARIO,
    STUDY,
    dense_json,
    is_free,
    named,
    read_json,
    refuse_foreign,
    whole_directory,
    write_json,
)
from fedsim.results.storage import is_whole
from fedsim.scenario.spec import Scenario
from fedsim.studies.cells import Cell, PlannedRun, of_a_run
from fedsim.studies.records import FAILED, RUNS, Failure, Record, write_record

if TYPE_CHECKING:
    from pandas import DataFrame

CHARTS = "charts"
"""Where a study's directory has its charts."""

_KINDS = {
    "kind": str,
    "name": str,
    "scenario": dict,
    "options": dict,
    PLUGINS: str,
    "created": str,
    "versions": dict,
    "plugins": dict,
    "cells": list,
}
"""What a manifest must have, and of which kind."""

_JSON = {str: "text", dict: "mapping", list: "list"}
_OF_CELL = {"id", "key", "changes", "replication", "seed", "asked"}


class KeepsRecords(Protocol):
    """Where a study keeps the records of its runs, and finds those of earlier ones."""

    @property
    def reach(self) -> Path | None:
        """The directory where who runs a cell may write its record; None where `add` does all."""
        ...

    def plan(self, planned: Sequence[PlannedRun]) -> None:
        """Take note of runs before the first of them begins."""
        ...

    def record(self, run_id: str, *, kept: bool = False) -> Record | None:
        """Return the record of a run, with what is *kept* of a whole one; None for none."""
        ...

    def add(self, record: Record) -> Record:
        """Keep a record, and return it."""
        ...

    def fail(self, failure: Failure) -> None:
        """Keep why a run came to nothing."""
        ...

    def withdraw(self) -> None:
        """Forget a study that failed before any of its runs was done."""
        ...


class Store:
    """The directory of one study.

    Attributes:
        directory: Where it is.
        manifest: What ``study.json`` holds.
    """

    def __init__(self, directory: Path, manifest: dict[str, Any]) -> None:
        self.directory = directory
        self.manifest = manifest
        self._cells = {_identity(item): item for item in manifest["cells"]}
        self._asked: dict[str, dict[str, Any]] = {}
        self._lines: dict[tuple[str, bool], str] = {}
        self._places: dict[str, str] | None = None

    @classmethod
    def begin(
        cls,
        directory: str | os.PathLike[str],
        kind: str,
        scenario: Scenario,
        options: Mapping[str, Any],
        *,
        fresh: bool = False,
    ) -> Store:
        """Return the store of a study, which goes on with what its directory has of it.

        Args:
            directory: Its name.
            kind: What the study is, such as ``comparison``.
            scenario: What it is of.
            options: What else it asks, as plain values; these may differ from time to time.
            fresh: Whether to remove what another study, or this one, has left there.

        Raises:
            ResultsError: The directory is not fedsim's, or is that of another study.
        """
        path = named(directory)
        refuse_foreign(path)
        if fresh and path.exists():
            shutil.rmtree(path)
        manifest = {
            "format": FORMAT,
            "kind": kind,
            "name": scenario.name,
            "scenario": of_a_run(scenario),
            "options": dict(options),
            PLUGINS: str(scenario.plugin_directory.absolute()),
            **provenance(),
            "plugins": {},
            "cells": [],
        }
        if not is_free(path):
            if not (path / STUDY).is_file():
                msg = f"{path} holds no study; choose another directory, or replace it by --fresh"
                raise ResultsError(msg)
            before = _read_manifest(path)
            _require_same(path, before, manifest)
            for kept in ("created", "plugins", "cells"):
                manifest[kept] = before[kept]
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(path, error) from error
        store = cls(path, manifest)
        store._write_manifest()  # first, so that all else is known as ours
        for folder in (RUNS, FAILED):
            (path / folder).mkdir(exist_ok=True)
        write_file(path / SCENARIO, scenario.to_yaml())
        return store

    @classmethod
    def open(cls, directory: str | os.PathLike[str]) -> Store:
        """Return the store in a directory, as it is.

        Raises:
            ResultsError: The directory is not a study's, or is broken.
        """
        path = named(directory)
        if not (path / STUDY).is_file():
            raise ResultsError(no_study(path))
        return cls(path, _read_manifest(path))

    @property
    def reach(self) -> Path | None:
        """The directory, by a path that holds for other processes of this machine, too."""
        return self.directory.absolute()

    def withdraw(self) -> None:
        """Remove the directory of a study that failed before any of its runs was done."""
        if not any((self.directory / RUNS).iterdir()):
            shutil.rmtree(self.directory)

    def plan(self, planned: Sequence[PlannedRun]) -> None:
        """Add runs to what is asked for now, before the first of them begins.

        Those that were asked for before and are not now stay behind them.

        Raises:
            ResultsError: A plug-in or a file has changed since other runs of the study were made.
        """
        plugins = self.manifest["plugins"]
        for run in planned:
            for text, digest in run.plugins.items():
                if plugins.setdefault(text, digest) != digest:
                    what = "content" if Path(text).is_absolute() else "source"
                    raise _another(self.directory, f"the {what} of {text}", "another", "new")
        for run in planned:
            item = {
                "id": run.id,
                "key": dict(run.cell.key),
                "changes": dict(run.texts),
                "replication": run.cell.replication,
                "seed": run.seed,
                "commit": run.cell.commit,
                "asked": True,
            }
            self._asked[_identity(item)] = item
        before = {
            name: {**item, "asked": False}
            for name, item in self._cells.items()
            if name not in self._asked
        }
        self._cells = self._asked | before
        self.manifest["cells"] = list(self._cells.values())
        self._write_manifest()

    def record(self, run_id: str, *, kept: bool = False) -> Record | None:
        """Return the record of a run; None where there is none, or it is broken.

        Args:
            run_id: The run's id.
            kept: Whether the whole run has to be there, too; it is read when its tables are.
        """
        data = _read_whole(self.directory / RUNS / f"{run_id}.json")
        try:
            record = None if data is None else Record.from_json(data)
        except (AttributeError, KeyError, TypeError, ValueError):
            return None
        if record is None or (kept and not (record.kept and self._holds(record.kept))):
            return None
        return record

    def planned(self, *, asked: bool = True) -> list[PlannedRun]:
        """Return the runs of the last command in its order; all that ever were where not *asked*.

        Their cells have no changes but for those in ``texts``.
        """
        return [
            PlannedRun(
                item["id"],
                item["seed"],
                Cell(item["key"], replication=item["replication"], commit=item["commit"]),
                item["changes"],
                self.manifest["plugins"],
            )
            for item in self._cells.values()
            if item["asked"] or not asked
        ]

    def result(self, run: PlannedRun) -> Record | Failure | None:
        """Return what a run came to; None where it has not been made, or its file is broken."""
        found: Record | Failure | None = self.record(run.id)
        if found is None:
            data = _read_whole(self.directory / FAILED / f"{run.id}.json")
            try:
                found = None if data is None else Failure.from_json(data)
            except (AttributeError, KeyError, TypeError):
                return None
        # The same run may be several cells of the study, each under its key.
        key, replication = run.cell.key, run.cell.replication
        return None if found is None else replace(found, key=key, replication=replication)

    def run(self, record: Record) -> Run:
        """Return the whole run of a record that is kept.

        Raises:
            ResultsError: It is gone or damaged.
        """
        try:
            return Run.load(self.directory / record.kept)
        except ResultsError as error:
            msg = (
                f"{error}; the same command with --out {self.directory}, or directory= in Python, "
                "makes it again"
            )
            raise ResultsError(msg) from error

    def add(self, record: Record) -> Record:
        """Write a record, with its whole run first where it has one, and return it."""
        place = "" if record.run is None else self._place(record)
        if record.run is not None:
            if not self._holds(place):
                shutil.rmtree(self.directory / place, ignore_errors=True)
            record.run.save(self.directory / place, charts=False)
        record = replace(record, kept=place)
        write_record(self.directory, record)
        return record

    def fail(self, failure: Failure) -> None:
        """Write why a run came to nothing."""
        path = self.directory / FAILED / f"{failure.id}.json"
        write_file(path, dense_json(failure.to_json()) + "\n", durable=True)

    def _write_manifest(self) -> None:
        """Write ``study.json``; a study may plan a few runs again and again."""
        for name, item in self._cells.items():
            if (name, item["asked"]) not in self._lines:
                self._lines[name, item["asked"]] = dense_json(jsonable(item))
        lines = [self._lines[name, item["asked"]] for name, item in self._cells.items()]
        head = dense_json(jsonable({**self.manifest, "cells": []}))
        assert head.endswith("[]}")
        text = f"{head[:-2]}{', '.join(lines)}]}}\n"
        write_file(self.directory / STUDY, text, durable=True)

    def _holds(self, place: str) -> bool:
        return is_whole(self.directory / place)

    def _place(self, record: Record) -> str:
        """Return where the whole run of *record* goes: a folder named by its key."""
        if self._places is None:
            self._places = {}
            for item in self._cells.values():
                done = self.record(item["id"])
                if done is not None and done.kept:
                    self._places[done.kept] = done.id
        words = "-".join(str(value) for value in record.key.values())
        place = f"{RUNS}/" + re.sub(r"[^\w.-]+", "-", words).strip(".-")
        if record.replication:
            place += f"-seed-{record.seed}"
        while self._places.get(place, record.id) != record.id:
            place += "-"
        self._places[place] = record.id
        return place


class Study(Protocol):
    """What a comparison and a sweep have in common, for their directory."""

    scenario: Scenario
    planned: tuple[PlannedRun, ...]
    records: tuple[Record, ...]
    failures: tuple[Failure, ...]
    store: Store | None

    @property
    def options(self) -> Mapping[str, Any]:
        """What it asks, as plain values."""
        ...


def save_study(
    study: Study,
    kind: str,
    directory: str | os.PathLike[str],
    write: Callable[[Path, Sequence[Record]], None],
    whole: Callable[[Record], Run | None] = lambda record: record.run,
) -> Path:
    """Write a study to a directory, and return that; its own store has all but what is derived.

    Args:
        study: The study.
        kind: What it is, such as ``comparison``.
        directory: Its name. One that fedsim wrote is replaced, but for the study's own.
        write: Writes what is derived, given the directory and the records there.
        whole: Gives the whole run of a record where it was kept.

    Raises:
        ResultsError: Something else has that name, or it cannot be written.
    """
    path, own = named(directory), study.store
    if own is not None and path.absolute() == own.directory.absolute():
        write(path, study.records)
        return path
    with whole_directory(path) as folder:
        store = Store.begin(folder, kind, study.scenario, study.options)
        store.plan(study.planned)
        records = [store.add(replace(each, run=whole(each))) for each in study.records]
        for failure in study.failures:
            store.fail(failure)
        write(folder, records)
    return path


def write_derived(
    folder: Path,
    summary: Mapping[str, Any],
    tables: Mapping[str, DataFrame],
    draw: Callable[[Path], None] | None = None,
) -> None:
    """Write what is made from the runs of a study; charts and report of before are removed.

    Args:
        folder: The study's directory.
        summary: What ``summary.json`` says.
        tables: What goes to Parquet files, by their names.
        draw: Saves the charts to the directory that it is given; None for no charts.
    """
    write_json(folder / "summary.json", summary)
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False, compression="zstd")
    (folder / REPORT).unlink(missing_ok=True)
    charts = folder / CHARTS
    shutil.rmtree(charts, ignore_errors=True)
    if draw is not None:
        charts.mkdir()
        draw(charts)


def _identity(item: Mapping[str, Any]) -> str:
    """Return what tells one planned run from another: one run may be several cells."""
    key = jsonable({str(name): value for name, value in item["key"].items()})
    return json.dumps([item["id"], key, item["replication"]], default=str)


def is_old_comparison(path: Path) -> bool:
    """Return whether a directory is that of a comparison which kept no records of its runs."""
    return (path / MANIFEST).is_file() and "baseline" in read_json(path / MANIFEST)


def no_study(path: Path) -> str:
    """Return what is at *path*, which is no study, and what to do with it."""
    if path.is_file():
        return f"{path} is a file, not the directory of a study; fedsim run and compare take files"
    if not path.is_dir():
        return f"there is no directory {path}; name the one that a study's --out gave"
    if is_old_comparison(path):
        return (
            f"{path} is a comparison of an earlier fedsim, which kept no records of its runs; "
            "compare again with --out, or read its summary.json and tables"
        )
    if (path / MANIFEST).is_file():
        what = "a run, not a study: fedsim.open in Python reads it, fedsim explain its requests"
        return f"{path} holds {what}; fedsim run {path / SCENARIO} repeats it"
    inside = sorted(each.parent for each in path.glob(f"*/{STUDY}"))
    if inside:
        return f"{path} holds no study, but its folders do; write for instance {inside[0]}"
    return f"{path} holds no study; name the directory that a study's --out gave"


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = read_json(path / STUDY)
    except ResultsError as error:
        msg = f"{error}; start over by the study's command with --fresh"
        raise ResultsError(msg) from error
    format_ = manifest.get("format") if isinstance(manifest, dict) else None
    if not isinstance(format_, int) or format_ > FORMAT:
        msg = f"{path} was written by another or a newer fedsim; read it with that one"
        raise ResultsError(msg)
    broken = _broken(manifest)
    if broken:
        msg = f"{path / STUDY} is broken: {broken}; repeat the study in another directory"
        raise ResultsError(msg)
    return manifest


def _broken(manifest: Mapping[str, Any]) -> str:
    """Return what is wrong with a manifest; empty for nothing."""
    for name, kind in _KINDS.items():
        if name not in manifest:
            return f"it has no {name}"
        if not isinstance(manifest[name], kind):
            return f"its {name} is not a {_JSON[kind]}"
    for name, inner in (("versions", "fedsim"), ("scenario", "seed")):
        if inner not in manifest[name]:
            return f"its {name} has no {inner}"
    for number, item in enumerate(manifest["cells"]):
        lacking = _OF_CELL - item.keys() if isinstance(item, dict) else _OF_CELL
        if lacking:
            return f"number {number} of its cells has no {min(lacking)}"
    return ""


def _read_whole(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _require_same(path: Path, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Check that two manifests are of one study.

    Raises:
        ResultsError: They are not; it names the first path that differs.
    """
    now = jsonable(json.loads(json.dumps(jsonable(dict(after)), default=str)))
    for facts in (
        lambda each: {"kind": each["kind"]},
        lambda each: each["scenario"],
        lambda each: {"fedsim": each["versions"]["fedsim"]},
    ):
        found = _first_difference(facts(before), facts(now))
        if found is not None:
            raise _another(path, *found)


def _another(path: Path, what: str, before: str, now: str) -> ResultsError:
    return ResultsError(
        f"{path} holds another study: {what} is {before} there, and {now} here; choose another "
        "directory, or start over with --fresh"
    )


def _first_difference(before: Any, now: Any, path: str = "") -> tuple[str, str, str] | None:
    """Return the first path at which two trees differ, with both values as texts."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        if list(before) != list(now) and set(before) == set(now):
            return path, f"in the order {', '.join(before)}", ", ".join(now)
        for key in dict.fromkeys((*now, *before)):
            deeper = f"{path}.{key}" if path else key
            found = _first_difference(before.get(key), now.get(key), deeper)
            if found is not None:
                return found
        return None
    if before == now:
        return None
    return path, _shown(before), _shown(now)


def _shown(value: Any) -> str:
    text = "not given" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
