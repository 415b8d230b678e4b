"""A run's directory: ``scenario.yaml``, ``manifest.json``, ``summary.json``, tables and charts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedsim.errors import ResultsError
from fedsim.results.columns import TABLES
from fedsim.results.kinds import Names
from fedsim.results.manifest import (
    FORMAT,
    directory_from_json,
    slo_from_json,
    verdict_from_json,
    verdict_to_json,
)
from fedsim.results.measures import MEASURES
from fedsim.results.rundir import (
    MANIFEST,
    PLUGINS,
    SCENARIO,
    STUDY,
    named,
    read_json,
    whole_directory,
    write_json,
)
from fedsim.results.slo import Verdict
from fedsim.results.sources import Figure
from fedsim.results.summary import GROUPINGS
from fedsim.results.tables import DECISIONS, NAMES, Tables
from fedsim.world.observer import Directory

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture
    from pandas import DataFrame


SUMMARY = "summary.json"
SAVED_GROUPINGS = tuple(by for by in GROUPINGS if by != "tenant")
"""The groupings that ``summary.json`` holds; there may be very many tenants."""

_MAGIC = b"PAR1"

_PLAIN = (
    "name",
    "seed",
    "strategy",
    "warmup_s",
    "duration_s",
    "end_s",
    "record_tables",
    "warnings",
)
"""The arguments of ``Run`` that the manifest holds as they are."""

_MADE = ("created", "versions", "platform")
"""What the manifest says of the fedsim that made the run."""


@dataclass(frozen=True, slots=True)
class SavedRun:
    """What a run's directory holds.

    Attributes:
        tables: The tables, each read when it is first asked for.
        facts: The other arguments of ``Run``, by name.
        digest: The run's digest.
        summaries: What was computed of a run whose tables were not saved, by grouping; else None.
        verdicts: Its verdicts, or None where they were not saved.
    """

    tables: Tables
    facts: dict[str, Any]
    digest: str
    summaries: dict[str | None, DataFrame] | None
    verdicts: list[Verdict] | None


def write(
    directory: str | os.PathLike[str],
    scenario_yaml: str,
    manifest: dict[str, Any],
    summary: Callable[[str | None], DataFrame],
    verdicts: Iterable[Verdict],
    tables: Tables | None,
    charts: Iterable[tuple[str, Picture]],
) -> Path:
    """Write a run to *directory*, which exists only once it is whole, and return that.

    Args:
        directory: Its name. One that fedsim wrote is replaced.
        scenario_yaml: The resolved scenario.
        manifest: How the run came about.
        summary: Gives the summary by a grouping.
        verdicts: Whether each bound of the objective was held.
        tables: The tables, or None where they are left out.
        charts: The charts and their names.

    Raises:
        ResultsError: Something else has that name, or it cannot be written.
    """
    with whole_directory(directory) as folder:
        (folder / SCENARIO).write_text(scenario_yaml, encoding="utf-8")
        by = {name: _records(summary(name)) for name in SAVED_GROUPINGS}
        objective = [verdict_to_json(verdict) for verdict in verdicts]
        whole = _records(summary(None))[0]
        write_json(folder / SUMMARY, {"all": whole, "by": by, "objective": objective})
        if tables is not None:
            for name in tables.names:
                path = folder / f"{name}.parquet"
                tables[name].to_parquet(path, index=False, compression="zstd")
        draw(charts, folder)
        write_json(folder / MANIFEST, manifest)
    return Path(directory)


def draw(charts: Iterable[tuple[str, Picture]], folder: Path) -> None:
    """Write charts, each with its name, into the ``charts`` of a run's directory."""
    for name, chart in charts:
        (folder / "charts").mkdir(exist_ok=True)
        chart.savefig(folder / "charts" / f"{name}.png")


