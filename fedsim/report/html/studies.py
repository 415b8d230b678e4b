"""What the pages of studies have in common: how they came about, and what their warnings change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fedsim.report.html.page import Made
from fedsim.results.manifest import provenance
from fedsim.studies.comparison import Comparison
from fedsim.studies.plan.headroom import Headroom
from fedsim.studies.plan.result import Plan
from fedsim.studies.repeating import study_command
from fedsim.studies.swept import Sweep

NO_COMMAND = (
    "No command gives this study again, as seeds or objects were given in Python; fedsim study "
    "lists its runs."
)


def made(study: Comparison | Headroom | Plan | Sweep, kind: str) -> Made:
    """Return how a study came about.

    Args:
        study: The study.
        kind: What it is, such as ``comparison``.
    """
    scenario, store = study.scenario, study.store
    manifest = {"kind": kind, "scenario": scenario.resolved, "options": study.options}
    versions = provenance()["versions"] if store is None else store.manifest["versions"]
    command = study_command("scenario.yaml", manifest, study.planned)
    seeds = dict.fromkeys(run.seed for run in study.planned)
    shown = [str(seed) for seed in list(seeds)[:20]]
    more = f" and {len(seeds) - len(shown)} more" if len(seeds) > len(shown) else ""
    facts = {
        "seed": str(scenario.seed),
        "seeds of its runs": f"{', '.join(shown)}{more}",
        "runs": f"{len(study.records):,} done, {len(study.failures):,} failed",
    }
    return Made(scenario.to_yaml(), command or NO_COMMAND, facts, versions, repeats=bool(command))


def of_warnings(warnings: Sequence[str]) -> Iterator[str]:
    """Yield that warnings may change a conclusion, if there are any."""
    if warnings:
        one = len(warnings) == 1
        yield (
            f"The {'warning' if one else f'{len(warnings)} warnings'} above: "
            f"{'it says' if one else 'they say'} where the figures may mislead."
        )
