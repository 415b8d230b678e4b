"""The files that a scenario's workload names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedsim.errors import Problem
from fedsim.scenario.client_files import Clients, read_clients
from fedsim.scenario.facts import Facts
from fedsim.scenario.sample_files import read_samples
from fedsim.scenario.trace_files import read_traces
from fedsim.workload.traces import Trace


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
    traces, broken_traces = read_traces(facts, folder)
    samples, broken_samples = read_samples(facts, folder)
    clients, broken_clients = read_clients(facts, folder)
    files = WorkloadFiles(traces, samples, clients)
    return files, [*broken_traces, *broken_samples, *broken_clients]
