"""What a record costs in memory, and what importing the results costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MOST_BYTES = 320
"""A request with one attempt, tables and summary included; measured: about 297."""

SCRIPT = """
import resource, sys
import pandas, pyarrow.compute
from fedsim.federation.contracts import PrivacyLevel
from fedsim.results.recorder import Recorder
from fedsim.results.summary import summarise
from fedsim.world.observer import Directory, NodeInfo, StreamInfo

names = Directory(
    (StreamInfo("chat", "generate", PrivacyLevel.INTERNAL),),
    ("a", "b"),
    (PrivacyLevel.INTERNAL,) * 2,
    ("a/0", "b/0"),
    tuple(NodeInfo(f"n-{node}", "n", "ab"[node % 2], 4, 1.0) for node in range(16)),
)
recorder = Recorder(names)
for k in range(int(sys.argv[1])):
    at = 0.01 * k
    row = recorder.request_arrived(0, k, k % 500, k % 2, at, 100, 200)
    attempt = recorder.attempt_started(row, 1, k % 2, k % 16, False, at)
    recorder.attempt_finished(attempt, at + 0.3, "ok", 0.1, 0.2)
    facts = (0.0, 0.1, 0.2, 0.2, 0.02, 0.01, 200, 50, 0)
    recorder.request_finished(row, at + 0.3, "ok", k % 16, *facts)
tables = recorder.tables()
summarise(tables, names, warmup_s=0.0, duration_s=1e9)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def python(script: str, *arguments: str) -> str:
    """Return what a script prints in a process of its own."""
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, check=True, cwd=ROOT, text=True).stdout


@pytest.mark.slow
def test_bytes_a_request() -> None:
    """The peak grows by at most 320 bytes a request, DataFrames and summary included."""
    few, many = 100_000, 600_000

    growth = int(python(SCRIPT, str(many))) - int(python(SCRIPT, str(few)))

    assert growth / (many - few) < MOST_BYTES


def test_results_load_without_pandas() -> None:
    """Importing a run's class imports neither pandas, pyarrow nor matplotlib."""
    script = "import sys, fedsim.results.run; print(sorted(sys.modules))"

    loaded = python(script)

    assert "'fedsim.results.run'" in loaded
    for name in ("pandas", "pyarrow", "matplotlib", "scipy"):
        assert f"'{name}'" not in loaded
