"""Measurements in interleaved rounds, each in a fresh process, and what is made of them.

A fresh process gives every program a heap, a garbage collector and specialised bytecode of its own,
which the programs before it cannot spoil. Rounds take turns (A B C, then C B A), so that a machine
that slows down slows all of them, and a figure is the median of the ratios within a round.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.world import Size

ROOT = Path(__file__).parent.parent

Measurement = Mapping[str, float]
Samples = dict[str, list[Measurement]]


@dataclass(frozen=True, slots=True)
class Job:
    """A program to measure.

    Attributes:
        label: What its results are filed under.
        program: Its name in ``PROGRAMS``.
        size: The world that it runs.
    """

    label: str
    program: str
    size: Size


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over all rounds."""

    middle: float
    least: float
    most: float

    def __format__(self, spec: str) -> str:
        return f"{self.middle:{spec}} ({self.least:{spec}}–{self.most:{spec}})"


def run_once(job: Job) -> dict[str, Any]:
    """Measure *job* in a process of its own."""
    size = job.size
    arguments = [job.program, str(size.nodes), str(size.requests)]
    command = [sys.executable, "-m", "benchmarks.measure", *arguments]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def interleave(rounds: int, jobs: Sequence[Job], progress: Callable[[str], None]) -> Samples:
    """Measure all *jobs* once in each of *rounds* rounds."""
    samples: Samples = {job.label: [] for job in jobs}
    for number in range(rounds):
        order = jobs if number % 2 == 0 else jobs[::-1]
        for job in order:
            progress(f"round {number + 1} of {rounds}: {job.label}")
            samples[job.label].append(run_once(job))
    return samples


def rates_rps(measurements: Sequence[Measurement]) -> list[float]:
    """Return the requests per second of processor time of each measurement."""
    return [each["requests"] / each["cpu_s"] for each in measurements]


def spread(values: Sequence[float]) -> Spread:
    """Return the median of *values* and their extremes."""
    return Spread(median(values), min(values), max(values))


def ratio(upper: Sequence[Measurement], lower: Sequence[Measurement]) -> Spread:
    """Return the ratio of the rates of two programs, round by round."""
    pairs = zip(rates_rps(upper), rates_rps(lower), strict=True)
    return spread([one / other for one, other in pairs])


def difference_us(one: Sequence[Measurement], other: Sequence[Measurement]) -> Spread:
    """Return by how many microseconds a request costs more in *one* than in *other*.

    Both ran the same world; where nothing was recorded, the number of its requests is the other's.
    """
    values = []
    for more, less in zip(one, other, strict=True):
        counts = [each["requests"] for each in (more, less) if each["requests"] > 0]
        values.append(1e6 * (more["cpu_s"] - less["cpu_s"]) / counts[0])
    return spread(values)
