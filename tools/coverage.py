"""Measures how often fedsim's confidence intervals hold the truth, on queues whose truth is known.

``python tools/coverage.py`` writes the tables of ``docs/statistics.md``, some minutes' work.

The runs are exact recursions of queues that start empty: Lindley's for one server, Kiefer and
Wolfowitz's for several. For a window, a run has 2,000 requests after 200, and the truth is the mean
of 200,000 runs. For the long run of M/M/1 the truth is known, as times in the system are
exponential with rate 1 − ρ, and nothing is left out of a run but what the estimator leaves out.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from docs.blocks import between
from fedsim.kernel.streams import generator
from fedsim.results.sample import Sample
from fedsim.studies.estimating import measured
from fedsim.studies.observed import PARTS, Observed
from fedsim.studies.records import MEASURE_PLACES
from fedsim.studies.statistics import estimates
from fedsim.studies.steady import long_run

PAGE = Path(__file__).parent.parent / "docs" / "statistics.md"
SEED = 20261201
WARMUP = 200
STUDIES = 1_000
TRUTH_RUNS = 200_000
_AT_ONCE = 5_000

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often intervals of one kind held the truth.

    Attributes:
        queue: ``M/M/1`` or ``M/M/8``.
        load: The load of a server, ρ.
        measure: ``mean`` or ``p99``.
        replications: Runs of a study.
        requests: Requests of a run, after the warm-up.
        covered: Share of the studies whose interval held the truth; NaN where all were refused.
        bias: Mean of the estimates relative to the truth, minus 1.
        refused: Share of the studies that were refused.
    """

    queue: str
    load: float
    measure: str
    replications: int
    requests: int
    covered: float
    bias: float
    refused: float = 0.0


def latencies(
    rng: np.random.Generator,
    servers: int,
    load: float,
    requests: int,
    runs: int,
    warmup: int = WARMUP,
) -> Floats:
    """Return the times in the system of M/M/c with service rate 1: a row per run.

    ``waits`` holds, in ascending order, how long each server is still busy when a request arrives
    (Kiefer and Wolfowitz, 1955; with one server it is Lindley's recursion).
    """
    waits = [np.zeros(runs) for _ in range(servers)]
    found = np.empty((requests, runs))
    for number in range(-warmup, requests):
        between = rng.standard_exponential(runs) / (load * servers)
        waits = [np.maximum(wait - between, 0.0) for wait in waits]
        free_at = waits[0] + rng.standard_exponential(runs)
        if number >= 0:
            found[number] = free_at
        for place in range(servers - 1):
            following = waits[place + 1]
            waits[place] = np.minimum(free_at, following)
            free_at = np.maximum(free_at, following)
        waits[-1] = free_at
    return np.ascontiguousarray(found.T)


def summaries(
    rng: np.random.Generator, servers: int, load: float, requests: int, runs: int
) -> Floats:
    """Return the mean and the 99th percentile of the latency of each run, in two columns."""
    parts = []
    for begin in range(0, runs, _AT_ONCE):
        found = latencies(rng, servers, load, requests, min(_AT_ONCE, runs - begin))
        parts.append(np.column_stack([found.mean(axis=1), np.quantile(found, 0.99, axis=1)]))
    return np.concatenate(parts)


def window_coverage(requests: int = 2_000) -> Iterator[Coverage]:
    """Yield how often intervals hold the expected value of a window."""
    for servers in (1, 8):
        for load in (0.5, 0.8, 0.95):
            rng = generator(SEED, f"coverage/{servers}/{load}")
            truth = summaries(rng, servers, load, requests, TRUTH_RUNS).mean(axis=0)
            for replications in (10, 30):
                runs = summaries(rng, servers, load, requests, STUDIES * replications)
                found = estimates(runs.reshape(replications, STUDIES, 2), 0.0)
                covered = ((found.low <= truth) & (truth <= found.high)).mean(axis=0)
                bias = found.mean.mean(axis=0) / truth - 1.0
                for column, measure in enumerate(("mean", "p99")):
                    yield Coverage(
                        f"M/M/{servers}",
                        load,
                        measure,
                        replications,
                        requests,
                        float(covered[column]),
                        float(bias[column]),
                    )


