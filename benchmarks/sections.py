"""What is measured, section by section, and the table that each section becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from benchmarks.meaning import check_meaning
from benchmarks.parts import STEPS, STRATEGIES, WITHOUT_POLICY
from benchmarks.programs import CIW_MISSING
from benchmarks.replay import LENGTHS, trace_file
from benchmarks.rounds import (
    Job,
    Samples,
    Spread,
    difference_us,
    interleave,
    rates_rps,
    ratio,
    spread,
)
from benchmarks.tables import Table
from benchmarks.world import Size

SIMPY_TARGET = 1.0
LARGE_TARGET = 0.25
BYTES_TARGET = 400.0
ENGINE_TARGET = 0.25
LENGTH_TARGET = 1.5

NAMES = {
    "fedsim": "fedsim",
    "simpy-processes": "SimPy, processes, block draws",
    "simpy-textbook": "SimPy, processes, as in tutorials",
    "simpy-callbacks": "SimPy, callbacks only",
    "ciw": "Ciw, no network",
}


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: Interleaved rounds of the comparison, seven at least for a figure to be quoted.
        part_rounds: Rounds of the strategies and the parts.
        small: The world of 16 nodes.
        large: The world of 1,024 nodes.
        part: The world in which strategies and parts are compared.
        memory: Requests at which the peak of memory is read.
    """

    rounds: int
    part_rounds: int
    small: Size
    large: Size
    part: Size
    memory: tuple[int, int]


FULL = Effort(
    7, 5, Size(16, 50_000), Size(1024, 100_000), Size(16, 20_000), memory=(100_000, 1_000_000)
)
QUICK = Effort(
    3, 2, Size(16, 10_000), Size(1024, 20_000), Size(16, 5_000), memory=(20_000, 100_000)
)


@dataclass(slots=True)
class Report:
    """What has been measured.

    Attributes:
        tables: For people.
        figures: What has a target, by name: the figure, the target and whether it is met.
        samples: Every single measurement, by section and label.
    """

    tables: list[Table] = field(default_factory=list)
    figures: dict[str, tuple[float, float, bool]] = field(default_factory=dict)
    samples: dict[str, Samples] = field(default_factory=dict)


Progress = Callable[[str], None]


def meaning(report: Report, _: Effort, progress: Progress) -> None:
    """Assert that the figures mean something, and show where the entries come from."""
    progress("checking results and entries")
    kinds = check_meaning()
    path = {"Source": "arrival", "Job": "to the node, service, back"}
    words = {
        **path,
        "Task": "health probes: start, two legs, pause",
        "_Lane": "deadlines, swept",
        "Timeout": "samples of the nodes, once a second",
    }
    rows = [[words[kind], f"{kinds[kind]:.3f}"] for kind in words if kind in kinds]
    others = sum(value for kind, value in kinds.items() if kind not in words)
    rows.append(["start and end of the run", f"{others:.3f}"])
    report.tables.append(
        Table(
            "Entries of the event queue per request, 16 nodes, 2,000 requests",
            ["what for", "entries"],
            rows,
            "The first two rows are asserted: exactly four entries a request. The rest is spread "
            "over simulated time and does not grow with the number of requests.",
        )
    )


def speed(report: Report, effort: Effort, progress: Progress) -> None:
    """Compare fedsim with the other programs at 16 nodes, and both sizes with each other."""
    programs = [name for name in NAMES if name != "ciw" or not CIW_MISSING]
    jobs = [Job(name, name, effort.small) for name in programs]
    jobs += [
        Job(f"{name} 1024", name, effort.large)
        for name in ("fedsim", "simpy-processes", "simpy-callbacks")
    ]
    samples = report.samples["speed"] = interleave(effort.rounds, jobs, progress)
    _compare(report, samples, programs, "", f"16 nodes, {effort.small.requests:,} requests")
    large = f"1,024 nodes, {effort.large.requests:,} requests"
    _compare(report, samples, ["fedsim", "simpy-processes", "simpy-callbacks"], " 1024", large)
    against = ratio(samples["fedsim"], samples["simpy-processes"])
    shrink = ratio(samples["fedsim 1024"], samples["fedsim"])
    _target(report, "fedsim / SimPy with processes, 16 nodes", against, SIMPY_TARGET)
    _target(report, "fedsim at 1,024 nodes / at 16 nodes", shrink, LARGE_TARGET)


def _compare(
    report: Report, samples: Samples, programs: list[str], suffix: str, title: str
) -> None:
    rows = []
    for name in programs:
        own = samples[name + suffix]
        entries = [each["entries"] / each["requests"] for each in own if "entries" in each]
        rows.append(
            [
                NAMES[name],
                f"{spread(rates_rps(own)).middle:,.0f}",
                f"{ratio(samples['fedsim' + suffix], own):.2f}",
                f"{entries[0]:.2f}" if entries else "–",
            ]
        )
    note = ""
    if CIW_MISSING and not suffix:
        note = "Ciw is not installed and was left out: pip install -e '.[bench]' brings it."
    columns = ["program", "requests/s", "fedsim / it (range)", "entries"]
    report.tables.append(Table(title, columns, rows, note))


