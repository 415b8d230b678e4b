"""Eight nodes with engines against eight with slots, and engines against the length of answers."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import fedsim
from fedsim.results.run import Run

PROFILE = "llama-3.1-8b/bf16/a100_sxm/tp1"
TRACE = "azure_llm_2023_conv.csv.gz"
LENGTHS = (10, 100, 1000)
"""Output tokens of the worlds in which all requests are equally long."""

BATCH = 8
STEP_S = 0.0125
"""Requests in service on a node of such a world, and about how long a step takes there."""

NODES = {
    "engine": f"engine: {{profile: {PROFILE}, max_batch: 128}}",
    "slots": (
        "slots: 128\n    service: {base: 10ms, per_prompt_token: 55us, per_output_token: 13ms}"
    ),
}
"""What a node is: the same GPU batching continuously, or as slots that know nothing of each other
and serve a request in the time that it takes at a small batch."""

SCENARIO = """\
duration: {duration_s:.3f}s
regions: {{home: {{}}}}
pools:
  chat:
    region: home
    count: 8
    queue_limit: unlimited
    {node}
workload:
  chat: {stream}
federation: {{strategy: least_connections, timeout: off}}
record: {{nodes_every: off}}
"""

REPLAY = "{{arrivals: {{process: trace, format: azure, file: '{file}'}}}}"
STAND_IN = """\
{arrivals: {process: poisson, rate: 5.53/s}, tokens: {
    prompt: {distribution: lognormal, median: 1020, p99: 4142},
    output: {distribution: lognormal, median: 129, p99: 601}}}"""
EQUAL = """\
{{arrivals: {{process: poisson, rate: {rate_rps:.4f}/s}}, tokens: {{
    prompt: {{distribution: constant, value: 16}},
    output: {{distribution: constant, value: {length}}}}}}}"""


def trace_file() -> Path | None:
    """Return the conversation trace of Azure, or None where it cannot be found.

    It is looked for in the folder that ``FEDSIM_DATA`` names, and beside this project.
    """
    folder = os.environ.get("FEDSIM_DATA", Path(__file__).parents[2] / "shared" / "data")
    file = Path(folder) / "traces" / TRACE
    return file if file.exists() else None


def replay(node: str) -> Run:
    """Replay the trace, or a stream with its rate and sizes where it is absent, on such nodes."""
    file = trace_file()
    stream = STAND_IN if file is None else REPLAY.format(file=file.resolve())
    return _simulate(SCENARIO.format(duration_s=3600.0, node=NODES[node], stream=stream))


def equal_lengths(length: int, requests: int) -> Run:
    """Run requests with *length* output tokens each, at a rate that keeps the batches alike."""
    rate_rps = 8 * BATCH / (length * STEP_S)
    stream = EQUAL.format(rate_rps=rate_rps, length=length)
    duration_s = requests / rate_rps
    return _simulate(SCENARIO.format(duration_s=duration_s, node=NODES["engine"], stream=stream))


def _simulate(text: str) -> Run:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "replay.yaml"
        path.write_text(text)
        return fedsim.simulate(fedsim.load(path))
