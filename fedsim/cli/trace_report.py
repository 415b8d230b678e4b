"""What ``fedsim trace`` prints on a terminal."""

from __future__ import annotations

import math
from pathlib import Path

from fedsim.cli.figures import MISSING, percent, plain
from fedsim.cli.output import heading, sentences, stdout
from fedsim.cli.tables import Column, print_table
from fedsim.scenario.load_notes import doubts
from fedsim.workload.describe import Counts, Description, Sharing
from fedsim.workload.traces import Trace


def print_trace(file: Path, form: str, requests: Trace, found: Description) -> None:
    """Print the statistics of a trace.

    Args:
        file: The file that it was read from.
        form: Its format.
        requests: The trace.
        found: Its statistics.
    """
    console = stdout()
    span = f"{found.span_s:,.0f} s ({_long(found.span_s)})"
    heading(console, f"{file.name}: {found.requests:,} requests in {span}, format {form}")
    console.print()
    _print_arrivals(found)
    console.print()
    _print_sizes(found)
    notes = [*_notes(requests, found), *doubts(file.name, requests)]
    if notes:
        console.print()
        sentences(console, notes)


def _print_arrivals(found: Description) -> None:
    windows = [f"IDC of {window_s:g} s" for window_s in found.idc]
    names = [
        "rate (/s)",
        "CV of gaps",
        "  without gaps over 10 s",
        *windows,
        "peak minute / mean",
    ]
    values = [
        found.rate_rps,
        found.gap_cv,
        found.gap_cv_without_pauses,
        *found.idc.values(),
        found.peak_to_mean,
    ]
    poisson = ["", "1", "", *("1" for _ in windows), ""]
    print_table(
        stdout(),
        [
            Column("arrivals", names, left=True),
            Column("value", [plain(value) for value in values]),
            Column("Poisson", poisson, rank=1),
        ],
    )


def _print_sizes(found: Description) -> None:
    rows = [found.prompt, found.output]
    print_table(
        stdout(),
        [
            Column("tokens", ["prompt", "output"], left=True),
            Column("mean", [_tokens(each.mean) for each in rows]),
            *(
                Column(name, [_tokens(getattr(each, name)) for each in rows])
                for name in Counts.__slots__[1:]
            ),
        ],
    )


def _notes(requests: Trace, found: Description) -> list[str]:
    notes = []
    if not math.isnan(found.correlation):
        value = f"{found.correlation + 0.0:.2f}"
        notes.append(f"Correlation of prompt and output tokens: {value}.")
    if found.sharing is not None:
        notes.append(_sharing(found.sharing))
    if found.quantised is not None:
        notes.append(
            f"The times are quantised: {found.requests:,} requests stand at "
            f"{found.quantised.distinct:,} distinct times, {found.quantised.step_s:.3g} s apart. "
            "CV and IDC of shorter windows are artefacts of that; a scenario spreads such requests "
            f"inside their buckets with spread: {found.quantised.step_s:.3g}s, which the format "
            "mooncake does by itself."
        )
    if requests.failures:
        notes.append(f"{requests.failures:,} rows are failed requests and left out.")
    for labels, what in ((requests.tenants, "tenants"), (requests.origins, "origins")):
        if labels is not None:
            notes.append(f"The requests have {len(labels.names):,} {what}.")
    return notes


def _sharing(sharing: Sharing) -> str:
    return (
        f"Prompts consist of {sharing.blocks:,} blocks of {sharing.block_tokens} tokens, "
        f"{sharing.unique:,} of them distinct: an unbounded prefix cache finds "
        f"{percent(sharing.hit_share)} % of them."
    )


def _tokens(value: float) -> str:
    return MISSING if math.isnan(value) else f"{math.floor(value + 0.5):,}"


def _long(seconds: float) -> str:
    """Return a duration in the largest unit that it has at least two of."""
    for unit_s, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2.0 * unit_s:
            return f"{seconds / unit_s:.1f} {unit}"
    return f"{seconds:.3g} s"
