"""Runs that were made before, found again by their ids, in this session and in later ones.

A run's id covers the scenario, the seed, fedsim's version and the source of every plug-in. Those of
a fedsim whose own source has changed since lie in another folder, so that a strategy of ours that
is being worked on is never answered for by its older self.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import fedsim
from fedsim.errors import ResultsError
from fedsim.results.files import write_file
from fedsim.studies.cells import PlannedRun
from fedsim.studies.records import Failure, Record
from fedsim.testing.golden import golden_of, text_of


class RunCache:
    """Keeps records of runs, and the decisions of those that are kept.

    Args:
        directory: Where to keep them; None for this process alone.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = None if directory is None else directory / source_digest()
        self._records: dict[str, Record] = {}
        self._decisions: dict[str, str] = {}

    @property
    def reach(self) -> Path | None:
        """None: records are remembered here as well."""
        return None

    def plan(self, planned: Sequence[PlannedRun]) -> None:
        """Do nothing: a run's file says all there is to know of it."""

    def withdraw(self) -> None:
        """Do nothing: the runs that are done stay useful."""

    def fail(self, failure: Failure) -> None:
        """Do nothing: what failed is tried again."""

    def record(self, run_id: str, *, kept: bool = False) -> Record | None:
        """Return the record of a run; None where there is none, or its decisions are not *kept*."""
        if kept and not self.decisions(run_id):
            return None
        if run_id not in self._records:
            try:
                self._records[run_id] = Record.from_json(json.loads(self._read(run_id, "json")))
            except (AttributeError, KeyError, TypeError, ValueError):
                return None
        return self._records[run_id]

    def add(self, record: Record) -> Record:
        """Keep a record, and the decisions of its whole run where it has one; return it."""
        if record.run is not None:
            self._decisions[record.id] = text_of(golden_of(record.run))
            self._write(record.id, "golden", self._decisions[record.id])
        bare = replace(record, run=None)
        self._records[record.id] = bare
        self._write(record.id, "json", json.dumps(bare.to_json()))
        return bare

    def decisions(self, run_id: str) -> str:
        """Return the golden text of a run; empty where it is not known."""
        if run_id not in self._decisions:
            self._decisions[run_id] = self._read(run_id, "golden")
        return self._decisions[run_id]

    def _read(self, run_id: str, end: str) -> str:
        if self._directory is None:
            return ""
        try:
            return (self._directory / f"{run_id}.{end}").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""

    def _write(self, run_id: str, end: str, text: str) -> None:
        if self._directory is None:
            return
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            write_file(self._directory / f"{run_id}.{end}", text)
        except (OSError, ResultsError):
            pass  # a cache that cannot be written costs time, and nothing else


@lru_cache(maxsize=1)
def source_digest() -> str:
    """Return the digest of fedsim's own source, some tens of milliseconds' work."""
    house = Path(fedsim.__file__).parent
    state = blake2b(digest_size=8)
    for path in sorted(house.rglob("*")):
        if path.suffix in {".py", ".csv", ".json", ".yaml"}:
            state.update(path.relative_to(house).as_posix().encode() + b"\0" + path.read_bytes())
    return state.hexdigest()