LONG_RUNS = ((500, 10), (500, 30), (3_000, 10), (3_000, 30), (10_000, 10), (10_000, 30))
"""Requests of a run, and replications, of the studies of the long run."""


def long_run_coverage(load: float = 0.8, studies: int = STUDIES) -> Iterator[Coverage]:
    """Yield how often intervals hold the mean and the 99th percentile of the long run of M/M/1."""
    truths = {"mean": 1.0 / (1.0 - load), "p99": math.log(100.0) / (1.0 - load)}
    for requests, replications in LONG_RUNS:
        rng = generator(SEED, f"coverage/long/{requests}/{replications}")
        found: dict[str, list[tuple[float, float, float]]] = {measure: [] for measure in truths}
        for _ in range(studies // 10):
            runs = latencies(rng, 1, load, requests, 10 * replications, warmup=0)
            for study in runs.reshape(10, replications, requests):
                values = long_run([observed(run) for run in study], float(requests)).values
                each = measured(values, 0.95)
                for measure, of_it in found.items():
                    place = MEASURE_PLACES[f"latency_{measure}_s"]
                    of_it.append((each.mean[place], each.low[place], each.high[place]))
        for measure, truth in truths.items():
            means, lows, highs = np.array(found[measure]).T
            kept = ~np.isnan(means)
            covered = (lows <= truth) & (truth <= highs)
            yield Coverage(
                "M/M/1",
                load,
                measure,
                replications,
                requests,
                float(covered[kept].mean()) if kept.any() else math.nan,
                float(means[kept].mean()) / truth - 1.0 if kept.any() else math.nan,
                1.0 - float(kept.mean()),
            )


def observed(latency_s: Floats) -> Observed:
    """Return the requests of a run, all of them successful, at equal steps of its window."""
    count = len(latency_s)
    no, none, unknown = np.zeros(count, bool), np.full(count, -1), np.full(count, math.nan)
    part = (np.arange(count) * PARTS // count).astype(np.uint8)
    sample = Sample(
        ok=~no,
        good=~no,
        cross=no,
        attempts=np.ones(count, int),
        hedges=np.zeros(count, int),
        turned_away=no,
        latency_s=latency_s,
        ttft_s=unknown,
        tpot_s=unknown,
        queue_wait_s=unknown,
        prompt_tokens=none,
        cached_tokens=none,
        preemptions=none,
    )
    return Observed(part, sample)


def window_table(found: list[Coverage]) -> str:
    """Return the table of ``window_coverage`` in Markdown."""
    lines = [
        "| queue | load | measure | replications | covered |",
        "|---|---:|---|---:|---:|",
    ]
    lines += [
        f"| {each.queue} | {each.load:g} | {each.measure} | {each.replications} "
        f"| {100.0 * each.covered:.1f} % |"
        for each in found
    ]
    mean = float(np.mean([each.covered for each in found]))
    return "\n".join([*lines, f"| all | | | | {100.0 * mean:.1f} % |"])


def long_run_table(found: list[Coverage]) -> str:
    """Return the table of ``long_run_coverage`` in Markdown."""
    lines = [
        "| requests a run | replications | measure | refused | covered | bias |",
        "|---:|---:|---|---:|---:|---:|",
    ]
    for each in found:
        told = f"{100.0 * each.covered:.1f} % | {100.0 * each.bias:+.1f} %"
        lines.append(
            f"| {each.requests:,} | {each.replications} | {each.measure} "
            f"| {100.0 * each.refused:.1f} % | {'|' if each.refused == 1.0 else told} |"
        )
    return "\n".join(lines)


def replaced(page: str, name: str, table: str) -> str:
    """Return *page* with *table* between the marks of that name."""
    begin = f"<!-- {name}: written by `python tools/coverage.py` -->"
    return between(page, begin, f"<!-- end of {name} -->", f"{table}\n")


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    page = replaced(page, "coverage of windows", window_table(list(window_coverage())))
    page = replaced(page, "coverage of the long run", long_run_table(list(long_run_coverage())))
    PAGE.write_text(page, encoding="utf-8")
