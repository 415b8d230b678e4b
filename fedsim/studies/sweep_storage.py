"""A sweep's directory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedsim.studies.records import Record
from fedsim.studies.store import save_study, write_derived
from fedsim.studies.swept import KIND, Sweep


def save(sweep: Sweep, directory: str | os.PathLike[str], *, charts: bool) -> Path:
    """Write *sweep* to *directory*; see ``Sweep.save``."""

    def draw(folder: Path) -> None:
        for name, _, chart in sweep.plot.all():
            chart().savefig(folder / name)

    def write(folder: Path, _records: Sequence[Record]) -> None:
        tables = {"estimates": sweep.estimates(), "cells": sweep.cells}
        write_derived(folder, sweep_json(sweep), tables, draw if charts else None)

    return save_study(sweep, KIND, directory, write)


def sweep_json(sweep: Sweep) -> dict[str, Any]:
    """Return what a sweep found as plain values: ``summary.json``, and ``--json``.

    What is not worth believing is null, and ``withheld`` says why.
    """
    return {
        "scenario": sweep.scenario.name,
        "keys": {path: key.unit for path, key in sweep.keys.items()},
        "seeds": list(sweep.seeds),
        "target": sweep.target,
        "digests": sweep.digests,
        "estimates": sweep.estimates().to_dict("records"),
        "withheld": sweep.withheld.to_dict("records"),
        "reached": [dict(each.half_widths) | {"enough": each.enough} for each in sweep.reached],
        "failures": [failure.to_json() for failure in sweep.failures],
        "warnings": sweep.warnings,
    }
