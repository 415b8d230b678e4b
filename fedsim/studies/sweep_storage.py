"""A sweep's directory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedsim.results.rundir import write_json
from fedsim.studies.records import Record
from fedsim.studies.store import save_study
from fedsim.studies.swept import KIND, Sweep

CHARTS = "charts"


def save(sweep: Sweep, directory: str | os.PathLike[str], *, charts: bool) -> Path:
    """Write *sweep* to *directory*; see ``Sweep.save``."""

    def write(folder: Path, _records: Sequence[Record]) -> None:
        _write_derived(sweep, folder, charts=charts)

    return save_study(sweep, KIND, directory, write)


def sweep_json(sweep: Sweep) -> dict[str, Any]:
    """Return what a sweep found as plain values: ``summary.json``, and ``--json``."""
    return {
        "scenario": sweep.scenario.name,
        "keys": {path: key.unit for path, key in sweep.keys.items()},
        "seeds": list(sweep.seeds),
        "estimates": sweep.estimates().to_dict("records"),
        "failures": [failure.to_json() for failure in sweep.failures],
        "warnings": sweep.warnings,
    }


def _write_derived(sweep: Sweep, folder: Path, *, charts: bool) -> None:
    """Write what is made from the runs: tables, ``summary.json`` and charts."""
    write_json(folder / "summary.json", sweep_json(sweep))
    for name, table in (("estimates", sweep.estimates()), ("cells", sweep.cells)):
        table.to_parquet(folder / f"{name}.parquet", index=False, compression="zstd")
    shutil.rmtree(folder / CHARTS, ignore_errors=True)
    if charts:
        (folder / CHARTS).mkdir()
        for name, _, draw in sweep.plot.all():
            draw().savefig(folder / CHARTS / name)
