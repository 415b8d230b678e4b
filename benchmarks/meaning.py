"""What must be true before a figure means anything; asserted before anything is timed.

A speed-up that changes the number of events of a request, its results, or the world that the
compared programs simulate, fails here.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import simpy
from simpy.core import StopSimulation

from benchmarks import simpy_callbacks, simpy_processes
from benchmarks.records import frame
from benchmarks.world import Benchmark, Size, build

if TYPE_CHECKING:
    from pandas import DataFrame

PATH = {"Source": 1, "Job": 3}
"""Entries of SimPy's queue for a request that is served at its first attempt: its arrival; its way
to the node, its service, its way back."""

SIMPY_PROCESSES_ENTRIES = 8
"""Arrival, start and end of a process, two legs, service, a slot asked for and given back."""

SIMPY_CALLBACKS_ENTRIES = 4
"""Arrival, two legs, service."""

SMALL = Size(nodes=16, requests=2_000)


def run_counted(benchmark: Benchmark) -> Counter[str]:
    """Run the world by SimPy's own ``step``, and count the entries that it takes, by class."""
    env = benchmark.world.env
    counts: Counter[str] = Counter()

    def run(until: simpy.Event) -> None:
        assert until.callbacks is not None
        until.callbacks.append(StopSimulation.callback)
        try:
            while True:
                counts[type(env._queue[0][3]).__name__] += 1
                simpy.Environment.step(env)
        except StopSimulation:
            pass

    with patch.object(env, "run", run):
        benchmark.world.run()
    return counts


def tables(benchmark: Benchmark) -> dict[str, DataFrame]:
    """Return the tables of a world that has run."""
    made = benchmark.recorder.tables()
    return {name: made[name] for name in ("requests", "attempts", "nodes", "events")}


def check_path(counts: Counter[str], requests: int) -> None:
    """Assert that every request took exactly the entries of ``PATH``."""
    for kind, each in PATH.items():
        assert counts[kind] == each * requests, (
            f"{requests} requests took {counts[kind]} entries of {kind}, not {each} each"
        )


def check_agreement(requests: DataFrame, records: DataFrame) -> None:
    """Assert that a SimPy program met the same requests and served them at the same times."""
    assert len(requests) == len(records)
    assert (requests["outcome"] == "ok").all()
    chosen: Any = requests["node"].cat.codes
    assert (chosen.to_numpy() == records["node"].to_numpy()).all(), "other nodes were chosen"
    for name in ("arrived_s", "finished_s", "network_s", "queue_wait_s", "service_s"):
        error_s = float(np.abs(requests[name] - records[name]).max())
        assert error_s < 1e-9, f"{name} differs by {error_s:g} s"


def check_counterparts(requests: DataFrame) -> None:
    """Assert that the SimPy programs agree, at 8 and 4 entries of the queue for a request."""
    processes, callbacks = simpy_processes.Program(SMALL), simpy_callbacks.Program(SMALL)
    for program in (processes, callbacks):
        program.run()
        check_agreement(requests, frame(program.records))
    source = 2  # its process starts and ends
    assert next(processes.env._eid) == SIMPY_PROCESSES_ENTRIES * len(requests) + source
    assert next(callbacks.env._eid) == SIMPY_CALLBACKS_ENTRIES * len(requests)


def check_meaning() -> dict[str, float]:
    """Assert all of it on a small world, and return fedsim's entries per request by class."""
    fast, stock = build(SMALL), build(SMALL)
    fast.world.run()
    counts = run_counted(stock)
    processed = next(fast.world.env._eid) - len(fast.world.env._queue)
    assert processed == counts.total(), "fedsim's loop and SimPy's step process different entries"
    made, expected = tables(fast), tables(stock)
    for name, table in made.items():
        assert table.equals(expected[name]), f"the table {name} differs from SimPy's own step"
    served = len(made["requests"])
    check_path(counts, served)
    check_counterparts(made["requests"])
    return {kind: count / served for kind, count in sorted(counts.items())}
