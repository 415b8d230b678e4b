"""Reads the traces that token counts are drawn from, and reports what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fedsim.errors import Problem
from fedsim.scenario.facts import Facts
from fedsim.scenario.schema.traces import TokenSample
from fedsim.scenario.source import KeyPath
from fedsim.scenario.trace_files import file_problem, recorded
from fedsim.workload.traces.trace import Trace


def read_samples(facts: Facts, folder: Path) -> tuple[dict[str, Trace], list[Problem]]:
    """Return the traces that token counts are drawn from, by `TokenSample.key`, and what is wrong.

    Args:
        facts: The scenario.
        folder: What the names of the files are relative to.
    """
    samples: dict[str, Trace] = {}
    problems: list[Problem] = []
    for path, sample in _named(facts):
        key = sample.found_in(folder).key
        try:
            if key not in samples:
                samples[key] = recorded(folder, sample.trace, sample.format, sample.columns)
        except ValueError as failure:
            problems.append(file_problem(facts, path, sample.trace, failure))
    return samples, problems


def _named(facts: Facts) -> Iterator[tuple[KeyPath, TokenSample]]:
    """Yield what token counts are drawn from, with the paths of the files' names."""
    for stream in facts.streams:
        here: KeyPath = ("workload", stream)
        tenants = [(*here, "tenants", name) for name in facts.mapping(*here, "tenants")]
        for owner in (here, *tenants):
            path: KeyPath = (*owner, "tokens")
            sample = facts.at(*path)
            if isinstance(sample, TokenSample):
                yield (*path, "trace"), sample
