"""Measures one program once, in this process: ``python -m benchmarks.measure NAME NODES REQUESTS``.

What counts is the processor time of building the world, running it and making its tables; imports
are over before. The result is printed as JSON.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from pathlib import Path

from benchmarks.programs import PROGRAMS
from benchmarks.world import Size


def peak_bytes() -> int:
    """Return the most memory that this process has had in use."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def measure(name: str, size: Size) -> dict[str, float]:
    """Run the program *name* and return what it cost."""
    import pandas as pd
    import pyarrow.compute
    import scipy.special

    del pd, pyarrow, scipy
    program = PROGRAMS[name]
    gc.collect()
    before_s = time.process_time()
    finished = program(size)
    cpu_s = time.process_time() - before_s
    measured = {"cpu_s": cpu_s, "requests": finished.requests, "peak_bytes": peak_bytes()}
    if finished.entries is not None:
        measured["entries"] = finished.entries
    return measured


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Size(int(sys.argv[2]), int(sys.argv[3])))))
