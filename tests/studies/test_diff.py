"""``fedsim diff``: runs exactly, studies beyond chance, and what could not have been seen."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import fedsim
from fedsim.cli import app
from fedsim.results.run import Run
from fedsim.studies.statistics import unpaired_difference
from tests import small_scenario


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two runs and three studies of the small scenario, which is made faster for one of them."""
    place = tmp_path_factory.mktemp("diff")
    scenario = fedsim.load(small_scenario.write(place), {"duration": "20s", "warmup": "2s"})
    for name in ("random", "least_connections"):
        fedsim.simulate(scenario, strategy=name).save(place / name, charts=False)
    slower = {"pools.east-chat.slots": 1, "pools.west-chat.slots": 1}
    studies = {
        "before": (scenario, 1),
        "after": (scenario.changed(slower), 1),
        "elsewhere": (scenario, 9),
    }
    for name, (each, seed) in studies.items():
        compared = fedsim.compare(
            each, strategies=["round_robin"], replications=3, seed=seed, workers=1
        )
        compared.save(place / name, charts=False)
    return place


def diff(folder, first, second, status, *words):
    """Run ``fedsim diff`` in this process, and return what it printed."""
    paths = [str(folder / first), str(folder / second)]
    done = CliRunner().invoke(app, ["diff", *paths, *words], prog_name="fedsim")
    assert done.exit_code == status, done.output
    return done.output


def test_equal_runs_are_equal(folder):
    """A run does not differ from itself, bit for bit: status 0."""
    assert "The runs are equal" in diff(folder, "random", "random", 0)


def test_runs_differ_exactly(folder):
    """Measures that differ by any bit, and the first decision that does, with its request."""
    output = " ".join(diff(folder, "random", "least_connections", 1).split())
    assert "strategy: random and least_connections." in output
    first, second = (Run.load(folder / name) for name in ("random", "least_connections"))
    pairs = zip(first.attempts.itertuples(), second.attempts.itertuples(), strict=False)
    row, other = next((a, b) for a, b in pairs if str(a.node) != str(b.node))
    assert f"{row.request_id}, attempt {row.attempt} went to {row.node} in the first" in output
    assert f"and to {other.node} in the second" in output


def test_studies_differ_beyond_chance(folder):
    """A fleet of a third of the slots is slower, and the same study again shows nothing."""
    output = " ".join(diff(folder, "before", "after", 1).split())
    assert "on the same requests and faults" in output
    assert "latency p50" in output
    assert "worse" in output
    same = diff(folder, "before", "before", 0)
    assert "; 0 are shown at 95 %" in " ".join(same.split())
    assert json.loads(diff(folder, "before", "before", 0, "--json"))["differs"] is False


def test_studies_of_other_seeds_are_not_paired(folder):
    """Other seeds are other worlds: their difference is not taken replication by replication."""
    output = " ".join(diff(folder, "before", "elsewhere", 0).split())
    assert "unpaired; 0 are shown" in output
    assert "The smallest difference that could have been seen" in output


def test_a_run_and_a_study_have_no_difference(folder):
    """Two kinds of results cannot be compared: status 2, with both kinds."""
    assert "is a run and" in diff(folder, "random", "before", 2)


def test_welchs_interval_by_hand():
    """Equal variances and sizes give Student's t with 2n − 2 degrees of freedom.

    A sample without spread adds none: the other has n − 1.
    """
    found, p = unpaired_difference([2.0, 3.0, 4.0], [1.0, 2.0, 3.0])
    half = 2.776445 * (2.0 / 3.0) ** 0.5
    assert found.mean == 1.0
    assert found.high - found.mean == pytest.approx(half, rel=1e-6)
    assert p == pytest.approx(0.2878641, rel=1e-6)
    found, _ = unpaired_difference([2.0, 3.0, 4.0], [1.0, 1.0])
    assert found.high - found.mean == pytest.approx(4.302653 * (1.0 / 3.0) ** 0.5, rel=1e-6)
