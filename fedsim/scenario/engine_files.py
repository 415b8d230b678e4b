"""Finds the profiles and reads the tables that engines name, and reports what is wrong."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fedsim.errors import Problem, ScenarioError
from fedsim.scenario.catalogues.profiles import PROFILE_FILES, Profile, profile
from fedsim.scenario.facts import Facts
from fedsim.scenario.source import KeyPath

if TYPE_CHECKING:
    from fedsim.world.engine.measured import MeasuredSteps

PREFILL_COLUMNS = ("new_tokens", "cached_tokens")
DECODE_COLUMNS = ("sequences", "context_tokens")
COLUMNS = ("step", *PREFILL_COLUMNS, *DECODE_COLUMNS, "time_ms")
"""The columns of a table of measured steps."""

_FAILURES = (OSError, ValueError, csv.Error)


@dataclass(frozen=True, slots=True)
class EngineSources:
    """Where the step times of engines come from, by pool.

    Attributes:
        profiles: The profiles, of the catalogue and of files.
        tables: The measured points in tables.
    """

    profiles: Mapping[str, Profile] = field(default_factory=dict)
    tables: Mapping[str, MeasuredSteps] = field(default_factory=dict)


def read_engine_sources(facts: Facts, folder: Path) -> tuple[EngineSources, list[Problem]]:
    """Return the profile or table of each engine that names one, and what is wrong with the others.

    Args:
        facts: The scenario.
        folder: What the names of the files are relative to.
    """
    profiles: dict[str, Profile] = {}
    tables: dict[str, MeasuredSteps] = {}
    problems: list[Problem] = []
    for pool in facts.pools:
        path = ("pools", pool, "engine")
        named, table = facts.text(*path, "profile"), facts.text(*path, "table")
        try:
            if named:
                profiles[pool] = _profile(named, folder)
            if table:
                tables[pool] = read_steps(folder / table)
        except ScenarioError as failure:
            problems += [_in_file(facts, (*path, "profile"), each) for each in failure.problems]
        except _FAILURES as failure:
            message = f"{table}: {_reason(failure)}"
            remedy = f"Write the columns {', '.join(COLUMNS)}."
            problems.append(facts.document.problem((*path, "table"), message, remedy))
    return EngineSources(profiles, tables), problems


def _profile(named: str, folder: Path) -> Profile:
    if not named.endswith(PROFILE_FILES):
        return profile(named)
    from fedsim.scenario.catalogues.profile_files import read_profile

    return read_profile(folder / named)


def read_steps(path: Path) -> MeasuredSteps:
    """Return the measured steps in a CSV file.

    A row is either a prefill step of one prompt (``step`` is ``prefill``), with the tokens that it
    computes and those that were there before, or a decode step, with the number of sequences and
    the tokens of context of each. ``time_ms`` is how long the step takes.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no such table; the text says why, and in which line.
    """
    from fedsim.world.engine.measured import MeasuredSteps

    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
        if missing:
            msg = f"the column {missing[0]} is missing"
            raise ValueError(msg)
        points: dict[str, list[tuple[int, int, float]]] = {"prefill": [], "decode": []}
        for row in rows:
            step, point = _point(row, rows.line_num)
            points[step].append(point)
    return MeasuredSteps(prefill=tuple(points["prefill"]), decode=tuple(points["decode"]))


def _point(row: Mapping[str, str], line: int) -> tuple[str, tuple[int, int, float]]:
    columns = {"prefill": PREFILL_COLUMNS, "decode": DECODE_COLUMNS}.get(row["step"])
    if columns is None:
        msg = f"line {line} has the step {row['step']!r}, which is neither prefill nor decode"
        raise ValueError(msg)
    first, second = columns
    try:
        return row["step"], (int(row[first]), int(row[second]), float(row["time_ms"]) / 1000.0)
    except (TypeError, ValueError):
        msg = f"line {line} needs numbers in {first}, {second} and time_ms"
        raise ValueError(msg) from None


def _in_file(facts: Facts, path: KeyPath, problem: Problem) -> Problem:
    """Return a problem of a profile's file as one of the scenario that names it."""
    message = str(replace(problem, remedy=""))
    return facts.document.problem(path, message, problem.remedy or "Correct the name of the file.")


def _reason(failure: Exception) -> str:
    if isinstance(failure, OSError):
        return f"it cannot be read: {failure.strerror or type(failure).__name__}."
    return f"{failure}."
