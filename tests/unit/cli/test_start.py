"""What a command imports, which is what its start takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

SCENARIOS = Path("scenarios")
SLOW = {"pandas", "scipy", "matplotlib", "pyarrow", "jinja2", "litellm"}
UNUSED = {
    "fedsim.federation.strategies.caches",
    "fedsim.scenario.catalogues.profile_files",
    "fedsim.scenario.reference.schema",
    "fedsim.scenario.schema.engine",
}
"""What a scenario of slots and built-in objects has no use for."""

NOT_FOR_HELP = SLOW | {"numpy", "yaml", "asyncio", "simpy", "cloudpickle"}
IMPORTED = """
import contextlib, io, sys
from fedsim.cli import main
try:
    with contextlib.redirect_stdout(io.StringIO()):
        main()
except SystemExit:
    pass
print(*sys.modules)
"""


def imported(*arguments):
    """Return the packages and modules that a process has imported after a command."""
    script = f"import sys; sys.argv[1:] = {list(arguments)!r}{IMPORTED}"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def plain(path):
    """Return whether a scenario has neither engines nor recorded arrivals."""
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    engines = any("engine" in pool for pool in tree["pools"].values())
    return not engines and "trace" not in path.read_text(encoding="utf-8").split("workload:")[1]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["check", "--help"], ["new", "--help"]], ids=" ".join
)
def test_help(arguments):
    """The help needs the command line alone."""
    assert not imported(*arguments) & NOT_FOR_HELP


@pytest.mark.parametrize(
    "path", [each for each in sorted(SCENARIOS.glob("*.yaml")) if plain(each)], ids=lambda p: p.stem
)
def test_check(path):
    """A check of a scenario without engines and traces imports no table, chart or solver."""
    assert not imported("check", str(path)) & SLOW


def test_check_of_slots():
    """What a scenario does not use is not imported: engines, presets, other strategies."""
    assert not imported("check", str(SCENARIOS / "minimal.yaml")) & UNUSED
