"""Failure rates of published fleets, as presets for crashes at random.

All of them are fleets for training and for high-performance computing: no rate of an inference
fleet is published. A preset is about a whole server with several GPUs, and each node that takes it
fails as such a server does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from fedsim.scenario.catalogues.tables import Source, rows, sources, unknown


@dataclass(frozen=True, slots=True)
class FailurePreset:
    """How often the servers of a fleet fail, and how long they are away.

    Attributes:
        name: The preset.
        gpus: GPUs of a server.
        mtbf_s: Mean time up of a server in seconds.
        mtbf_source: Where that comes from.
        mttr_s: Mean time to repair in seconds.
        mttr_source: Where that comes from.
        derivation: How the figures follow from what was published.
    """

    name: str
    gpus: int
    mtbf_s: float
    mtbf_source: Source
    mttr_s: float
    mttr_source: Source
    derivation: str


@cache
def failure_presets() -> dict[str, FailurePreset]:
    """Return all presets by name."""
    return {
        row["name"]: FailurePreset(
            name=row["name"],
            gpus=int(row["gpus"]),
            mtbf_s=float(row["mtbf_h"]) * 3600.0,
            mtbf_source=sources()[row["mtbf_source"]],
            mttr_s=float(row["mttr_min"]) * 60.0,
            mttr_source=sources()[row["mttr_source"]],
            derivation=row["derivation"],
        )
        for row in rows("failures")
    }


def failure_preset(name: str) -> FailurePreset:
    """Return the preset *name*.

    Raises:
        CatalogueError: There is none.
    """
    presets = failure_presets()
    if name not in presets:
        failure = unknown("failure preset", name, presets, "failures")
        raise failure
    return presets[name]
