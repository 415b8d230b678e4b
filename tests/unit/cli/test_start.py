"""What a command imports, which is what its start takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import yaml

SCENARIOS = Path("scenarios")
SLOW = {"pandas", "scipy", "matplotlib", "pyarrow", "jinja2", "litellm"}
UNUSED = {
    "fedsim.federation.strategies.caches",
    "fedsim.kernel.environment",
    "fedsim.results.measures",
    "fedsim.scenario.catalogues.profile_files",
    "fedsim.scenario.engine_time",
    "fedsim.scenario.reference.schema",
    "fedsim.scenario.schema.details",
    "fedsim.scenario.schema.engine",
    "fedsim.scenario.schema.expect",
    "fedsim.scenario.schema.plan",
    "fedsim.scenario.schema.servegen",
    "fedsim.scenario.schema.sweep",
    "fedsim.scenario.schema.traces",
    "fedsim.scenario.trace_files",
    "fedsim.studies.compare",
    "fedsim.workload.conversations",
    "fedsim.world.engine.config",
    "fedsim.world.scalers.config",
    "fedsim.world.world",
}
"""What a check of the smallest scenario has no use for."""

NOT_FOR_HELP = SLOW | {"numpy", "yaml", "asyncio", "simpy", "cloudpickle"}
IMPORTED = """
import contextlib, io, json, sys
from fedsim.cli import app
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        app(words, prog_name="fedsim")
    print(*sys.modules)
"""


def imported(*commands):
    """Return the packages and modules that one process has imported after each of some commands."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, json.dumps(commands)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [set(line.split()) for line in done.stdout.splitlines()]


def plain(path):
    """Return whether a scenario has neither engines nor recorded arrivals."""
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    engines = any("engine" in pool for pool in tree["pools"].values())
    return not engines and "trace" not in path.read_text(encoding="utf-8").split("workload:")[1]


def test_help():
    """The help needs the command line alone."""
    commands = [["--help"], ["check", "--help"], ["new", "--help"]]
    for words, modules in zip(commands, imported(*commands), strict=True):
        assert not modules & NOT_FOR_HELP, words


def test_check():
    """A check imports no table, chart or solver, and of minimal.yaml nothing that it lacks."""
    others = [str(each) for each in sorted(SCENARIOS.glob("*.yaml")) if plain(each)]
    paths = ["scenarios/minimal.yaml", *others]
    found = imported(*(["check", path] for path in paths))
    assert len(found) > 10
    assert not found[0] & UNUSED
    for path, modules in zip(paths, found, strict=True):
        assert not modules & SLOW, path
