"""Reads the traces that a scenario names, and reports what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fedsim.errors import Problem
from fedsim.scenario.facts import Facts
from fedsim.scenario.schema.base import suggestion
from fedsim.scenario.schema.traces import TraceArrivals, TraceColumns
from fedsim.scenario.source import KeyPath
from fedsim.workload.describe import quantised
from fedsim.workload.traces.errors import TraceError
from fedsim.workload.traces.formats import OWN_FORMATS, Columns, recognised
from fedsim.workload.traces.reading import read_trace
from fedsim.workload.traces.trace import Labels, Trace
from fedsim.workload.traces.transform import BUCKET_S, cut, spread


def read_traces(facts: Facts, folder: Path) -> tuple[dict[str, Trace], list[Problem]]:
    """Return what each stream that replays a trace replays, and what is wrong with the others.

    Args:
        facts: The scenario.
        folder: What the names of the files are relative to.
    """
    traces: dict[str, Trace] = {}
    read: dict[str, Trace] = {}
    problems: list[Problem] = []
    for stream in facts.streams:
        settings = _settings(facts, stream)
        if settings is None:
            continue
        path: KeyPath = ("workload", stream, "arrivals")
        try:
            trace, form = _read(settings, folder, read)
        except ValueError as failure:
            problems.append(file_problem(facts, (*path, "file"), settings.file, failure))
            continue
        found = _unknown_origins(facts, stream, settings, trace)
        if not found:
            try:
                traces[stream] = _transformed(trace, form, settings)
            except ValueError as failure:
                found = [_nothing_left(facts, path, settings, str(failure))]
        problems += found
    return traces, problems


def file_problem(facts: Facts, path: KeyPath, file: str, failure: ValueError) -> Problem:
    """Return the problem of a file that cannot be read.

    Args:
        facts: The scenario.
        path: The key that names the file.
        file: The file, as the scenario calls it.
        failure: A ``TraceError``, or what Python has against such a name.
    """
    if not isinstance(failure, TraceError):
        message = f"{file!r} is not the name of a file: {failure}."
        return facts.document.problem(path, message, "Correct the name.")
    place = file if failure.line is None else f"{file}:{failure.line}"
    return facts.document.problem(path, f"{place}: {failure.message}", failure.remedy)


def _nothing_left(facts: Facts, path: KeyPath, settings: TraceArrivals, failure: str) -> Problem:
    """Return the problem of a trace of which nothing is left, at the key that is to blame."""
    key = "to" if settings.end is not None else "from"
    key = "rate_factor" if "rate_factor" in failure else key
    message, _, remedy = failure.partition(": ")
    message, remedy = (f"{text[:1].upper()}{text[1:]}." for text in (message, remedy))
    return facts.document.problem((*path, key), message, remedy)


def _settings(facts: Facts, stream: str) -> TraceArrivals | None:
    """Return what a stream says of its trace; None where it has none, or says something wrong."""
    arrivals = facts.at("workload", stream, "arrivals")
    return arrivals if isinstance(arrivals, TraceArrivals) else None


def _read(settings: TraceArrivals, folder: Path, read: dict[str, Trace]) -> tuple[Trace, str]:
    """Return the trace as recorded, with the names of regions for origins, and its format."""
    where = {column: _text(value) for column, value in settings.where.items()}
    key = repr((settings.file, settings.format, settings.columns, where))
    form = settings.format or recognised(str(folder / settings.file))
    if key not in read:
        read[key] = recorded(folder, settings.file, form, settings.columns, where)
    trace = read[key]
    if trace.origins is not None:
        names = tuple(settings.regions.get(name, name) for name in trace.origins.names)
        trace = replace(trace, origins=Labels(trace.origins.codes, names))
    return trace, form


def recorded(
    folder: Path,
    file: str,
    form: str | None,
    named: TraceColumns | None,
    where: Mapping[str, str] | None = None,
) -> Trace:
    """Return a trace as it was recorded.

    Args:
        folder: What the name of the file is relative to.
        file: The file, as the scenario calls it.
        form: Its format, or None to recognize it.
        named: Its columns, or None where the scenario does not say.
        where: The value that a row must have, by column.

    Raises:
        TraceError: It cannot be read.
    """
    form = form or recognised(str(folder / file))
    if named is not None and form not in OWN_FORMATS:
        message = f"The trace is in the format {form}, which has columns of its own."
        raise TraceError(file, None, message, "Remove columns.")
    settings = named or TraceColumns()
    columns = Columns(**{name: getattr(settings, name) for name in TraceColumns.model_fields})
    return read_trace(folder / file, form, columns, where)


def _text(value: str | float | bool) -> str:
    """Return a value as it stands in a file."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _unknown_origins(
    facts: Facts, stream: str, settings: TraceArrivals, trace: Trace
) -> list[Problem]:
    """Return a problem for each name of a trace that is no origin of its stream."""
    if trace.origins is None:
        return []
    known = list(facts.origins(stream))
    path = ("workload", stream, "arrivals", "columns", "origin")
    problems = []
    for name in dict.fromkeys(trace.origins.names):
        if name in known:
            continue
        message = f"{settings.file}: {name!r} is no region that the stream comes from."
        remedy = f"Map it with regions: {{{name}: …}}. {suggestion(name, known)}".rstrip()
        problems.append(facts.document.problem(path, message, remedy))
    return problems


def _transformed(trace: Trace, form: str, settings: TraceArrivals) -> Trace:
    """Return what is replayed of a trace, as fast and as often as it was recorded.

    Raises:
        ValueError: Nothing is left; the text is of the form ``what is wrong: what to do``.
    """
    bucket_s = settings.spread
    if bucket_s is None:
        in_buckets = form == "mooncake" and quantised(trace.times_s) is not None
        bucket_s = BUCKET_S if in_buckets else "off"
    if not isinstance(bucket_s, str):
        trace = spread(trace, bucket_s)
    if settings.start or settings.end is not None:
        trace = cut(trace, settings.start, math.inf if settings.end is None else settings.end)
    if settings.rate_factor * len(trace) < 1.0:
        factor = settings.rate_factor
        message = f"a rate_factor of {factor:g} leaves no request of the trace: write more"
        raise ValueError(message)
    return trace
