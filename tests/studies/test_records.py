"""What a study keeps of each run: small for large fleets, and written by whoever ran it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

import fedsim
from fedsim.errors import ResultsError
from fedsim.report.comparison import comparison_report
from fedsim.report.parts import Saved
from fedsim.studies.records import MOST_GROUPS
from fedsim.studies.store import Store
from tests import small_scenario

FAULTS = [
    {"kind": kind, "pool": "east-chat", "mtbf": "10s", "mttr": "5s"}
    for kind in ("crash", "black_hole")
]


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A comparison of one strategy over a fleet of many nodes, of which many fail."""
    folder = tmp_path_factory.mktemp("large")
    scenario = fedsim.load(
        small_scenario.write(folder),
        {"pools.east-chat.count": 200, "faults": FAULTS, "duration": "8s", "warmup": "1s"},
    )
    place = folder / "study"
    found = fedsim.compare(
        scenario, strategies=["random"], replications=1, workers=1, directory=place
    )
    return found, place


def test_the_record_of_a_large_fleet_is_small(large):
    """Groups and faults do not grow with the nodes; what is left out is not silently empty."""
    found, place = large
    text = (place / "runs" / f"{found.records[0].id}.json").read_text()
    assert len(text) < 50_000
    assert len(json.loads(text)["exogenous"]) == 200
    assert found.groupings == ("origin", "stream", "region", "capability")
    assert len(found.by("region")) == 2
    with pytest.raises(ResultsError, match=f"at most {MOST_GROUPS} groups, and by node"):
        found.by("node")
    saved = comparison_report(found, (), Saved(place, "fedsim compare")).blocks
    assert "by stream, origin and region" in repr(saved)


@pytest.mark.parametrize(("on_executor", "added"), [(False, 1), (True, 2)])
def test_who_runs_a_cell_writes_its_record(tmp_path, monkeypatch, on_executor, added):
    """The study itself writes whole runs, and all records of an executor, which may be far away."""
    through: list[str] = []
    add = Store.add

    def noted(self, record):
        through.append(record.id)
        return add(self, record)

    monkeypatch.setattr(Store, "add", noted)
    scenario = fedsim.load(small_scenario.write(tmp_path), {"duration": "8s"})
    place = tmp_path / "study"
    with ThreadPoolExecutor(1) as executor:
        where = {"executor": executor} if on_executor else {"workers": 1}
        fedsim.compare(scenario, strategies=["random"], replications=2, directory=place, **where)
    assert len(list((place / "runs").glob("*.json"))) == 2
    assert len(through) == added
