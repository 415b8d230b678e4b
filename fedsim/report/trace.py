"""The report of a recorded trace: rate, bursts, sizes, and what its prompts have in common."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from fedsim.document import (
    Block,
    Cell,
    Chart,
    Column,
    Document,
    Heading,
    Sentence,
    Table,
    figure,
    percent,
    words,
)
from fedsim.scenario.load_notes import doubts
from fedsim.workload.describe import Counts, Description, Sharing
from fedsim.workload.traces.trace import Trace


def trace_report(
    file: Path, form: str, requests: Trace, found: Description, chart: Path | None = None
) -> Document:
    """Return the report of a trace.

    Args:
        file: The file that it was read from.
        form: Its format.
        requests: The trace.
        found: Its statistics.
        chart: Where its chart was written, or None for nowhere.
    """
    span = f"{found.span_s:,.0f} s ({_long(found.span_s)})"
    blocks: list[Block] = [
        Heading(f"{file.name}: {found.requests:,} requests in {span}, format {form}", 1),
        Heading("Arrivals"),
        _arrivals(found),
        Heading("Sizes"),
        _sizes(found),
    ]
    notes = [*_notes(requests, found), *doubts(file.name, requests)]
    blocks += [Heading("Notes")] if notes else []
    blocks += [Sentence(note, item=True) for note in notes]
    if chart is not None:
        blocks += [Heading("Written"), Chart("arrivals and sizes over time", chart.as_posix())]
    return Document(tuple(blocks))


def _arrivals(found: Description) -> Table:
    values = {
        "rate, req/s": found.rate_rps,
        "CV of gaps": found.gap_cv,
        "CV of gaps up to 10 s": found.gap_cv_without_pauses,
        **{f"IDC of {window_s:g} s": value for window_s, value in found.idc.items()},
        "peak minute / mean": found.peak_to_mean,
    }
    poisson = [figure(1, "count") if name == "CV of gaps" or name.startswith("IDC") else None
               for name in values]  # fmt: skip
    return Table(
        (
            words("statistic", list(values)),
            Column("value", tuple(map(figure, values.values()))),
            Column("Poisson", tuple(cell or Cell("") for cell in poisson), rank=1),
        )
    )


def _sizes(found: Description) -> Table:
    rows = [found.prompt, found.output]
    names = Counts.__slots__
    return Table(
        (
            words("tokens", ["prompt", "output"]),
            *(Column(name, tuple(_tokens(getattr(row, name)) for row in rows)) for name in names),
        )
    )


def _tokens(value: float) -> Cell:
    """Return a cell with a number of tokens, halves rounded up."""
    return figure(value if math.isnan(value) else math.floor(value + 0.5), "count")


def _notes(requests: Trace, found: Description) -> Iterator[str]:
    if not math.isnan(found.correlation):
        yield f"Correlation of prompt and output tokens: {found.correlation + 0.0:.2f}."
    if found.sharing is not None:
        yield _sharing(found.sharing)
    if found.quantised is not None:
        step = f"{found.quantised.step_s:.3g}"
        yield (
            f"The times are quantized: the {found.requests:,} requests have "
            f"{found.quantised.distinct:,} distinct times, {step} s apart. CV and IDC of shorter "
            f"windows are artifacts of that. spread: {step}s in a scenario spreads such requests "
            "within their buckets; the format mooncake does so by itself."
        )
    if requests.failures:
        yield f"{requests.failures:,} rows are failed requests and left out."
    for labels, what in ((requests.tenants, "tenants"), (requests.origins, "origins")):
        if labels is not None:
            yield f"The requests have {len(labels.names):,} {what}."


def _sharing(sharing: Sharing) -> str:
    return (
        f"Prompts consist of {sharing.blocks:,} blocks of {sharing.block_tokens} tokens, "
        f"{sharing.unique:,} of them distinct: an unbounded prefix cache finds "
        f"{percent(sharing.hit_share)} % of them."
    )


def _long(seconds: float) -> str:
    """Return a duration in the largest unit that it has at least two of."""
    for unit_s, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2.0 * unit_s:
            return f"{seconds / unit_s:.1f} {unit}"
    return f"{seconds:.3g} s"
