from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fedsim.errors import PlugInError
from fedsim.scenario.plugins import find_plugin
from tests.contract.plugin_world import module

SOURCE = """\
class Sticky:
    class Inner:
        pass
"""


def fails(name, folder):
    """Look for a plug-in that is not to be found, and return the message."""
    with pytest.raises(PlugInError) as caught:
        find_plugin(name, folder)
    return str(caught.value)


class TestFinding:
    def test_beside_the_scenario(self, tmp_path):
        """A module beside the scenario is found, and Python's search path is left as it was."""
        name, before = module(tmp_path, SOURCE), list(sys.path)

        assert find_plugin(f"{name}:Sticky", tmp_path).__qualname__ == "Sticky"
        assert find_plugin(f"{name}:Sticky.Inner", tmp_path).__qualname__ == "Sticky.Inner"
        assert sys.path == before

    def test_in_the_current_directory(self, tmp_path, monkeypatch):
        """A module in the current directory is found."""
        name = module(tmp_path, SOURCE)
        monkeypatch.chdir(tmp_path)

        assert find_plugin(f"{name}:Sticky", tmp_path / "elsewhere").__qualname__ == "Sticky"

    def test_installed(self, tmp_path):
        """A module that Python finds anyway is found, in a package too."""
        from fedsim.federation.strategies.turns import RoundRobin

        assert find_plugin("fedsim.federation.strategies.turns:RoundRobin", tmp_path) is RoundRobin


class TestMistakes:
    @pytest.mark.parametrize("name", ["Sticky", "routers:", ":Sticky", ""])
    def test_wrong_form(self, tmp_path, name):
        """A text of another form is refused with an example."""
        assert fails(name, tmp_path) == (
            f"plug-in {name}: is not of the form module:Class, such as my_routers:Sticky"
        )

    def test_no_module(self, tmp_path):
        """A module that is nowhere is refused with the places where it may lie."""
        assert fails("no_such_module_at_all:Sticky", tmp_path) == (
            "plug-in no_such_module_at_all:Sticky: importing no_such_module_at_all failed with "
            "ModuleNotFoundError: No module named 'no_such_module_at_all'; the module must be "
            f"installed, or lie in the current directory or in {tmp_path}"
        )

    def test_places_are_named_once(self, tmp_path, monkeypatch):
        """The scenario's directory is not named where it is the current one."""
        monkeypatch.chdir(tmp_path)

        assert fails("no_such_module_at_all:Sticky", Path()).endswith("in the current directory")

    def test_no_class(self, tmp_path):
        """A class that the module has not is refused."""
        name = module(tmp_path, SOURCE)

        assert fails(f"{name}:Stiky", tmp_path).endswith(f"module {name} has no Stiky")
        assert fails(f"{name}:Sticky.Other", tmp_path).endswith(f"{name} has no Sticky.Other")

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("1 / 0", "ZeroDivisionError: division by zero"),
            ("def route(:", "SyntaxError: invalid syntax"),
            ("import no_such_module_at_all", "ModuleNotFoundError: No module named 'no_such"),
        ],
    )
    def test_import_fails(self, tmp_path, source, message):
        """A module that cannot be imported is refused with what happened."""
        name = module(tmp_path, source)

        answer = fails(f"{name}:Sticky", tmp_path)
        assert f"importing {name} failed with {message}" in answer
        assert "must be installed" not in answer  # it was found

    def test_namesake(self, tmp_path):
        """A second module of the same name is an error, not the first one's class."""
        (tmp_path / "first").mkdir()
        (tmp_path / "second").mkdir()
        name = module(tmp_path / "first", SOURCE)
        (tmp_path / "second" / f"{name}.py").write_text(SOURCE, encoding="utf-8")
        find_plugin(f"{name}:Sticky", tmp_path / "first")
        find_plugin(f"{name}:Sticky", tmp_path / "first")

        assert fails(f"{name}:Sticky", tmp_path / "second") == (
            f"plug-in {name}:Sticky: the module would be {tmp_path}/second/{name}.py, but "
            f"{tmp_path}/first/{name}.py was imported by that name already; give one of the two "
            "another name"
        )
