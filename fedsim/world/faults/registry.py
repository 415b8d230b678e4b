"""All kinds of faults, by their names in the scenario file."""

from __future__ import annotations

from collections.abc import Mapping

from fedsim.world.faults.gray import BlackHole, Errors, Health, Slowdown
from fedsim.world.faults.kind import FaultKind
from fedsim.world.faults.links import BadLink, Partition
from fedsim.world.faults.maintenance import Drain, RollingDeployment
from fedsim.world.faults.stopping import Correlated, Crash, Flapping, Outage, Spot

FAULTS: Mapping[str, type[FaultKind]] = {
    kind.name: kind
    for kind in (
        Outage,
        Crash,
        Slowdown,
        Errors,
        Drain,
        RollingDeployment,
        BlackHole,
        Partition,
        BadLink,
        Flapping,
        Health,
        Spot,
        Correlated,
    )
}
"""The kinds of faults; ``docs/failures.md`` says what each does."""