def memory(report: Report, effort: Effort, progress: Progress) -> None:
    """Measure by how much the peak of memory grows for each request."""
    rows = []
    few, many = effort.memory
    for name in ("fedsim", "simpy-processes"):
        jobs = [Job(f"{name} {count}", name, Size(16, count)) for count in (few, many)]
        samples = interleave(1, jobs, progress)
        report.samples.setdefault("memory", {}).update(samples)
        low, high = (samples[job.label][0] for job in jobs)
        slope = (high["peak_bytes"] - low["peak_bytes"]) / (high["requests"] - low["requests"])
        rows.append(
            [
                NAMES[name],
                f"{low['peak_bytes'] / 1e6:,.0f}",
                f"{high['peak_bytes'] / 1e6:,.0f}",
                f"{slope:,.0f}",
            ]
        )
        if name == "fedsim":
            figures = (slope, BYTES_TARGET, slope <= BYTES_TARGET)
            report.figures["bytes per request, tables included"] = figures
    columns = ["program", f"MB at {few:,}", f"at {many:,}", "bytes/request"]
    note = "Peaks of the whole process, DataFrames included; the slope leaves out the imports."
    report.tables.append(Table("Memory, 16 nodes", columns, rows, note))


def strategies(report: Report, effort: Effort, progress: Progress) -> None:
    """Measure the rate of fedsim with each of the strategies."""
    jobs = [Job(name, f"strategy:{name}", effort.part) for name in STRATEGIES]
    samples = report.samples["strategies"] = interleave(effort.part_rounds, jobs, progress)
    base = samples["least_connections"]
    rows = [
        [
            name,
            f"{spread(rates_rps(samples[name])).middle:,.0f}",
            f"{ratio(samples[name], base):.2f}",
        ]
        for name in STRATEGIES
    ]
    columns = ["strategy", "requests/s", "/ least_connections (range)"]
    report.tables.append(Table("Strategies, 16 nodes", columns, rows))


def parts(report: Report, effort: Effort, progress: Progress) -> None:
    """Measure what each part of a request costs."""
    jobs = [Job(name, f"step:{name}", effort.part) for name in STEPS]
    jobs += [Job(f"without {name}", f"without:{name}", effort.part) for name in WITHOUT_POLICY]
    samples = report.samples["parts"] = interleave(effort.part_rounds, jobs, progress)
    steps = list(STEPS)
    recorded = samples[steps[1]][0]["requests"]
    first = spread([1e6 * each["cpu_s"] / recorded for each in samples[steps[0]]])
    rows = [[steps[0], f"{first:.1f}"]]
    rows.extend(
        [f"+ {step}", f"{difference_us(samples[step], samples[before]):.1f}"]
        for before, step in pairwise(steps)
    )
    full = samples[steps[-1]]
    total = spread([1e6 * each["cpu_s"] / each["requests"] for each in full])
    rows.append(["= all defaults", f"{total:.1f}"])
    rows.extend(
        [f"  policy {name}", f"{difference_us(full, samples[f'without {name}']):.1f}"]
        for name in WITHOUT_POLICY
    )
    note = (
        "A step is the difference to the row above within a round; a policy's is that to the full "
        "world without it. What is smaller than its range is noise."
    )
    title = "What a request costs, part by part, 16 nodes"
    report.tables.append(Table(title, ["part", "µs a request (range)"], rows, note))


def engines(report: Report, effort: Effort, progress: Progress) -> None:
    """Compare nodes with engines to nodes with slots, and short answers to long ones."""
    jobs = [Job(name, f"replay:{name}", effort.part) for name in ("engine", "slots")]
    jobs += [Job(str(length), f"length:{length}", effort.part) for length in LENGTHS]
    samples = report.samples["engines"] = interleave(effort.part_rounds, jobs, progress)
    against = ratio(samples["engine"], samples["slots"])
    rows = [
        [
            f"8 nodes with {name}s" if name == "engine" else f"8 nodes with {name}",
            f"{samples[name][0]['requests']:,.0f}",
            f"{spread(rates_rps(samples[name])).middle:,.0f}",
            f"{ratio(samples[name], samples['slots']):.2f}",
        ]
        for name in ("engine", "slots")
    ]
    what = "the conversation trace of Azure" if trace_file() else "a stream like Azure's"
    columns = ["program", "requests", "requests/s", "/ slots (range)"]
    report.tables.append(Table(f"Engines and slots, {what}", columns, rows))
    shortest = samples[str(LENGTHS[0])]
    rows = [
        [
            f"{length:,}",
            f"{spread([1e6 / rate for rate in rates_rps(samples[str(length)])]).middle:.0f}",
            f"{ratio(shortest, samples[str(length)]):.2f}",
        ]
        for length in LENGTHS
    ]
    columns = ["output tokens", "µs a request", f"/ {LENGTHS[0]} tokens (range)"]
    note = "At rates that keep about eight requests in each of eight engines."
    report.tables.append(Table("What a request on an engine costs", columns, rows, note))
    _target(report, "engine nodes / slot nodes, one replay", against, ENGINE_TARGET)
    dearest = max(
        (ratio(shortest, samples[str(length)]) for length in LENGTHS),
        key=lambda each: each.middle,
    )
    figures = (dearest.middle, LENGTH_TARGET, dearest.middle <= LENGTH_TARGET)
    report.figures["dearest length of answers / 10 tokens"] = figures


def _target(report: Report, name: str, figure: Spread, target: float) -> None:
    report.figures[name] = (figure.middle, target, figure.middle >= target)


SECTIONS: dict[str, Callable[[Report, Effort, Progress], None]] = {
    "meaning": meaning,
    "speed": speed,
    "memory": memory,
    "strategies": strategies,
    "parts": parts,
    "engines": engines,
}
"""All sections by the name that ``--only`` takes."""
