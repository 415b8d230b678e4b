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
    row = recorder.request_arrived(
        stream=0,
        index=k,
        tenant_number=k % 500,
        origin=k % 2,
        arrived_s=at,
        prompt_tokens=100,
        output_tokens=200,
    )
    attempt = recorder.attempt_started(
        request=row, attempt=1, gateway=k % 2, node=k % 16, hedge=False, started_s=at
    )
    times = {"finished_s": at + 0.3, "queue_wait_s": 0.1, "service_s": 0.2}
    recorder.attempt_finished(attempt, outcome="ok", **times)
    times |= {"network_s": 0.0, "ttft_s": 0.2, "tpot_s": 0.02}
    recorder.request_finished(
        row, outcome="ok", node=k % 16, cost_usd=0.01, cached_tokens=50, preemptions=0, **times
    )
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
