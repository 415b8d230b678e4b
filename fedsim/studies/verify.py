"""Runs fedsim on systems whose behavior theory knows, and judges what comes out.

Every system runs in independent replications. What is measured is a ratio of sums over a window;
its interval is that of the mean of y = (a − m b) / b̄ + m, with a and b the sums of a replication,
b̄ the mean of b, and m the ratio (Law, *Simulation Modeling and Analysis*, section 9.5: the ratio
estimator). All intervals hold together with the nominal probability `CONFIDENCE` (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsim.errors import SimulationError
from fedsim.scenario.load import load
from fedsim.scenario.simulate import simulate
from fedsim.studies.cells import replication_seed
from fedsim.studies.known_systems import Check, Ratio, Seen, System, known_systems
from fedsim.studies.progress import Meter, Tell
from fedsim.studies.statistics import estimate
from fedsim.studies.workers import WorkerDied, Workers

Floats = NDArray[np.float64]

CONFIDENCE = 0.9997
"""The nominal probability with which all intervals of a verification hold, if fedsim is correct.

So far out, intervals of skewed means miss up to three times as often as their level says; with that
a correct fedsim still fails with fewer than one seed in 1,000.
"""

REPLICATIONS = 40
"""Runs of each system."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What theory says of a number, and what fedsim does.

    Attributes:
        system: The system's name.
        check: What the number is.
        unit: Its unit, or empty.
        source: Where the expected value comes from.
        expected: What theory says.
        slack: By how much a correct simulator may miss it.
        measured: What the replications came to; NaN where they say nothing.
        low: Lower end of its interval.
        high: Upper end.
    """

    system: str
    check: str
    unit: str
    source: str
    expected: float
    slack: float
    measured: float
    low: float
    high: float

    @property
    def agrees(self) -> bool:
        """Whether the interval, wider by the slack, holds what theory says."""
        return self.low - self.slack <= self.expected <= self.high + self.slack


@dataclass(frozen=True, slots=True)
class Verification:
    """fedsim against theory.

    Attributes:
        seed: The seed.
        systems: The systems.
        findings: A finding for each check of each system, in their order.
        replications: Runs of each system.
        level: The coverage of each interval by itself.
    """

    seed: int
    systems: tuple[System, ...]
    findings: tuple[Finding, ...]
    replications: int
    level: float

    @property
    def differing(self) -> tuple[Finding, ...]:
        """The findings in which fedsim and theory differ."""
        return tuple(each for each in self.findings if not each.agrees)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values, the same for the same seed and version."""
        return {
            "agrees": not self.differing,
            "seed": self.seed,
            "replications": self.replications,
            "confidence": CONFIDENCE,
            "level": self.level,
            "findings": [asdict(each) | {"agrees": each.agrees} for each in self.findings],
            "systems": {each.name: dict(each.scenario) for each in self.systems},
        }


def verify(
    seed: int = 1,
    *,
    workers: int | None = None,
    progress: Tell | None = None,
    only: Sequence[str] | None = None,
) -> Verification:
    """Run the known systems, and compare them with theory.

    Args:
        seed: From which the seed of every run follows, >= 0.
        workers: Number of processes; None for one per processor, 1 for none besides this one.
        progress: Is called with how far it is.
        only: Names of the systems to run; None for all.

    Raises:
        KeyError: A name is unknown.
        SimulationError: A worker process died.
    """
    known = _by_name()
    systems = tuple(known[name] for name in (known if only is None else only))
    calls = [(each.name, number) for each in systems for number in range(REPLICATIONS)]
    rows = iter(_observed(seed, calls, workers, progress))
    checks = sum(len(each.checks) for each in known.values())
    level = 1.0 - (1.0 - CONFIDENCE) / checks
    findings: list[Finding] = []
    for system in systems:
        seen = np.array([next(rows) for _ in range(REPLICATIONS)])
        for place, check in enumerate(system.checks):
            findings.append(_finding(system, check, seen[:, place, 0], seen[:, place, 1], level))
    return Verification(seed, systems, tuple(findings), REPLICATIONS, level)


def _observed(
    seed: int,
    calls: Sequence[tuple[str, int]],
    workers: int | None,
    progress: Tell | None,
) -> list[list[Ratio]]:
    """Return what each run has to say of the checks of its system."""
    rows: list[list[Ratio]] = [[] for _ in calls]
    meter = Meter(progress, len(calls))
    with Workers(observe, str(seed).encode(), workers=workers) as pool:
        for place, found in pool.results(calls, lambda done, _: meter(done)):
            if isinstance(found, WorkerDied):
                msg = f"{calls[place][0]}: {found.reason}"
                raise SimulationError(msg)
            rows[place] = found
    return rows


def observe(
    seed: bytes,
    name: str,
    replication: int,
    progress: Callable[[float], None] | None = None,
) -> list[Ratio]:
    """Return what one run of a system has to say of each of its checks, as a worker does it."""
    system = _by_name()[name]
    scenario = load(system.scenario_of(replication))
    own = replication_seed(int(seed), replication)
    seen = Seen(simulate(scenario, seed=own, progress=progress))
    return [check.measure(seen) for check in system.checks]


@lru_cache(maxsize=1)
def _by_name() -> dict[str, System]:
    return {system.name: system for system in known_systems()}


def _finding(system: System, check: Check, sums: Floats, counts: Floats, level: float) -> Finding:
    mean = float(counts.mean())
    measured = float(sums.mean()) / mean if mean else math.nan
    values = measured + (sums - measured * counts) / mean if math.isfinite(measured) else [math.nan]
    found = estimate(values, confidence=level)
    return Finding(
        system=system.name,
        check=check.name,
        unit=check.unit,
        source=check.source,
        expected=check.expected,
        slack=check.slack,
        measured=measured,
        low=found.low,
        high=found.high,
    )
