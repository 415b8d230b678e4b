"""Where the time of a request goes: ``python -m benchmarks.hot_path [REQUESTS]``.

Python's own profiler adds its cost to every call, so that the microseconds are too many and the
order is what counts; the calls per request are exact.
"""

from __future__ import annotations

import cProfile
import sys
from pathlib import Path
from types import CodeType

from benchmarks.tables import Table
from benchmarks.world import Size, build

SHOWN = 30


def hot_path(requests: int) -> Table:
    """Profile the benchmark world, and return its most expensive functions."""
    build(Size(requests=100)).world.run()  # what is imported late, is imported now
    benchmark = build(Size(requests=requests))
    profile = cProfile.Profile()
    profile.runcall(benchmark.world.run)
    served = len(benchmark.recorder.tables().requests)
    entries = profile.getstats()
    dearest = sorted(entries, key=lambda entry: -entry.inlinetime)[:SHOWN]
    rows = [
        [
            _name(entry.code),
            f"{entry.callcount / served:.2f}",
            f"{1e6 * entry.inlinetime / served:.2f}",
        ]
        for entry in dearest
    ]
    calls = sum(entry.callcount for entry in entries) / served
    note = f"{calls:.1f} calls a request in all, of Python's functions and of built-in ones."
    return Table("Self time by function", ["function", "calls/request", "µs"], rows, note)


def _name(code: CodeType | str) -> str:
    if isinstance(code, str):
        return code.strip("<>")[:52]
    return f"{Path(code.co_filename).name}:{code.co_firstlineno} {code.co_qualname}"[:52]


if __name__ == "__main__":
    print(hot_path(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000).text())
