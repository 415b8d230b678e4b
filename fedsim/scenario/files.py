"""The files that a scenario's workload names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedsim.errors import Problem
from fedsim.scenario.facts import Facts

if TYPE_CHECKING:
    from fedsim.scenario.client_files import Clients
    from fedsim.workload.traces.trace import Trace


@dataclass(frozen=True, slots=True)
class WorkloadFiles:
    """What the files that a workload names hold.

    Attributes:
        traces: The trace of each stream that replays one.
        samples: The traces that token counts are drawn from, by `TokenSample.key`.
        clients: The clients of each stream that draws from theirs.
    """

    traces: Mapping[str, Trace]
    samples: Mapping[str, Trace]
    clients: Mapping[str, Clients]


def read_workload_files(facts: Facts, folder: Path) -> tuple[WorkloadFiles, list[Problem]]:
    """Return what the files of a workload hold, and all that is wrong with them.

    Args:
        facts: The scenario.
        folder: What the names of the files are relative to.
    """
    if not _names_files(facts.written("workload")):
        return WorkloadFiles({}, {}, {}), []
    from fedsim.scenario.client_files import read_clients
    from fedsim.scenario.sample_files import read_samples
    from fedsim.scenario.trace_files import read_traces

    traces, broken_traces = read_traces(facts, folder)
    samples, broken_samples = read_samples(facts, folder)
    clients, broken_clients = read_clients(facts, folder)
    files = WorkloadFiles(traces, samples, clients)
    return files, [*broken_traces, *broken_samples, *broken_clients]


def _names_files(written: Any) -> bool:
    """Return whether something within a workload, as it is written, may name a file."""
    if isinstance(written, dict):
        return not _KEYS.isdisjoint(written) or any(map(_names_files, written.values()))
    return False


_KEYS = frozenset(("file", "trace"))
"""Keys of the workload that name a file; ``lengths`` is never without the first."""