def read(directory: str | os.PathLike[str]) -> SavedRun:
    """Return what *directory* holds.

    Raises:
        ResultsError: It is not a run's, or is broken.
    """
    folder = named(directory)
    if (folder / STUDY).is_file() and not (folder / MANIFEST).exists():
        raise ResultsError(_study(folder))
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format", FORMAT + 1) > FORMAT:
        msg = f"{folder} was written by another or a newer fedsim; read it with that one"
        raise ResultsError(msg)
    if manifest.get("kind") == "comparison":
        msg = f"{folder} is a comparison's directory, not a run's; see those in {folder / 'runs'}"
        raise ResultsError(msg)
    try:
        names = directory_from_json(manifest["directory"])
        summarised = manifest["record_tables"] == "summary"
        saved = read_json(folder / SUMMARY) if summarised else None
        return SavedRun(
            Tables({name: _builder(folder, name, names, manifest) for name in _saved(folder)}),
            {
                "directory": names,
                "scenario_yaml": (folder / SCENARIO).read_text(encoding="utf-8"),
                "slo": slo_from_json(manifest["slo"]),
                "wall_s": float("nan") if manifest["wall_s"] is None else manifest["wall_s"],
                "figures": [Figure(**item) for item in manifest.get("figures", [])],
                "plugin_directory": Path(manifest[PLUGINS]) if manifest.get(PLUGINS) else None,
                "start": _start(manifest.get("start")),
                "given": [(item["path"], item["object"]) for item in manifest.get("given", [])],
                "made": {name: manifest[name] for name in _MADE if name in manifest},
                **{name: manifest[name] for name in _PLAIN},
            },
            manifest["digest"],
            None if saved is None else _summaries(saved),
            None if saved is None or "objective" not in saved else _verdicts(saved),
        )
    except (KeyError, TypeError, ValueError, OSError) as error:
        msg = f"{folder} is not a whole run directory: {error}"
        raise ResultsError(msg) from error


def _study(folder: Path) -> str:
    """Return that *folder* is a study's, and which of its runs can be read instead."""
    kept = sorted(each.parent for each in folder.glob(f"runs/*/{MANIFEST}"))
    if not kept:
        again = f"run one by fedsim run {folder / SCENARIO}"
        return f"{folder} is a study, not a run, and keeps none of its runs whole; {again}"
    more = f", one of {len(kept)}" if len(kept) > 1 else ""
    return f"{folder} is a study, not a run; name one of its runs, such as {kept[0]}{more}"


def _start(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def is_whole(directory: Path) -> bool:
    """Return whether a run can be read from *directory*: no file is missing, broken or cut off."""
    try:
        saved = read(directory)
    except ResultsError:
        return False
    full = saved.facts["record_tables"] == "full"
    return all(_is_parquet(directory / f"{name}.parquet") for name in _saved(directory) if full)


def _is_parquet(path: Path) -> bool:
    """Return whether a file begins and ends as Parquet does."""
    try:
        with path.open("rb") as file:
            begins = file.read(len(_MAGIC)) == _MAGIC
            file.seek(-len(_MAGIC), os.SEEK_END)
            return begins and file.read() == _MAGIC
    except OSError:
        return False


def _saved(folder: Path) -> tuple[str, ...]:
    return (*NAMES, DECISIONS) if (folder / f"{DECISIONS}.parquet").exists() else NAMES


def _builder(
    folder: Path, name: str, names: Directory, manifest: dict[str, Any]
) -> Callable[[], DataFrame]:
    if manifest["record_tables"] == "summary":
        return partial(_refuse, folder, name)
    return partial(_read, folder, name, Names(names, manifest.get("outcomes", ())))


def _refuse(folder: Path, name: str) -> DataFrame:
    msg = (
        f"{folder} has no table {name}: its scenario says record.tables: summary; "
        "run it again with --set record.tables=full"
    )
    raise ResultsError(msg)


def _read(folder: Path, name: str, names: Names) -> DataFrame:
    import pandas as pd

    path = folder / f"{name}.parquet"
    try:
        return TABLES[name].restored(pd.read_parquet(path), names)
    except (OSError, ValueError) as error:
        reason = str(error).rstrip(".")
        msg = (
            f"{path} cannot be read: {reason}; remove {folder}, and repeat the command that made it"
        )
        raise ResultsError(msg) from error


def _records(table: DataFrame) -> list[dict[str, Any]]:
    keyed = table if table.index.name is None else table.reset_index()
    return [{str(key): value for key, value in row.items()} for row in keyed.to_dict("records")]


def _summaries(saved: dict[str, Any]) -> dict[str | None, DataFrame]:
    """Return the summaries of a run without tables; a measure that they lack is missing."""
    import pandas as pd

    summaries: dict[str | None, DataFrame] = {
        None: pd.DataFrame([saved["all"]], index=pd.Index(["all"]))
    }
    for by, records in saved["by"].items():
        summaries[by] = pd.DataFrame(records).set_index(by)
    columns = list(MEASURES)
    return {
        by: table.apply(pd.to_numeric).reindex(columns=columns) for by, table in summaries.items()
    }


def _verdicts(saved: dict[str, Any]) -> list[Verdict]:
    return [verdict_from_json(each) for each in saved["objective"]]
