"""The report of a study's directory: its runs, and the command that repeats each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from fedsim.document import (
    Block,
    Code,
    Column,
    Document,
    Heading,
    Sentence,
    Style,
    Table,
    figure,
    words,
)
from fedsim.studies.inventory import Inventory

_STATES: dict[str, Style] = {"failed": "bad", "missing": "warning"}


def study_report(study: Inventory) -> Document:
    """Return the report of the runs of a study."""
    rows = study.rows
    counts = Counter(row["state"] for row in rows)
    text = ", ".join(f"{count} {state}" for state, count in counts.items())
    blocks: list[Block] = [
        Heading(f"{study.name}: {study.kind} of {len(rows)} run{'' if len(rows) == 1 else 's'}", 1),
        Sentence(f"{study.directory}: {text}. fedsim {study.version}, {study.created}."),
        Table((*_keys(rows), *_facts(rows)), elsewhere="fedsim study --json"),
    ]
    if study.command:
        blocks += [Heading("Make the study again"), Code(study.command, "shell")]
    blocks += [
        Heading("Repeat a run with its command, in the order of the table"),
        Code("\n".join(row["command"] for row in rows), "shell"),
    ]
    return Document(tuple(blocks))


def _keys(rows: Sequence[dict[str, Any]]) -> list[Column]:
    """Return the columns of the key, and that of the replication."""
    names = dict.fromkeys(name for row in rows for name in row["key"])
    columns = [words(name, [str(row["key"].get(name, "")) for row in rows]) for name in names]
    numbers = tuple(figure(row["replication"], "count") for row in rows)
    return [*columns, Column("replication", numbers)]


def _facts(rows: Sequence[dict[str, Any]]) -> list[Column]:
    columns = [
        words("seed", [str(row["seed"]) for row in rows], 1),
        words("digest", [row["digest"] for row in rows], 3),
        words("state", [row["state"] for row in rows], styles=_STATES),
    ]
    if any(row["error"] for row in rows):
        errors = [(row["error"].splitlines() or [""])[0] for row in rows]
        columns.append(words("error", errors, 2))
    return columns
