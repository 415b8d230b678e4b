"""The command ``python -m benchmarks``: measures, prints, and writes the page's figures."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from os import cpu_count, getloadavg
from pathlib import Path

from benchmarks.sections import FULL, QUICK, SECTIONS, Report
from benchmarks.tables import Table

BEGIN = "<!-- figures: written by `python -m benchmarks --write docs/performance.md` -->"
END = "<!-- end of the figures -->"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what *arguments* ask for; return 0, also where a target is missed."""
    options = _parser().parse_args(arguments)
    effort = QUICK if options.quick else FULL
    if options.rounds:
        effort = replace(effort, rounds=options.rounds, part_rounds=options.rounds)
    report = Report()
    machine = describe_machine()
    print(f"{machine}\n")
    for name in options.only or SECTIONS:
        shown = len(report.tables)
        SECTIONS[name](report, effort, _say)
        _say("")
        for table in report.tables[shown:]:
            print(f"{table.text()}\n")
    if report.figures:
        report.tables.append(_targets(report))
        print(f"{report.tables[-1].text()}\n")
    if options.json:
        _write_json(options.json, report, machine)
    if options.write:
        command = "python -m benchmarks" + (" --quick" if options.quick else "")
        write_page(options.write, report, f"{machine} `{command}`")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds of small worlds")
    parser.add_argument("--rounds", type=int, help="rounds of every comparison")
    parser.add_argument(
        "--only", nargs="+", choices=list(SECTIONS), metavar="SECTION", help=", ".join(SECTIONS)
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the figures into a page")
    return parser


def describe_machine() -> str:
    """Return what the figures depend on: processor, Python, versions, and how busy it is."""
    packages = [f"{name} {_version(name)}" for name in ("simpy", "numpy", "pandas", "ciw")]
    busy = getloadavg()[0]
    return (
        f"{_processor()}, {cpu_count()} cores, load {busy:.1f}; "
        f"Python {platform.python_version()}, {', '.join(packages)}."
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _targets(report: Report) -> Table:
    rows = [
        [name, f"{figure:,.2f}", f"{target:,.2f}", "yes" if met else "no"]
        for name, (figure, target, met) in report.figures.items()
    ]
    return Table("Targets", ["figure", "measured", "target", "met"], rows)


def _say(text: str) -> None:
    """Show where the measurement is, on a line of its own that is written over."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _write_json(path: Path, report: Report, machine: str) -> None:
    figures = {
        name: {"measured": figure, "target": target, "met": met}
        for name, (figure, target, met) in report.figures.items()
    }
    content = {"machine": machine, "figures": figures, "samples": report.samples}
    path.write_text(json.dumps(content, indent=2) + "\n")


def write_page(page: Path, report: Report, source: str) -> None:
    """Replace what stands between the markers of *page* by the report's tables.

    Raises:
        ValueError: The page does not have both markers.
    """
    text = page.read_text()
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        msg = f"{page} lacks the markers {BEGIN!r} and {END!r}"
        raise ValueError(msg)
    tables = "\n\n".join(table.markdown() for table in report.tables)
    page.write_text(f"{head}{BEGIN}\n\nMeasured on {source}\n\n{tables}\n\n{END}{tail}")
