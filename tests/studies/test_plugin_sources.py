"""What of a plug-in's source is part of a run's id, wherever the plug-in comes from."""

from __future__ import annotations

import sys

import pytest

import fedsim
from fedsim.scenario.installed import _scan
from fedsim.studies.cells import Cell, Variants, plugin_digests, plugin_sources
from fedsim.studies.inventory import Inventory
from fedsim.studies.runset import RunSet
from fedsim.studies.store import Store
from tests import small_scenario

STRATEGY = """\
import {helper}


class Last:
    def select(self, fleet, candidates, request):
        return candidates.positions[{helper}.PLACE]
"""


@pytest.fixture
def scenario(tmp_path):
    """The small scenario in a folder of its own."""
    return fedsim.load(small_scenario.write(tmp_path))


def run_id(scenario, strategy):
    """Return the id of the first run with a strategy."""
    return Variants(scenario).planned(Cell({}, {"federation.strategy": strategy})).id


def test_a_plugin_with_a_name_is_known_by_its_source(scenario, tmp_path, monkeypatch):
    """An entry point outside site-packages, as of a package under development."""
    house = tmp_path / "package"
    house.mkdir()
    (house / "named_strategy.py").write_text(STRATEGY.format(helper="named_helper"))
    (house / "named_helper.py").write_text("PLACE = -1\n")
    info = house / "named_strategy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: named_strategy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fedsim.strategies]\nlast = named_strategy:Last\n")
    monkeypatch.syspath_prepend(house)
    _scan.cache_clear()
    first = run_id(scenario, "last")
    assert set(plugin_sources("last", tmp_path) or {}) == set(house.glob("*.py"))
    (house / "named_helper.py").write_text("PLACE = 0\n")
    assert run_id(scenario, "last") != first
    monkeypatch.undo()
    _scan.cache_clear()


def test_a_file_behind_an_adapter_is_known(tmp_path):
    """``adapter/module:name`` and ``adapter/file.py:Class``; a path or a region names nothing."""
    (tmp_path / "my_retries.py").write_text("import my_waits\n")
    (tmp_path / "my_waits.py").write_text("WAIT_S = 1\n")
    both = [tmp_path / "my_retries.py", tmp_path / "my_waits.py"]
    assert list(plugin_sources("tenacity/my_retries:patient", tmp_path) or {}) == both
    assert list(plugin_sources("skypilot/my_retries.py:Policy", tmp_path) or {}) == both
    for text in ("/data/trace.csv", "us/eu", "least_latency"):
        assert plugin_sources(text, tmp_path) is None


def of_main():
    """Return a class as the running script, notebook or prompt would define it."""

    class Mine:
        def select(self, fleet, candidates, request):
            return candidates.positions[0]

    Mine.__module__ = "__main__"
    return Mine


def test_a_class_of_the_script_is_known_with_the_script(scenario, tmp_path, monkeypatch):
    """What else the script defines, or imports from next to it, may be what its class uses."""
    script, helper, mine = tmp_path / "script.py", tmp_path / "script_helper.py", of_main()
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(script), raising=False)
    found = []
    for place, other in ((0, 0), (0, 0), (1, 0), (0, 1)):
        script.write_text(f"import script_helper\nPLACE = {place}\n")
        helper.write_text(f"OTHER = {other}\n")
        found.append(run_id(scenario, mine))
    assert found[0] == found[1]
    assert len(set(found)) == 3


@pytest.mark.parametrize("piped", [False, True])
def test_a_class_of_no_script_is_known_in_part_and_that_is_said(
    scenario, tmp_path, monkeypatch, piped
):
    """With a directory alone, to which another session may come back; ``python - < file`` too."""
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    if piped:
        monkeypatch.setattr(sys.modules["__main__"], "__file__", "<stdin>", raising=False)
    cells = [Cell({"strategy": "Mine"}, {"federation.strategy": of_main()})]
    store = Store.begin(tmp_path / "study", "test", scenario, {})
    for kept in (store, None):
        with RunSet(scenario, store=kept, workers=1) as runs:
            notes = runs.planned(cells)[0].cell.notes
        assert len(notes) == (kept is not None)
        assert all("is defined in a notebook or at a prompt" in note for note in notes)


def test_a_bundle_packs_a_class_given_in_python(scenario, tmp_path, monkeypatch):
    """A class that can be imported is known by its module, as a text that names it is."""
    (tmp_path / "given_strategy.py").write_text(STRATEGY.format(helper="given_helper"))
    (tmp_path / "given_helper.py").write_text("PLACE = -1\n")
    monkeypatch.syspath_prepend(tmp_path)
    given = __import__("given_strategy").Last
    text = "given_strategy:Last"
    by_class, by_text = (
        plugin_digests(scenario.changed({"federation.strategy": each})) for each in (given, text)
    )
    assert by_class == by_text
    assert list(by_class) == [text]
    place = tmp_path / "study"
    fedsim.compare(scenario, strategies=[given], replications=1, workers=1, directory=place)
    assert Inventory(place).bundle(tmp_path / "study.zip").exists()
