"""A plan's directory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedsim.results.rundir import write_json
from fedsim.studies.plan.result import KIND, Plan
from fedsim.studies.records import Record
from fedsim.studies.store import save_study
from fedsim.studies.sweep_storage import CHARTS


def save(plan: Plan, directory: str | os.PathLike[str], *, charts: bool) -> Path:
    """Write *plan* to *directory*; see ``Plan.save``."""

    def write(folder: Path, _records: Sequence[Record]) -> None:
        write_json(folder / "summary.json", plan_json(plan))
        tables = {
            "evaluations": plan.evaluations,
            "estimates": plan.estimates(),
            "cells": plan.cells,
        }
        for name, table in tables.items():
            table.to_parquet(folder / f"{name}.parquet", index=False, compression="zstd")
        shutil.rmtree(folder / CHARTS, ignore_errors=True)
        if charts:
            (folder / CHARTS).mkdir()
            plan.plot.costs().savefig(folder / CHARTS / "costs.png")

    return save_study(plan, KIND, directory, write)


def plan_json(plan: Plan) -> dict[str, Any]:
    """Return what a plan found as plain values: ``summary.json``, and ``--json``."""
    findings = plan.findings
    box, place = findings.fleets.box, findings.outcome.best
    bound = findings.bound
    at = None if bound is None else box.place(bound)
    return {
        "scenario": plan.scenario.name,
        "status": plan.status,
        "best": plan.best,
        "minimize": plan.spec.minimize,
        "amount": None if place is None else float(box.objective[place]),
        "bound": None if bound is None else plan.values(bound),
        "bound_amount": None if at is None else float(box.objective[at]),
        "fleets": len(box),
        "replications": plan.spec.replications,
        "confidence": plan.confidence,
        "runs": plan.runs,
        "cases": plan.cases.to_dict("records"),
        "warnings": plan.warnings,
    }
