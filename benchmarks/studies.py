"""What studies cost: ``python -m benchmarks.studies`` prints a table, in some minutes.

Figures of processor time hold on a busy machine within its noise; those of the wall clock need an
idle one. ``--only cells many wall`` leaves parts out.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import cloudpickle

import fedsim
from benchmarks.measure import peak_bytes
from fedsim.scenario.spec import Scenario
from fedsim.studies.cells import Cell, PlannedRun, Variants
from fedsim.studies.records import Question, Record, run_planned
from fedsim.studies.runset import RunSet
from fedsim.studies.store import Store

Row = tuple[str, str]

SCENARIO = "scenarios/three-regions.yaml"
HUNDRED = {"duration": "4.5s", "warmup": "400ms"}
"""Changes of the scenario after which a run has about a hundred requests."""

STRATEGY = {"federation.strategy": "power_of_two"}
QUESTIONS = {
    "all groups, defects looked for (compare)": Question(),
    "all groups (sweep)": Question(diagnosed=False),
    "one group (plan)": Question(by=("stream",), diagnosed=False),
}
TINY, BRIEF = "scenarios/minimal.yaml", {"duration": "1s", "warmup": "0s"}
"""A scenario and changes after which a run takes a few milliseconds."""

COUNTS = (500, 1_000, 2_000, 4_000)
_TIMES = 30


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--many", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.many:
        print(json.dumps(many(options.many)))
        return
    print("| what | cost |\n| --- | ---: |")
    for part in options.only:
        for what, cost in PARTS[part]():
            print(f"| {what} | {cost} |", flush=True)


def cells() -> Iterator[Row]:
    """Yield what a cell of a hundred requests costs, and how large its record is."""
    scenario = fedsim.load(SCENARIO, HUNDRED)
    shared, changes = cloudpickle.dumps(scenario), cloudpickle.dumps(STRATEGY)
    runs = planned(scenario, STRATEGY, _TIMES + 1)
    for name, question in QUESTIONS.items():

        def run(each: PlannedRun, question: Question = question) -> None:
            assert isinstance(run_planned(shared, changes, each, question, False), Record)

        yield f"a cell of 100 requests, ms of CPU: {name}", f"{cpu_ms(run, runs):.1f}"
    for nodes in (5, 1_000):
        fleet = scenario.changed({"pools.us-fast.count": nodes})
        run_ = planned(fleet, STRATEGY, 1)[0]
        record = run_planned(cloudpickle.dumps(fleet), changes, run_, Question(), False)
        assert isinstance(record, Record)
        of = f"the record of a fleet of {sum(pool.count for pool in fleet.world.pools):,} nodes, kB"
        yield of, f"{len(json.dumps(record.to_json())) / 1e3:.1f}"
    yield "a point of a sweep before its first run, ms of CPU", f"{_point_ms(scenario):.1f}"


def many_cells() -> Iterator[Row]:
    """Yield what cells of a few milliseconds cost the parent, two workers and memory."""
    found = {}
    for count in COUNTS:
        words = [sys.executable, "-m", "benchmarks.studies", "--many", str(count)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        found[count] = json.loads(done.stdout)
    for what, key in {"the parent": "parent_s", "the workers, start included": "workers_s"}.items():
        each = ", ".join(f"{1e3 * found[count][key] / count:.2f}" for count in COUNTS)
        counts = ", ".join(f"{count:,}" for count in COUNTS)
        yield f"a cell of a few ms in a study of {counts} cells, ms of CPU in {what}", each
    few, most = COUNTS[0], COUNTS[-1]
    grown = (found[most]["peak_bytes"] - found[few]["peak_bytes"]) / (most - few)
    yield "the parent's memory, kB a cell", f"{grown / 1e3:.1f}"
    start = found[few]["workers_s"] - few * _slope(found, "workers_s")
    yield "the start of a worker process, s of CPU", f"{start / 2:.2f}"


def many(count: int) -> dict[str, float]:
    """Run a study of so many tiny cells with two workers and a directory; return what it cost."""
    scenario = fedsim.load(TINY, BRIEF)
    names = ("random", "round_robin")
    keys = [(name, number) for number in range(count // len(names)) for name in names]
    changes = {name: {"federation.strategy": name} for name in names}
    todo = [Cell({"strategy": name}, changes[name], number) for name, number in keys]
    before_s = cpu_s(resource.RUSAGE_SELF)
    with tempfile.TemporaryDirectory() as folder:
        store = Store.begin(Path(folder) / "study", "benchmark", scenario, {})
        with RunSet(scenario, question=Question(by=()), store=store, workers=2) as runs:
            records = list(runs.run(runs.planned(todo)))
        parent_s = cpu_s(resource.RUSAGE_SELF) - before_s
    assert len(records) == count
    workers_s = cpu_s(resource.RUSAGE_CHILDREN)
    return {"parent_s": parent_s, "workers_s": workers_s, "peak_bytes": peak_bytes()}


def wall() -> Iterator[Row]:
    """Yield how much faster two workers are: five strategies, ten replications."""
    walls_s = []
    for workers in (1, 2):
        compare = (
            f"import fedsim; fedsim.compare(fedsim.load({SCENARIO!r}), replications=10, "
            f"workers={workers})"
        )
        began_s = time.perf_counter()
        subprocess.run([sys.executable, "-c", compare], check=True)
        walls_s.append(time.perf_counter() - began_s)
    shown = f"{walls_s[0]:.1f} and {walls_s[1]:.1f} s: {walls_s[0] / walls_s[1]:.2f} ×"
    yield "compare three-regions, 5 × 10 runs, start included, with one and two workers", shown


PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    "cells": cells,
    "many": many_cells,
    "wall": wall,
}


def planned(scenario: Scenario, changes: dict[str, str], count: int) -> list[PlannedRun]:
    """Return the runs of that many replications of one variant."""
    variants = Variants(scenario)
    return [variants.planned(Cell({"strategy": "p2c"}, changes, number)) for number in range(count)]


def cpu_ms(function: Callable[[PlannedRun], object], runs: Sequence[PlannedRun]) -> float:
    """Return the median CPU time of *function* over all but the first of *runs*, in ms."""
    found = []
    for run in runs:
        began_s = time.process_time()
        function(run)
        found.append(1e3 * (time.process_time() - began_s))
    return median(found[1:])


def cpu_s(whose: int) -> float:
    """Return the processor time of this process, or of those that it waited for, in seconds."""
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime


def _slope(found: dict[int, dict[str, float]], key: str) -> float:
    few, most = COUNTS[0], COUNTS[-1]
    return (found[most][key] - found[few][key]) / (most - few)


def _point_ms(scenario: Scenario) -> float:
    variants, times = Variants(scenario), []
    for number in range(_TIMES):
        changes = {"workload.chat.arrivals.rate": f"{10 + number}/s"}
        began_s = time.process_time()
        variants.planned(Cell({"rate": number}, changes))
        times.append(1e3 * (time.process_time() - began_s))
    return median(times)


if __name__ == "__main__":
    main()
