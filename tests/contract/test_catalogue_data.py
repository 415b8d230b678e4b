"""The catalogues against the tables that they are taken from, where those are at hand."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedsim.scenario.catalogues.profiles import Profile, profile, profile_names
from tools.rebuild_catalogues import DATA, rebuild

GRID = "profiles_grid_aiconfigurator.csv.gz"


def test_a_rebuild_changes_nothing(data_dir: Path, tmp_path: Path) -> None:
    """What ships is what the script makes of the tables."""
    rebuild(data_dir, tmp_path)

    written = sorted(path.name for path in tmp_path.iterdir())
    assert len(written) == 7
    for name in written:
        assert (tmp_path / name).read_text() == (DATA / name).read_text(), name


@pytest.fixture(scope="module")
def grid(data_dir: Path) -> dict[str, list[dict[str, str]]]:
    """Return the points of each profile, as they were composed from measured kernels."""
    points: dict[str, list[dict[str, str]]] = {}
    with gzip.open(data_dir / GRID, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            name = f"{row['model']}/{row['precision']}/{row['gpu']}/tp{row['tp']}"
            points.setdefault(name, []).append(row)
    return points


def errors(found: Profile, points: list[dict[str, str]], phase: str) -> Iterator[float]:
    """Yield the relative errors of a profile at the points of a phase that a node can reach."""
    for row in points:
        batch, tokens = int(row["batch"]), int(row["ctx_tokens"])
        if row["phase"] != phase or batch * (tokens + 1) > found.kv_capacity_tokens:
            continue
        if phase == "decode":
            step_s = found.steps.step_s(0.0, 0, batch, batch * tokens)
        else:
            prefill_s = batch * found.steps.prefill_s(int(row["new_tokens"]), tokens)
            step_s = found.steps.step_s(prefill_s, batch, 0, 0)
        yield abs(1e3 * step_s / float(row["ms"]) - 1.0)


def test_profiles_meet_the_points(grid: dict[str, list[dict[str, str]]]) -> None:
    """Over all points, a profile is as far off as its fit says, and interpolation hardly at all."""
    for name in profile_names():
        found = profile(name)
        if name not in grid:
            assert found.label == "estimated", name
            continue
        for phase in ("prefill", "decode"):
            off = list(errors(found, grid[name], phase))
            stated = found.fit_error.get(phase, 0.02)
            assert sum(off) / len(off) < stated + 0.005, (name, phase)
