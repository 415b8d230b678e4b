"""What to measure and to compare, from its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedsim.results.slo import SHARES, Slo
from fedsim.scenario.schema.root import Compare, Precision, Study
from fedsim.scenario.spec import (
    CompareSpec,
    ExpectSpec,
    NoWorseSpec,
    PlanSpec,
    StudySpec,
    SurviveSpec,
    SweepSpec,
)

if TYPE_CHECKING:
    from fedsim.scenario.schema.expect import Expect
    from fedsim.scenario.schema.plan import LoadFactor, Loss, Plan
    from fedsim.scenario.schema.slo import SloSettings
    from fedsim.scenario.schema.sweep import Sweep


def slo_config(slo: SloSettings | None) -> Slo | None:
    """Return the objective, or None where the file has none."""
    if slo is None:
        return None
    streams = {name: bounds.bounds() for name, bounds in slo.streams.items()}
    return Slo(slo.bounds(), slo.every, streams)


def compare_spec(compare: Compare | None) -> CompareSpec | None:
    """Return what to compare, or None where the file does not say."""
    if compare is None:
        return None
    return CompareSpec(
        tuple(compare.strategies), compare.replications, compare.baseline, tuple(compare.routers)
    )


def study_spec(study: Study) -> StudySpec:
    """Return what all studies of many runs have in common."""
    asked = {key: getattr(study.precision, key) for key in Precision.model_fields}
    precision = {
        SHARES.get(key, f"{key}_s"): width for key, width in asked.items() if width is not None
    }
    return StudySpec(
        study.replications,
        study.confidence,
        precision,
        study.max_replications,
        study.steady_state,
    )


def sweep_spec(sweep: Sweep | None) -> SweepSpec | None:
    """Return what to sweep, or None where the file does not say."""
    if sweep is None:
        return None
    return SweepSpec(
        sweep.grid,
        sweep.each,
        sweep.latin_hypercube,
        64 if sweep.points is None else sweep.points,
        sweep.replications,
    )


def expect_spec(expect: Expect | None) -> ExpectSpec | None:
    """Return what to expect, or None where the file does not say."""
    if expect is None:
        return None
    from fedsim.scenario.schema.expect import limit_of

    limit = expect.no_worse
    return ExpectSpec(
        expect.replications,
        expect.slo is not None,
        expect.best,
        None if limit is None else NoWorseSpec(limit.than, limit.measure, limit.margin),
        {name: limit_of(name, text) for name, text in expect.measures.items()},
        expect.decisions is not None,
        expect.known_failure or "",
    )


def plan_spec(plan: Plan | None) -> PlanSpec | None:
    """Return what to plan, complete, or None where the file does not say."""
    if plan is None:
        return None
    from fedsim.scenario.schema.plan import values_of

    assert plan.replications is not None
    assert plan.confidence is not None
    return PlanSpec(
        {path: tuple(values_of(varied)) for path, varied in plan.vary.items()},
        plan.minimize,
        plan.limits,
        tuple(_survived(case) for case in plan.survive),
        plan.replications,
        plan.confidence,
        None if plan.budget is None else plan.budget.runs,
        plan.growth,
    )


def _survived(case: str | LoadFactor | Loss) -> SurviveSpec:
    from fedsim.scenario.schema.plan import LoadFactor, Loss

    if isinstance(case, Loss):
        return SurviveSpec(lost=case.lose, settle_s=case.settle, interruption=case.interruption)
    if isinstance(case, LoadFactor):
        return SurviveSpec(traffic=case.traffic)
    return SurviveSpec(absent="region" if case == "any_region" else "node")
