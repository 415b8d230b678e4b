"""A comparison's directory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedsim.results.measures import MEASURES
from fedsim.results.storage import draw
from fedsim.studies.comparison import HIGH, KIND, LOW, Comparison
from fedsim.studies.records import Record
from fedsim.studies.store import CHARTS, save_study, write_derived

if TYPE_CHECKING:
    from pandas import DataFrame


def save(comparison: Comparison, directory: str | os.PathLike[str], *, charts: bool) -> Path:
    """Write *comparison* to *directory*; see ``Comparison.save``."""
    write = partial(_write_derived, comparison, charts=charts)
    return save_study(comparison, KIND, directory, write, comparison.whole)


def _write_derived(
    comparison: Comparison, folder: Path, records: Sequence[Record], *, charts: bool
) -> None:
    """Write what is made from the runs: tables, ``summary.json`` and charts."""
    tables = {"replications": comparison.replications, "comparison": _long(comparison)}
    own = partial(_draw, comparison) if charts else None
    write_derived(folder, comparison_json(comparison), tables, own)
    for record in records if charts else ():
        if record.kept and not (folder / record.kept / CHARTS).exists():
            run = comparison.run(record.key["strategy"], record.replication)
            draw(run.plot.all(), folder / record.kept)


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Return what a comparison found as plain values: ``summary.json``, and ``--json``.

    What is not worth believing is null, and ``withheld`` says why.
    """
    return {
        "scenario": comparison.scenario.name,
        "baseline": comparison.baseline,
        "target": comparison.target,
        "seeds": list(comparison.seeds),
        "ranking": _records(comparison.summary()),
        "differences": {measure: _records(comparison.differences(measure)) for measure in MEASURES},
        "withheld": comparison.withheld.to_dict("records"),
        "by": {
            by: _records(comparison.by(by))
            for by in ("stream", "origin")
            if by in comparison.groupings
        },
        "objectives": comparison.objectives.to_dict("records"),
        "outcomes": _records(comparison.outcomes.groupby("strategy", sort=False).sum()),
        "digests": comparison.digests,
        "failures": [failure.to_json() for failure in comparison.failures],
        "warnings": comparison.warnings,
    }


def _records(table: DataFrame) -> list[dict[Any, Any]]:
    return table.reset_index().to_dict("records")


def _long(comparison: Comparison) -> DataFrame:
    """Return a row per strategy and measure: its mean, and its difference from the baseline."""
    import pandas as pd

    summary = comparison.summary()
    parts = []
    for measure in MEASURES:
        differences = comparison.differences(measure).add_prefix("baseline_")
        part = summary[["rank"]].assign(
            measure=measure,
            mean=summary[measure],
            low=summary[measure + LOW],
            high=summary[measure + HIGH],
        )
        parts.append(part.join(differences).reset_index(names="strategy"))
    return pd.concat(parts, ignore_index=True)


def _draw(comparison: Comparison, folder: Path) -> None:
    plot = comparison.plot
    for time in plot.times:
        getattr(plot, time)().savefig(folder / f"{time}.png")
    for measure in plot.measures:
        plot.ranking(measure).savefig(folder / f"ranking-{measure}.png")
        if len(comparison.strategies) > 1:
            plot.differences(measure).savefig(folder / f"differences-{measure}.png")
