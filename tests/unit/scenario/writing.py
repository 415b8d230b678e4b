"""Writes scenarios for the tests of this folder."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any, get_args

from fedsim.errors import ScenarioError
from fedsim.scenario.load import load
from fedsim.scenario.schema.base import Later, Settings
from fedsim.scenario.schema.root import ScenarioFile
from fedsim.scenario.spec import Scenario

SMALLEST = """\
duration: 10min
regions: {us: {}}
pools: {chat: {region: us, service: {distribution: exponential, mean: 1s}}}
workload: {chat: {arrivals: {process: poisson, rate: 2/s}}}
"""

TWO_REGIONS = """\
duration: 10min
regions: {us: {privacy: internal}, eu: {privacy: restricted}}
network: {between: {us/eu: 83ms}}
pools:
  us-chat: {region: us, count: 2, service: {distribution: exponential, mean: 1s}}
  eu-code: {region: eu, capabilities: [code], service: {base: 50ms, per_output_token: 12ms}}
workload:
  chat: {arrivals: {process: poisson, rate: 2/s}}
  code:
    capability: code
    arrivals: {process: poisson, rate: 1/s}
    tokens:
      prompt: {distribution: constant, value: 100}
      output: {distribution: constant, value: 20}
    qos: {privacy: restricted}
"""


STEPS = """\
step,new_tokens,cached_tokens,sequences,context_tokens,time_ms
prefill,512,0,,,15
prefill,2048,0,,,45
decode,,,1,512,7
decode,,,1,2048,7.5
decode,,,32,512,9
decode,,,32,2048,11
"""
"""A table of measured steps."""

PROFILE = """\
name: my-llama
model: llama-3.1-8b
gpu: h100_sxm
gpus: 2
kv_capacity: 400000
prefill: {p0: 3ms, p1: 19us}
decode: {d0: 6ms, d1: 10us, d2: 44ns}
step_overhead: 1.5ms
request_overhead: 10ms
source: a benchmark of our own
"""
"""A profile as ``fedsim calibrate`` writes it."""


def write(folder: Path, text: str, name: str = "scenario.yaml") -> Path:
    """Write the scenario *text* into *folder*, and return its path."""
    path = folder / name
    path.write_text(dedent(text), encoding="utf-8")
    return path


def loaded(folder: Path, text: str, overrides: dict[str, object] | None = None) -> Scenario:
    """Return the scenario of *text*."""
    return load(write(folder, text), overrides)


def problems(folder: Path, text: str, overrides: dict[str, object] | None = None) -> list[str]:
    """Return the problems of the scenario *text*, without the folder; none if it loads."""
    try:
        loaded(folder, text, overrides)
    except ScenarioError as error:
        return [str(problem).removeprefix(f"{folder}/") for problem in error.problems]
    return []


def models() -> list[type[Settings]]:
    """Return all models of a scenario file."""
    known: dict[type[Settings], None] = {}

    def add(hint: Any) -> None:
        if isinstance(hint, Later) and hint.make is not None:
            hint = hint.make()
        if isinstance(hint, type) and issubclass(hint, Settings) and hint not in known:
            known[hint] = None
            for field in hint.model_fields.values():
                add(field.annotation)
        for inner in get_args(hint):
            add(inner)

    add(ScenarioFile)
    return list(known)


CLIENT_RATES = """category,model,client,t_s,rate_rps,iat_cv,iat_dist,iat_shape,iat_scale
language,m-large,3,0,2.0,1.0,Gamma,1.0,0.5
language,m-large,3,600,4.0,1.0,Gamma,1.0,0.25
language,m-large,8,600,1.0,2.0,Weibull,0.5,0.5
language,m-small,0,0,9.0,1.0,Gamma,1.0,0.1
"""
"""The rates of a few clients, as ServeGen's are written."""

INCIDENT = """time,target,kind,end,factor
2026-11-03T15:06+01:00,us-chat-0,slowdown,90,5
75,us-chat,crash,2026-11-03T14:06:30Z,
"""
"""The log of an incident, on the clock of two zones and in seconds."""

CLIENT_LENGTHS: dict[str, Any] = {
    "model": "m-large",
    "client": 3,
    "t_s": 0,
    "input_tokens": {"mean": 175.0, "q": list(range(100, 260, 10))},
    "output_tokens": {"mean": 17.5, "q": list(range(10, 26))},
}
"""A row of the lengths of one of them."""
