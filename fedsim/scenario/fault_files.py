"""The faults of an incident from a CSV file, put in place of ``{file: incident.csv}``.

A row becomes what a person would have written into the scenario, and its values keep their line
and column: whatever checks faults later reports what is wrong in the file. So a resolved scenario
holds the faults themselves, and the id of a run follows from them.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from fedsim.errors import Problem, ScenarioError
from fedsim.scenario.facts import Facts
from fedsim.scenario.instants import looks_like_one, parse_instant, seconds_after
from fedsim.scenario.schema.base import listed, shown, suggestion
from fedsim.scenario.source import Document, KeyPath, Place, parse_value
from fedsim.scenario.units import UnitError
from fedsim.world.faults.registry import FAULTS

_HEADER = "time,target,kind,end"
_TIMES = ("time", "end")
_OWN = (*_TIMES, "target")
_SAME = (("time", "at"), ("end", "lasts"))
"""Columns of a file, and keys of a fault that are made from them."""

_LONGEST = 200
"""The characters of a cell, at most; the longest of use are names."""


def with_fault_files(document: Document, folder: Path) -> tuple[Document, list[Problem]]:
    """Return a document with the rows of files among its faults, and what is wrong with files.

    Args:
        document: The scenario as it is written; it stays as it is.
        folder: What the names of the files are relative to.
    """
    written = document.tree.get("faults") if isinstance(document.tree, dict) else None
    one = isinstance(written, dict)
    items = [written] if one else written
    if not isinstance(items, list) or not any(map(_names_file, items)):
        return document, []
    reader = _Reader(Facts(document), document.tree.get("start"))
    values, keys = _outside(document.values), _outside(document.keys)
    faults: list[Any] = []
    problems: list[Problem] = []
    for number, item in enumerate(items):
        before: KeyPath = ("faults",) if one else ("faults", number)
        try:
            rows = _rows(folder, item["file"]) if _names_file(item) else []
        except _FileError as failure:
            problems.append(failure.problem(document, before))
            rows = []
        if not rows:
            path: KeyPath = ("faults", len(faults))
            values |= _moved(document.values, before, path)
            keys |= _moved(document.keys, before, path)
            faults.append(item)
        for row in rows:
            if isinstance(row, Problem):
                problems.append(row)
                continue
            fault, wrong = reader.fault(row)
            problems += wrong
            if not wrong:
                path = ("faults", len(faults))
                values[path] = row.place
                places: dict[KeyPath, Place] = {
                    (*path, key): row.place_of(column) for key, _, column in fault
                }
                values |= places
                keys |= places
                faults.append({key: value for key, value, _ in fault})
    tree = {**document.tree, "faults": faults}
    return replace(document, tree=tree, values=values, keys=keys), problems


def _outside(places: Mapping[KeyPath, Place]) -> dict[KeyPath, Place]:
    """Return the places of all but the single faults."""
    return {
        path: place for path, place in places.items() if path[:1] != ("faults",) or not path[1:]
    }


def _moved(places: Mapping[KeyPath, Place], before: KeyPath, path: KeyPath) -> dict[KeyPath, Place]:
    """Return the places of what stood at *before* and now stands at *path*."""
    size = len(before)
    return {
        (*path, *known[size:]): place for known, place in places.items() if known[:size] == before
    }


def _names_file(item: object) -> bool:
    return isinstance(item, dict) and set(item) == {"file"} and isinstance(item["file"], str)


class _FileError(Exception):
    """A file as a whole cannot be used; *place* is in it, or None for the name in the scenario."""

    def __init__(self, message: str, remedy: str, place: Place | None = None) -> None:
        super().__init__(message)
        self.message, self.remedy, self.place = message, remedy, place

    def problem(self, document: Document, path: KeyPath) -> Problem:
        if self.place is None:
            return document.problem((*path, "file"), self.message, self.remedy)
        place = self.place
        return Problem(self.message, self.remedy, "faults", place.file, place.line, place.column)


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a file: its cells that are not empty, by column, each with its place."""

    place: Place
    cells: Mapping[str, tuple[str, Place]]

    def text(self, column: str) -> str | None:
        """Return the text of a cell, None where it is empty."""
        return self.cells[column][0] if column in self.cells else None

    def place_of(self, column: str) -> Place:
        """Return where a cell stands; the row where it is empty."""
        return self.cells[column][1] if column in self.cells else self.place

    def problem(self, column: str, message: str, remedy: str) -> Problem:
        """Return a problem with a cell."""
        at = self.place_of(column)
        return Problem(message, remedy, f"faults.{column}", at.file, at.line, at.column)


