"""A user's own GPU profile: the file that is written is the one that is read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim.errors import ScenarioError
from fedsim.scenario.catalogues.profile_files import read_profile, write_profile
from fedsim.scenario.catalogues.profiles import profile, profile_names
from fedsim.world.engine.steps import Coefficients


def formulas():
    """Return the profiles of the catalogue that have coefficients."""
    found = [profile(name) for name in profile_names() if "qwen3-30b" not in name]
    return [each for each in found if isinstance(each.steps, Coefficients)]


def test_what_is_written_is_read(tmp_path):
    """Every coefficient comes back to the last bit; the figures are the user's own then."""
    for number, each in enumerate(formulas()):
        assert isinstance(each.steps, Coefficients)
        steps = replace(each.steps, dw_s=0.0123, step_overhead_s=1 / 700)
        mine = replace(each, steps=steps, request_overhead_s=1 / 30)
        path = tmp_path / f"{number}.yaml"

        write_profile(path, mine)
        found = read_profile(path)

        assert found.steps == steps
        assert found.label == "user"
        assert found.source == f"{path}: {each.source}"
        assert replace(found, label=mine.label, source=mine.source) == mine


def test_points_cannot_be_written(tmp_path):
    """A file has coefficients."""
    points = next(name for name in profile_names() if "qwen3-30b" in name)

    with pytest.raises(TypeError, match="has no coefficients"):
        write_profile(tmp_path / "points.yaml", profile(points))


def test_a_short_file_is_enough(tmp_path):
    """Overheads, errors and the source may be left out."""
    path = tmp_path / "short.yaml"
    path.write_text(
        "name: mine\nmodel: llama\ngpu: h100_sxm\nkv_capacity: 1000\n"
        "prefill: {p0: 3ms, p1: 20us}\ndecode: {d0: 6ms}\n",
        encoding="utf-8",
    )
    found = read_profile(path)

    assert found.steps == Coefficients(0.003, 2e-5, 0.0, 0.006, 0.0, 0.0)
    assert (found.gpus, found.kv_capacity_tokens, found.source) == (1, 1000, str(path))


def test_a_wrong_file_says_where(tmp_path):
    """All that is wrong is told, with line and column."""
    path = tmp_path / "wrong.yaml"
    path.write_text("name: a\nmodel: 3\nkv_capacity: 0\nprefill: {p0: 3}\nspeed: 1\n")
    with pytest.raises(ScenarioError) as refused:
        read_profile(path)

    told = str(refused.value).replace(f"{path}", "wrong.yaml").splitlines()
    assert "wrong.yaml:4:15: prefill.p0: 3 has no unit. Write 3ms or 3s." in told
    assert "wrong.yaml:5:1: speed: There is no key 'speed' here." in "\n".join(told)
    assert len(told) == 6
