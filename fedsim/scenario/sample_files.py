"""Reads the traces that token counts are drawn from, and says where they are wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fedsim.errors import Problem
from fedsim.scenario.facts import Facts
from fedsim.scenario.source import KeyPath
from fedsim.workload.traces import FORMATS, Trace, TraceError, read_trace


def read_samples(facts: Facts, folder: Path) -> tuple[dict[str, Trace], list[Problem]]:
    """Return the traces that token counts are drawn from, by full file name, and what is wrong.

    Args:
        facts: The scenario.
        folder: What the names of the files are relative to.
    """
    samples: dict[str, Trace] = {}
    problems: list[Problem] = []
    for path, file in _named(facts):
        form = facts.text(*path[:-1], "format")
        if form is not None and form not in FORMATS:
            continue
        try:
            full = (folder / file).resolve()
            if full.as_posix() not in samples:
                samples[full.as_posix()] = read_trace(folder / file, form)
        except TraceError as failure:
            place = file if failure.line is None else f"{file}:{failure.line}"
            message = f"{place}: {failure.message}"
            problems.append(facts.document.problem(path, message, failure.remedy))
        except ValueError as failure:
            message = f"{file!r} is not the name of a file: {failure}."
            problems.append(facts.document.problem(path, message, "Correct the name."))
    return samples, problems


def _named(facts: Facts) -> Iterator[tuple[KeyPath, str]]:
    """Yield the files that token counts come from, with the paths that name them."""
    for stream in facts.streams:
        here: KeyPath = ("workload", stream)
        tenants = [(*here, "tenants", name) for name in facts.mapping(*here, "tenants")]
        for owner in (here, *tenants):
            path: KeyPath = (*owner, "tokens", "trace")
            file = facts.text(*path)
            if file:
                yield path, file
