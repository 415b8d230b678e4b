"""Plug-ins that installed packages offer by a name of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import fedsim
from fedsim.errors import PlugInError, ScenarioError
from fedsim.scenario.installed import POLICY, ROUTER, STRATEGY, is_name, load_installed, names
from tests.conftest import ROOT

SCENARIO = ROOT / "scenarios" / "minimal.yaml"
SHORT = {"duration": "20s", "warmup": "0s"}

SOURCE = """\
from fedsim.federation.contracts import RouteTarget

print("imported")


class LastNode:
    def select(self, fleet, candidates, request):
        return candidates.positions[-1]


class Picky:
    def name(self):
        return "picky"

    def score(self, candidate, request):
        return 1.0

    def is_eligible(self, candidate, request):
        return candidate.target.node_id.endswith("0")


class Direct:
    def __init__(self, context):
        self.context = context

    async def route(self, request):
        nodes = await self.context.catalog.find_by_capability(request.capability)
        return RouteTarget(*nodes[0])
"""

OFFERS = """\
[fedsim.strategies]
last-node = {module}:LastNode
[fedsim.policies]
picky = {module}:Picky
[fedsim.routers]
direct = {module}:Direct
"""


class Packages:
    """Installs packages for one test, in a folder on Python's search path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, package: str, offers: str = OFFERS, source: str = SOURCE) -> None:
        """Install a package of one module, which offers plug-ins."""
        (self.folder / f"{package}.py").write_text(source, encoding="utf-8")
        info = self.folder / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8"
        )
        (info / "entry_points.txt").write_text(offers.format(module=package), encoding="utf-8")


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Return what installs packages."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield Packages(folder)
    for path in folder.glob("*.py"):
        sys.modules.pop(path.stem, None)


def fails(kind):
    """Return the message of the error that names of a kind give."""
    with pytest.raises(PlugInError) as caught:
        names(kind)
    return str(caught.value)


class TestNames:
    def test_follow_ours(self, packages):
        """Installed names come after the built-in ones, each in its own group."""
        packages.install("kit_of_names")

        assert names(STRATEGY) == [*STRATEGY.built_in, "last-node"]
        assert names(POLICY) == [*POLICY.built_in, "picky"]
        assert names(ROUTER) == ["direct"]
        assert is_name(STRATEGY, "last-node")
        assert is_name(STRATEGY, "round_robin")
        assert not is_name(POLICY, "last-node")

    def test_are_read_without_an_import(self, packages, capsys):
        """A package is imported when a scenario names what it offers, and not before."""
        packages.install("kit_of_silence")
        assert is_name(STRATEGY, "last-node")
        assert "kit_of_silence" not in sys.modules

        assert load_installed(STRATEGY, "last-node").__qualname__ == "LastNode"
        assert capsys.readouterr().out == "imported\n"

    def test_none(self):
        """Without such packages there are our own names."""
        assert names(STRATEGY) == list(STRATEGY.built_in)

    def test_one_of_ours(self, packages):
        """A package cannot take the name of a built-in strategy, whichever a scenario uses."""
        packages.install("kit_of_theft", "[fedsim.strategies]\nround_robin = {module}:LastNode\n")

        assert fails(STRATEGY) == (
            "plug-in round_robin: the package kit_of_theft offers a strategy of this name, which "
            "is the name of one of ours; rename it there, or remove the package"
        )
        with pytest.raises(PlugInError):
            fedsim.load(SCENARIO, {"federation.strategy": "least_latency"})

    def test_two_packages(self, packages):
        """Two packages cannot share a name."""
        packages.install("kit_one")
        packages.install("kit_two")

        assert fails(ROUTER) == (
            "plug-in direct: the package kit_two offers a router of this name, and so does the "
            "package kit_one; rename it there, or remove the package"
        )

    def test_what_is_no_name(self, packages):
        """A name has no colon or slash, which mean a class and an adapter."""
        packages.install("kit_of_slash", "[fedsim.routers]\nours/best = {module}:Direct\n")

        assert fails(ROUTER) == (
            "plug-in ours/best: the package kit_of_slash offers a router of this name, which is "
            "not made of letters, digits, '.', '_' and '-'; rename it there, or remove the package"
        )


class TestUse:
    def test_in_a_scenario(self, packages):
        """An installed strategy, policy and router run under their names."""
        packages.install("kit_of_use")
        last = fedsim.simulate(fedsim.load(SCENARIO, {**SHORT, "federation.strategy": "last-node"}))
        picky = fedsim.simulate(fedsim.load(SCENARIO, {**SHORT, "federation.policies.picky": {}}))
        direct = fedsim.simulate(fedsim.load(SCENARIO, {**SHORT, "federation.router": "direct"}))

        assert (last.strategy, set(last.requests.node)) == ("last-node", {"chat-1"})
        assert set(picky.requests.node) == {"chat-0"}
        assert (direct.strategy, set(direct.requests.node)) == ("direct", {"chat-0"})

    def test_in_a_comparison(self, packages):
        """An installed strategy and an installed router are compared beside ours."""
        packages.install("kit_of_comparison")
        scenario = fedsim.load(SCENARIO, {**SHORT, "compare.strategies": ["last-node"]})
        found = fedsim.compare(
            scenario,
            strategies=["round_robin", "last-node"],
            routers={"direct": "direct"},
            replications=1,
            workers=1,
        )

        assert set(found.strategies) == {"round_robin", "last-node", "direct"}
        assert set(found.run("direct").requests.node) == {"chat-0"}

    def test_on_the_command_line(self, packages, tmp_path):
        """A command line finds it too, and check imports it."""
        packages.install("kit_of_commands")
        done = subprocess.run(
            [
                *(sys.executable, "-m", "fedsim", "check", str(SCENARIO), "--quiet"),
                *("--set", "federation.strategy=last-node"),
            ],
            env={"PYTHONPATH": f"{packages.folder}:{ROOT}", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "imported\n", "")

    def test_a_mistyped_name(self, packages):
        """What a name may have meant includes installed ones."""
        packages.install("kit_of_hints")
        with pytest.raises(ScenarioError, match=r"Did you mean last-node\?"):
            fedsim.load(SCENARIO, {"federation.strategy": "last_node"})
        with pytest.raises(ScenarioError, match=r"Did you mean picky\?"):
            fedsim.load(SCENARIO, {"federation.policies.picki": {}})
        with pytest.raises(ScenarioError, match=r"Did you mean last-node\?"):
            fedsim.compare(fedsim.load(SCENARIO), strategies=["last_node"], workers=1)

    def test_an_unknown_name(self, tmp_path):
        """A name that nobody offers is refused in Python as in a file."""
        with pytest.raises(ScenarioError, match="There is no strategy 'nobody-s'"):
            fedsim.simulate(fedsim.load(SCENARIO, SHORT), strategy="nobody-s")

    def test_a_failing_import(self, packages):
        """What goes wrong in the package is told with its name."""
        packages.install("kit_of_failure", source="import nothing_of_the_kind\n")
        with pytest.raises(PlugInError) as caught:
            fedsim.simulate(fedsim.load(SCENARIO, {**SHORT, "federation.router": "direct"}))

        assert str(caught.value) == (
            "plug-in direct: importing kit_of_failure:Direct failed with ModuleNotFoundError: No "
            "module named 'nothing_of_the_kind'; the package kit_of_failure offers it"
        )
