"""Interpolation between published step times, against points that it has not seen."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import pytest

from fedsim.world.engine.measured import MeasuredSteps
from fedsim.world.engine.steps import Coefficients

MIXTURE = {"model": "qwen3-30b-a3b", "precision": "bf16", "engine": "vllm"}
GPUS = [("a100_sxm", "1"), ("h100_sxm", "1"), ("h100_sxm", "4"), ("h200_sxm", "2"), ("l40s", "1")]

Points = list[tuple[int, int, float]]


@pytest.fixture(scope="module")
def grid(data_dir: Path) -> list[dict[str, str]]:
    """Return the points of the mixture of experts."""
    with gzip.open(data_dir / "profiles_grid_aiconfigurator.csv.gz", "rt") as file:
        return [row for row in csv.DictReader(file) if MIXTURE.items() <= row.items()]


@pytest.fixture(scope="module")
def fits(data_dir: Path) -> list[dict[str, str]]:
    """Return the coefficients that were fitted to the points."""
    with (data_dir / "profiles.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["model"] == MIXTURE["model"]]


def points_of(grid: list[dict[str, str]], gpu: str, tp: str) -> tuple[Points, Points, Points]:
    """Return prefill points, decode points, and those of several prompts in a step, in seconds."""
    prefill: Points = []
    decode: Points = []
    several: Points = []
    for row in grid:
        if (row["gpu"], row["tp"]) != (gpu, tp):
            continue
        batch, new, context = (int(row[name]) for name in ("batch", "new_tokens", "ctx_tokens"))
        time_s = float(row["ms"]) / 1e3
        if row["phase"] == "decode":
            decode.append((batch, context, time_s))
        elif batch == 1:
            prefill.append((new, context, time_s))
        else:
            several.append((batch, new, time_s))
    return prefill, decode, several


def formula_of(fits: list[dict[str, str]], gpu: str, tp: str) -> Coefficients:
    """Return the fitted formula."""
    row = next(row for row in fits if (row["gpu"], row["tp"]) == (gpu, tp))
    return Coefficients(
        p0_s=float(row["prefill_p0_ms"]) / 1e3,
        p1_s=float(row["prefill_p1_ms_per_tok"]) / 1e3,
        p2_s=float(row["prefill_p2_ms_per_tok_ctx"]) / 1e3,
        floor_s=float(row["prefill_floor_ms"]) / 1e3,
        d0_s=float(row["decode_d0_ms"]) / 1e3,
        d1_s=float(row["decode_d1_ms_per_seq"]) / 1e3,
        d2_s=float(row["decode_d2_ms_per_ctx_tok"]) / 1e3,
        dw_s=float(row["decode_dw_ms_moe"]) / 1e3,
    )


def left_out(points: Points, column: int) -> Iterator[tuple[tuple[int, int, float], Points]]:
    """Yield each point that has neighbours along *column* on both sides, and all the others."""
    for point in points:
        line = [each[column] for each in points if each[1 - column] == point[1 - column]]
        if min(line) < point[column] < max(line):
            yield point, [each for each in points if each != point]


@pytest.mark.parametrize(("gpu", "tp"), GPUS)
def test_a_decode_step_that_was_left_out_is_met_better_than_by_the_formula(grid, fits, gpu, tp):
    """To 1.5 % in the mean, where the formula, which has seen it, is off by 2.6 to 13 %."""
    prefill, decode, _ = points_of(grid, gpu, tp)
    formula = formula_of(fits, gpu, tp)
    off, fit_off = [], []
    for (batch, context, time_s), others in left_out(decode, column=1):
        steps = MeasuredSteps(tuple(prefill), tuple(others))
        off.append(abs(steps.step_s(0.0, 0, batch, batch * context) / time_s - 1.0))
        fit_off.append(abs(formula.step_s(0.0, 0, batch, batch * context) / time_s - 1.0))

    assert len(off) > 40
    assert mean(off) < 0.015
    assert mean(off) < 0.5 * mean(fit_off)


@pytest.mark.parametrize(("gpu", "tp"), GPUS)
def test_a_prefill_that_was_left_out_is_met(grid, gpu, tp):
    """To 6 % in the mean, where its neighbours are a factor of four apart."""
    prefill, decode, _ = points_of(grid, gpu, tp)
    off = []
    for (new, cached, time_s), others in left_out(prefill, column=0):
        steps = MeasuredSteps(tuple(others), tuple(decode))
        lone_s = steps.step_s(steps.prefill_s(new, cached), 1, 0, 0)
        off.append(abs(lone_s / time_s - 1.0))

    assert len(off) > 15
    assert mean(off) < 0.06


@pytest.mark.parametrize(("gpu", "tp"), GPUS)
def test_several_prompts_in_a_step_are_met(grid, gpu, tp):
    """To 2.5 % in the mean, and 8 % at most, though no point of the table has several."""
    prefill, decode, several = points_of(grid, gpu, tp)
    steps = MeasuredSteps(tuple(prefill), tuple(decode))

    off = [
        abs(steps.step_s(prompts * steps.prefill_s(new, 0), prompts, 0, 0) / time_s - 1.0)
        for prompts, new, time_s in several
    ]

    assert len(off) >= 6
    assert mean(off) < 0.025
    assert max(off) < 0.08
