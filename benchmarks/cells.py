"""What studies cost: ``python -m benchmarks.cells`` prints a table.

The cell is a run of about a hundred requests of scenarios/three-regions.yaml. Medians of CPU time;
the study is timed on the wall clock, so the machine should be idle.
"""

from __future__ import annotations

import gc
import json
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import cloudpickle

import fedsim
from fedsim.scenario.spec import Scenario
from fedsim.studies.cells import Cell, PlannedRun, Variants
from fedsim.studies.records import Question, Record, run_planned
from fedsim.studies.runset import RunSet
from fedsim.studies.store import Store

SCENARIO = "scenarios/three-regions.yaml"
CHANGES = {"duration": "4.5s", "warmup": "400ms"}
STRATEGY = {"federation.strategy": "power_of_two"}
QUESTIONS = {
    "all groups, defects looked for (compare)": Question(),
    "all groups": Question(diagnosed=False),
    "no groups": Question(by=(), diagnosed=False),
}
_TIMES = 30
_BRIEF = QUESTIONS["no groups"]


def planned(scenario: Scenario, count: int) -> list[PlannedRun]:
    """Return the runs of that many replications of one strategy."""
    variants = Variants(scenario)
    return [variants.planned(Cell({"strategy": "p2c"}, STRATEGY, n)) for n in range(count)]


def cpu_ms(function: Callable[[PlannedRun], object], runs: Sequence[PlannedRun]) -> float:
    """Return the median CPU time of *function* over all but the first of *runs*, in ms."""
    found = []
    for run in runs:
        began_s = time.process_time()
        function(run)
        found.append(1e3 * (time.process_time() - began_s))
    return median(found[1:])


def cells(scenario: Scenario) -> list[tuple[str, str]]:
    """Return what a cell costs, by question, and how large its record is."""
    shared, changes = cloudpickle.dumps(scenario), cloudpickle.dumps(STRATEGY)
    runs, rows = planned(scenario, _TIMES + 1), []
    records: list[Record] = []
    for name, question in QUESTIONS.items():

        def run(each: PlannedRun, question: Question = question) -> None:
            record = run_planned(shared, changes, each, question, keep=False)
            assert isinstance(record, Record)
            records.append(record)

        rows.append((f"a cell of 100 requests, ms of CPU: {name}", f"{cpu_ms(run, runs):.1f}"))
    size = len(json.dumps(records[0].to_json()))
    rows.append(("its record with all groups as JSON, kB", f"{size / 1e3:.1f}"))
    with tempfile.TemporaryDirectory() as folder:
        store = Store.begin(Path(folder) / "study", "benchmark", scenario, {})
        by_id = {record.id: record for record in records[: _TIMES + 1]}
        write_ms = cpu_ms(lambda each: store.add(by_id[each.id]), runs)
    rows.append(("writing it, ms of CPU in the parent", f"{write_ms:.2f}"))
    return rows


def memory(scenario: Scenario) -> tuple[str, str]:
    """Return by how much the parent grows with a record."""
    with RunSet(scenario, question=_BRIEF, workers=1) as runset:
        runs = planned(scenario, 2 * _TIMES)
        list(runset.run(runs[:_TIMES]))
        tracemalloc.start()
        kept = list(runset.run(runs[_TIMES:]))
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return "memory of a record without groups, kB", f"{grown / len(kept) / 1e3:.1f}"


def study() -> tuple[str, str]:
    """Return how much faster two workers are: five strategies, ten replications."""
    scenario = fedsim.load(SCENARIO)
    walls_s = []
    for workers in (1, 2):
        began_s = time.perf_counter()
        fedsim.compare(scenario, replications=10, workers=workers)
        walls_s.append(time.perf_counter() - began_s)
    shown = f"{walls_s[0]:.0f} and {walls_s[1]:.0f} s: {walls_s[0] / walls_s[1]:.2f} ×"
    return "compare three-regions, 5 × 10 runs, with one and with two workers", shown


def main() -> None:
    """Print the table."""
    scenario = fedsim.load(SCENARIO, CHANGES)
    print("| what | cost |\n|---|---|")
    for what, cost in [*cells(scenario), memory(scenario), study()]:
        print(f"| {what} | {cost} |")


if __name__ == "__main__":
    main()