_Cell = tuple[str, Place]
"""The text of a cell, and where it stands."""


def _rows(folder: Path, name: str) -> list[_Row | Problem]:
    """Return the rows of a file, at least one, each that is none as what is wrong with it.

    Raises:
        _FileError: It cannot be read, or has no columns of faults.
    """
    try:
        lines = (folder / name).read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        message = f"{name} is not UTF-8 text."
        raise _FileError(message, "Save it as UTF-8.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        message = f"{name} cannot be read: {reason}."
        raise _FileError(message, "Correct the name; it is relative to the scenario.") from None
    records = [
        (number, list(_cells(line, name, number)))
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if len(records) < 2:
        message = f"{name} has no rows of faults."
        raise _FileError(message, f"Write the header {_HEADER} and a row per fault.")
    (number, heads), *rows = records
    _require_columns(heads, [cells for _, cells in rows], Place(name, number, 1))
    header = [text for text, _ in heads]
    return [_row(name, line, cells, header) for line, cells in rows]


def _require_columns(heads: Sequence[_Cell], rows: Sequence[Sequence[_Cell]], at: Place) -> None:
    """Check the header of a file, which stands at *at*; raises ``_FileError``."""
    header = [text for text, _ in heads]
    lacking = [column for column in ("time", "kind") if column not in header]
    if lacking:
        message = f"There is no column {listed(lacking, 'and')}."
        remedy = f"Write a header such as {_HEADER}; there are {', '.join(header)}."
        if ";" in header[0]:
            remedy = f"Separate cells by commas instead of semicolons, as in {_HEADER}."
        elif all(column in map(str.lower, header) for column in lacking):
            remedy = f"Write the names of columns in lower case, as in {_HEADER}."
        raise _FileError(message, remedy, at)
    for number, (text, place) in enumerate(heads):
        if text in header[:number] and text:
            message = f"There are two columns {text}."
            raise _FileError(message, "Remove one, or name the other.", place)
        if not text and any(number < len(cells) and cells[number][0] for cells in rows):
            message = "The column has no name."
            raise _FileError(message, "Name it, or remove it.", place)
        for ours, key in _SAME:
            if text == key and ours in header:
                message = f"The column {key} says what the column {ours} says, too."
                raise _FileError(message, "Keep one of them.", place)


def _cells(line: str, file: str, number: int) -> Iterator[_Cell]:
    """Yield the cells of a line, each with its place.

    Raises:
        _FileError: A quoted cell goes on in the next line, so that rows are no lines.
    """
    column = 0
    reader = csv.reader([line], strict=True)
    try:
        cells = next(reader)
    except csv.Error as error:
        place = Place(file, number, 1)
        if len(line) > csv.field_size_limit():
            message = f"The line has {len(line):,} characters."
            raise _FileError(message, "Remove what is no row of a fault.", place) from None
        message = f"The quotes in the line are not those of CSV: {error}."
        remedy = 'Write a row in one line, and a quoted cell as a whole: "a, b".'
        raise _FileError(message, remedy, place) from None
    for cell in cells:
        at = max(line.find(cell, column), column)
        yield cell.strip(), Place(file, number, at + 1)
        column = line.find(",", at + len(cell)) + 1


def _row(name: str, line: int, cells: list[_Cell], header: Sequence[str]) -> _Row | Problem:
    """Return a row; cells beyond the columns are wrong where there is something in them."""
    for number, (text, at) in enumerate(cells):
        if len(text) > _LONGEST:
            message = f"The cell has {len(text):,} characters; at most {_LONGEST} are of use."
            return Problem(message, "Shorten it.", "faults", at.file, at.line, at.column)
        if text and number >= len(header):
            message = (
                f"The row has {len(cells)} cells, {shown(text)} beyond the {len(header)} columns."
            )
            remedy = "Quote a cell that has a comma in it."
            return Problem(message, remedy, "faults", at.file, at.line, at.column)
    filled = {column: cell for column, cell in zip(header, cells, strict=False) if cell[0]}
    return _Row(Place(name, line, 1), filled)


_Entry = tuple[str, object, str]
"""A key of a fault, its value, and the column that it comes from."""


class _Reader:
    """Makes faults of rows.

    Args:
        facts: The scenario.
        start: What it says of its start, right or wrong.
    """

    def __init__(self, facts: Facts, start: object) -> None:
        self._facts = facts
        self._start: datetime | None = None
        self._lacking = "the scenario does not say its start"
        if start is not None:
            try:
                self._start = parse_instant(start)
            except UnitError:
                self._lacking = "the scenario's start is wrong"

    def fault(self, row: _Row) -> tuple[list[_Entry], list[Problem]]:
        """Return the keys of the fault of a row, and what is wrong with the file's own columns."""
        others = [
            (column, _value(text), column)
            for column, (text, _) in row.cells.items()
            if column not in _OWN
        ]
        problems = [*self._wrong_kind(row)]
        entries: list[_Entry] = []
        for read in (self._times, self._target):
            try:
                entries += read(row)
            except _CellError as failure:
                problems.append(failure.problem)
        made = {key: column for key, _, column in entries}
        for key, _, column in others:
            if key in made:
                message = f"The row has a {key} in the column {made[key]}, too."
                problems.append(row.problem(column, message, "Leave one of them empty."))
        return [*others, *entries], problems

    def _wrong_kind(self, row: _Row) -> Iterator[Problem]:
        kind = row.text("kind")
        if kind not in FAULTS:
            message = f"There is no kind of fault {shown(kind)}." if kind else "It has no kind."
            yield row.problem("kind", message, suggestion(kind, [*FAULTS]))

    def _times(self, row: _Row) -> list[_Entry]:
        """Return when a fault begins and how long it lasts."""
        if row.text("time") is None:
            raise _CellError(row.problem("time", "The fault has no time.", "Write when it began."))
        begin_s = self._time_s(row, "time")
        entries: list[_Entry] = [("at", _seconds(begin_s), "time")]
        kind = FAULTS.get(row.text("kind") or "")
        if row.text("end") is not None:
            end_s = self._time_s(row, "end")
            if end_s <= begin_s:
                message = "The fault ends when it begins, or before."
                raise _CellError(row.problem("end", message, "Correct time or end."))
            entries.append(("lasts", _seconds(end_s - begin_s), "end"))
        elif kind is not None and not kind.ends_by_itself:
            remedy = "Write when it ended; for one that went on, a time after the end of the run."
            raise _CellError(row.problem("end", "The fault has no end.", remedy))
        return entries

    def _time_s(self, row: _Row, column: str) -> float:
        """Return the simulated time of a cell."""
        text = row.text(column) or ""
        try:
            time_s = self._clock_s(text) if looks_like_one(text) else float(text)
        except UnitError as failure:
            raise _CellError(row.problem(column, failure.message, failure.remedy)) from None
        except ValueError:
            message = f"{shown(text)} is not a time."
            remedy = "Write seconds since the start, or a date and time with its zone."
            raise _CellError(row.problem(column, message, remedy)) from None
        if not 0.0 <= time_s < math.inf:
            message = f"{text} is not a time from the start of the run on."
            remedy = "Let the scenario start earlier, or write the time of its start."
            raise _CellError(row.problem(column, message, remedy))
        return time_s

    def _clock_s(self, text: str) -> float:
        instant = parse_instant(text)
        if self._start is None:
            message = f"{text} is a time of the clock, and {self._lacking}."
            raise UnitError(message, "Write start: with what the clock read at simulated time 0.")
        return seconds_after(self._start, instant)

    def _target(self, row: _Row) -> list[_Entry]:
        """Return the key that names the target of a row; none where other columns do."""
        name, facts = row.text("target"), self._facts
        if name is None:
            return []
        keys = [key for key in ("region", "pool") if name in facts.mapping(f"{key}s")]
        if len(keys) == 2:
            message = f"{name} is a region and a pool."
            remedy = "Name it in a column region or pool, and leave target empty."
            raise _CellError(row.problem("target", message, remedy))
        if not keys and not facts.is_node(name):
            message = f"There is no region, pool or node {shown(name)}."
            known = [*facts.mapping("regions"), *facts.mapping("pools")]
            raise _CellError(row.problem("target", message, suggestion(name, known)))
        return [(keys[0] if keys else "node", name, "target")]


class _CellError(Exception):
    """A cell is wrong."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


def _seconds(time_s: float) -> str:
    return f"{round(time_s, 6)!r}s"


def _value(text: str) -> object:
    """Return what a cell means in YAML; the text where it is none."""
    try:
        return parse_value(text, "")
    except ScenarioError:
        return text
