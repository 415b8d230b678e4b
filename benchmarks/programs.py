"""Every program that is measured, by name; each runs a benchmark world and makes its tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from benchmarks import simpy_callbacks, simpy_processes, simpy_textbook
from benchmarks.parts import STEPS, STRATEGIES, WITHOUT_POLICY
from benchmarks.records import frame
from benchmarks.replay import LENGTHS, NODES, equal_lengths, replay
from benchmarks.world import Size, Variant, build

if TYPE_CHECKING:
    from pandas import DataFrame

SimPyProgram = simpy_processes.Program | simpy_callbacks.Program | simpy_textbook.Program


@dataclass(frozen=True, slots=True)
class Finished:
    """What a program leaves behind.

    Attributes:
        tables: Its tables; the first has a row per request, if anything was recorded.
        requests: Number of requests, or NaN where nothing was recorded.
        entries: Entries that were put into SimPy's event queue, or None without such a queue.
    """

    tables: tuple[DataFrame, ...]
    requests: float
    entries: int | None


def run_fedsim(size: Size, variant: Variant | None = None) -> Finished:
    """Run fedsim, and make all tables of a run."""
    benchmark = build(size, variant)
    benchmark.world.run()
    made = benchmark.recorder.tables()
    tables = (made.requests, made.attempts, made.nodes, made.events)
    unrecorded = variant is not None and variant.observer is not None
    requests = float("nan") if unrecorded else float(len(made.requests))
    return Finished(tables, requests, next(benchmark.world.env._eid))


def run_simpy(kind: Callable[[Size], SimPyProgram], size: Size) -> Finished:
    """Run a program on SimPy, and make its table."""
    program = kind(size)
    program.run()
    table = frame(program.records)
    return Finished((table,), float(len(table)), next(program.env._eid))


def run_ciw(size: Size) -> Finished:
    """Run the network of Ciw, and make its table."""
    from benchmarks.ciw_network import Program

    program = Program(size)
    program.run()
    table = program.table()
    return Finished((table,), float(len(table)), None)


def run_replay(node: str, _: Size) -> Finished:
    """Replay a trace on eight nodes of a kind."""
    requests = replay(node).requests
    return Finished((requests,), float(len(requests)), None)


def run_equal_lengths(length: int, size: Size) -> Finished:
    """Run requests with answers of one length on eight engines."""
    requests = equal_lengths(length, size.requests).requests
    return Finished((requests,), float(len(requests)), None)


CIW_MISSING = find_spec("ciw") is None
"""Whether Ciw is not installed; it comes with the extra ``bench``."""

PROGRAMS: dict[str, Callable[[Size], Finished]] = {
    "fedsim": run_fedsim,
    "simpy-processes": partial(run_simpy, simpy_processes.Program),
    "simpy-textbook": partial(run_simpy, simpy_textbook.Program),
    "simpy-callbacks": partial(run_simpy, simpy_callbacks.Program),
    "ciw": run_ciw,
    **{f"replay:{node}": partial(run_replay, node) for node in NODES},
    **{f"length:{length}": partial(run_equal_lengths, length) for length in LENGTHS},
    **{f"strategy:{name}": partial(run_fedsim, variant=v) for name, v in STRATEGIES.items()},
    **{f"step:{name}": partial(run_fedsim, variant=v) for name, v in STEPS.items()},
    **{f"without:{name}": partial(run_fedsim, variant=v) for name, v in WITHOUT_POLICY.items()},
}
"""What ``python -m benchmarks.measure NAME NODES REQUESTS`` measures."""
