"""Reads the traces that a scenario names, and says where they are wrong."""

from __future__ import annotations

from pathlib import Path

from fedsim.errors import Problem
from fedsim.scenario.facts import Facts
from fedsim.scenario.schema.servegen import is_servegen
from fedsim.workload.traces import Trace, TraceError, read_azure


def read_traces(facts: Facts, folder: Path) -> tuple[dict[str, Trace], list[Problem]]:
    """Return the trace of each stream that replays one, and what is wrong with the others.

    Args:
        facts: The scenario.
        folder: What the names of the files are relative to.
    """
    traces: dict[str, Trace] = {}
    by_file: dict[str, Trace] = {}
    problems: list[Problem] = []
    for stream in facts.streams:
        path = ("workload", stream, "arrivals", "file")
        file = facts.text(*path)
        arrivals = facts.mapping(*path[:-1])
        if not file or arrivals.get("process") != "trace" or is_servegen(arrivals):
            continue
        try:
            if file not in by_file:
                by_file[file] = read_azure(folder / file)
            traces[stream] = by_file[file]
        except TraceError as failure:
            place = file if failure.line is None else f"{file}:{failure.line}"
            message = f"{place}: {failure.message}"
            problems.append(facts.document.problem(path, message, failure.remedy))
        except ValueError as failure:
            message = f"{file!r} is not the name of a file: {failure}."
            problems.append(facts.document.problem(path, message, "Correct the name."))
    return traces, problems
