"""Reads the traces that token counts are drawn from, and reports what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fedsim.errors import Problem
from fedsim.scenario.facts import Facts
from fedsim.scenario.schema.sizes import TokenSample
from fedsim.scenario.source import KeyPath
from fedsim.scenario.trace_files import recorded
from fedsim.workload.traces import Trace, TraceError


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
        except TraceError as failure:
            place = sample.trace if failure.line is None else f"{sample.trace}:{failure.line}"
            message = f"{place}: {failure.message}"
            problems.append(facts.document.problem(path, message, failure.remedy))
        except ValueError as failure:
            message = f"{sample.trace!r} is not the name of a file: {failure}."
            problems.append(facts.document.problem(path, message, "Correct the name."))
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
