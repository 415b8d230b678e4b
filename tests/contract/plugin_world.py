"""A small scenario for plug-ins, which tests write into files of their own or define in place."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import fedsim
from fedsim.errors import PlugInError
from fedsim.federation.contracts import NodeId, RegionId, RouteTarget
from fedsim.scenario.spec import Scenario

SCENARIO = """\
name: plugins
duration: 20s
warmup: 0s
regions: {here: {}}
network: {within_region: 2ms, jitter: 0%}
pools:
  chat: {region: here, count: 3, slots: 4, service: {distribution: constant, value: 200ms}}
workload:
  chat: {arrivals: {process: poisson, rate: 5/s}, tenants: {count: 5}}
federation: {timeout: {attempt: 2s, request: 5s}}
record: {nodes_every: off}
"""

LEGS_S = 0.002
SERVICE_S = 0.2

_names = (f"plugins_of_a_test_{number}" for number in count())


def scenario(folder: Path, overrides: Mapping[str, object] | None = None) -> Scenario:
    """Return the scenario, written into *folder*."""
    path = folder / "scenario.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    return fedsim.load(path, overrides)


def module(folder: Path, source: str) -> str:
    """Write a module beside the scenario, and return its name, which no other module has."""
    name = next(_names)
    (folder / f"{name}.py").write_text(dedent(source), encoding="utf-8")
    return name


def target(node: str = "chat-0") -> RouteTarget:
    """Return a target."""
    return RouteTarget(NodeId(node), RegionId("here"))


def fails(scene: Scenario, **options: Any) -> PlugInError:
    """Run *scene* with a plug-in that misbehaves, and return the error."""
    with pytest.raises(PlugInError) as caught:
        fedsim.simulate(scene, **options)
    return caught.value
