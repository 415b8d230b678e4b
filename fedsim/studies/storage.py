"""A comparison's directory."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedsim.results.manifest import FORMAT, provenance
from fedsim.results.measures import MEASURES
from fedsim.results.rundir import MANIFEST, PLUGINS, SCENARIO, whole_directory, write_json
from fedsim.studies.comparison import HIGH, LOW, Comparison

if TYPE_CHECKING:
    from pandas import DataFrame


def save(comparison: Comparison, directory: str | os.PathLike[str], *, charts: bool) -> Path:
    """Write *comparison* to *directory*; see ``Comparison.save``."""
    with whole_directory(directory) as folder:
        text = comparison.scenario.changed(seed=comparison.seeds[0]).to_yaml()
        (folder / SCENARIO).write_text(text, encoding="utf-8")
        write_json(folder / "summary.json", comparison_json(comparison))
        _parquet(comparison.replications, folder / "replications.parquet")
        _parquet(_long(comparison), folder / "comparison.parquet")
        if charts:
            _draw(comparison, folder / "charts")
        places = run_places(comparison)
        for name, number, run in comparison.kept:
            run.save(folder / places[name, number], charts=charts)
        write_json(folder / MANIFEST, _manifest(comparison, places))
    return Path(directory)


def run_places(comparison: Comparison) -> dict[tuple[str, int], str]:
    """Return the folder of each run that was kept, by strategy and replication."""
    places: dict[tuple[str, int], str] = {}
    for name, number, run in comparison.kept:
        place = "runs/" + re.sub(r"[^\w.-]+", "-", name).strip(".-")
        if number:
            place += f"-seed-{run.seed}"
        while place in places.values():
            place += "-"
        places[name, number] = place
    return places


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Return what a comparison found as plain values: ``summary.json``, and ``--json``."""
    return {
        "scenario": comparison.scenario.name,
        "baseline": comparison.baseline,
        "seeds": list(comparison.seeds),
        "ranking": _records(comparison.summary()),
        "differences": {measure: _records(comparison.differences(measure)) for measure in MEASURES},
        "by": {by: _records(comparison.by(by)) for by in ("stream", "origin")},
        "objectives": comparison.objectives.to_dict("records"),
        "outcomes": _records(comparison.outcomes.groupby("strategy", sort=False).sum()),
        "digests": comparison.digests,
        "warnings": comparison.warnings,
    }


def _records(table: DataFrame) -> list[dict[Any, Any]]:
    return table.reset_index().to_dict("records")


def _parquet(table: DataFrame, path: Path) -> None:
    table.to_parquet(path, index=False, compression="zstd")


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
    folder.mkdir()
    plot = comparison.plot
    for time in plot.times:
        getattr(plot, time)().savefig(folder / f"{time}.png")
    for measure in plot.measures:
        plot.ranking(measure).savefig(folder / f"ranking-{measure}.png")
        if len(comparison.strategies) > 1:
            plot.differences(measure).savefig(folder / f"differences-{measure}.png")


def _manifest(comparison: Comparison, places: dict[tuple[str, int], str]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "kind": "comparison",
        "name": comparison.scenario.name,
        "strategies": list(comparison.strategies),
        "baseline": comparison.baseline,
        "seeds": list(comparison.seeds),
        "digests": comparison.digests,
        "runs": [
            {"strategy": name, "seed": comparison.seeds[number], "directory": place}
            for (name, number), place in places.items()
        ],
        "wall_s": comparison.wall_s,
        PLUGINS: str(comparison.scenario.plugin_directory.absolute()),
        **provenance(),
    }
