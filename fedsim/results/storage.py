"""A run's directory: ``scenario.yaml``, ``manifest.json``, ``summary.json``, tables and charts."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedsim.errors import ResultsError
from fedsim.results.columns import TABLES
from fedsim.results.kinds import Names
from fedsim.results.manifest import FORMAT, directory_from_json, slo_from_json
from fedsim.results.plots import CHARTS
from fedsim.results.rundir import (
    MANIFEST,
    PLUGINS,
    SCENARIO,
    read_json,
    whole_directory,
    write_json,
)
from fedsim.results.sources import Figure
from fedsim.results.summary import GROUPINGS
from fedsim.results.tables import DECISIONS, NAMES, Tables
from fedsim.world.observer import Directory

if TYPE_CHECKING:
    from pandas import DataFrame

    from fedsim.results.run import Run

SUMMARY = "summary.json"
SAVED_GROUPINGS = tuple(by for by in GROUPINGS if by != "tenant")
"""The groupings that ``summary.json`` holds; there may be very many tenants."""


def save(run: Run, directory: str | os.PathLike[str], *, charts: bool) -> Path:
    """Write *run* to *directory*; see ``Run.save``."""
    with whole_directory(directory) as folder:
        (folder / SCENARIO).write_text(run.scenario_yaml, encoding="utf-8")
        write_json(folder / SUMMARY, _summaries(run))
        if run.record_tables == "full":
            for name in run.tables.names:
                run.tables[name].to_parquet(
                    folder / f"{name}.parquet", index=False, compression="zstd"
                )
        if charts:
            (folder / "charts").mkdir()
            for name in CHARTS:
                getattr(run.plot, name)().savefig(folder / "charts" / f"{name}.png")
        write_json(folder / MANIFEST, run.manifest)
    return Path(directory)


def load(directory: str | os.PathLike[str]) -> Run:
    """Return the run in *directory*; see ``Run.load``."""
    from fedsim.results.run import Run

    folder = Path(directory)
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format", FORMAT + 1) > FORMAT:
        msg = f"{folder} was written by another or a newer fedsim; read it with that one"
        raise ResultsError(msg)
    try:
        names = directory_from_json(manifest["directory"])
        run = Run(
            Tables({name: _builder(folder, name, names, manifest) for name in _saved(folder)}),
            directory=names,
            name=manifest["name"],
            scenario_yaml=(folder / SCENARIO).read_text(encoding="utf-8"),
            seed=manifest["seed"],
            strategy=manifest["strategy"],
            warmup_s=manifest["warmup_s"],
            duration_s=manifest["duration_s"],
            end_s=manifest["end_s"],
            slo=slo_from_json(manifest["slo"]),
            wall_s=float("nan") if manifest["wall_s"] is None else manifest["wall_s"],
            record_tables=manifest["record_tables"],
            warnings=manifest["warnings"],
            figures=[Figure(**item) for item in manifest.get("figures", [])],
            plugin_directory=Path(manifest[PLUGINS]) if manifest.get(PLUGINS) else None,
            given=[(item["path"], item["object"]) for item in manifest.get("given", [])],
        )
    except (KeyError, TypeError, OSError) as error:
        msg = f"{folder} is not a whole run directory: {error}"
        raise ResultsError(msg) from error
    if run.record_tables == "summary":
        run.adopt(_read_summaries(folder), manifest["digest"])
    return run


def _saved(folder: Path) -> tuple[str, ...]:
    return (*NAMES, DECISIONS) if (folder / f"{DECISIONS}.parquet").exists() else NAMES


def _builder(
    folder: Path, name: str, names: Directory, manifest: dict[str, Any]
) -> Callable[[], DataFrame]:
    if manifest["record_tables"] == "summary":
        return partial(_refuse, folder, name)
    return partial(_read, folder, name, Names(names, manifest.get("outcomes", ())))


def _refuse(folder: Path, name: str) -> DataFrame:
    msg = f"{folder} has no table {name}: its scenario says record.tables: summary"
    raise ResultsError(msg)


def _read(folder: Path, name: str, names: Names) -> DataFrame:
    import pandas as pd

    path = folder / f"{name}.parquet"
    try:
        return TABLES[name].restored(pd.read_parquet(path), names)
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read: {error}"
        raise ResultsError(msg) from error


def _summaries(run: Run) -> dict[str, Any]:
    by = {name: _records(run.summary(name)) for name in SAVED_GROUPINGS}
    return {"all": _records(run.summary())[0], "by": by}


def _records(table: DataFrame) -> list[dict[str, Any]]:
    keyed = table if table.index.name is None else table.reset_index()
    return [{str(key): value for key, value in row.items()} for row in keyed.to_dict("records")]


def _read_summaries(folder: Path) -> dict[str | None, DataFrame]:
    """Return the summaries of a run without tables."""
    import pandas as pd

    data = read_json(folder / SUMMARY)
    summaries: dict[str | None, DataFrame] = {
        None: pd.DataFrame([data["all"]], index=pd.Index(["all"]))
    }
    for by, records in data["by"].items():
        summaries[by] = pd.DataFrame(records).set_index(by)
    return {by: table.apply(pd.to_numeric) for by, table in summaries.items()}
