"""A plan's directory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedsim.studies.plan.result import KIND, Plan
from fedsim.studies.records import Record
from fedsim.studies.store import save_study, write_derived


def save(plan: Plan, directory: str | os.PathLike[str], *, charts: bool) -> Path:
    """Write *plan* to *directory*; see ``Plan.save``."""

    def draw(folder: Path) -> None:
        plan.plot.costs().savefig(folder / "costs.png")

    def write(folder: Path, _records: Sequence[Record]) -> None:
        tables = {
            "evaluations": plan.evaluations,
            "estimates": plan.estimates(),
            "cells": plan.cells,
        }
        write_derived(folder, plan_json(plan), tables, draw if charts else None)

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
        "amount": None if place is None else findings.amount(place),
        "bound": None if bound is None else plan.values(bound),
        "bound_amount": None if at is None else float(box.objective[at]),
        "fleets": len(box),
        "replications": plan.spec.replications,
        "confidence": plan.confidence,
        "runs": plan.runs,
        "cases": plan.cases.to_dict("records"),
        "warnings": plan.warnings,
    }
