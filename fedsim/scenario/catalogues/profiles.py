"""GPU profiles: how long a model's steps take on a GPU, and how many tokens its cache holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from fedsim.results.sources import Label
from fedsim.scenario.catalogues.tables import CatalogueError, rows, scaled, sources, unknown

if TYPE_CHECKING:
    from fedsim.world.engine.measured import MeasuredSteps
    from fedsim.world.engine.steps import Coefficients, StepTimes


PROFILE_FILES = (".yaml", ".yml")
"""How the name of a profile ends that is a file."""

_BILLIONS = re.compile(r"-(\d+(?:\.\d+)?)b(?:-|$)")
"""The size of a model in its name: 8 in ``llama-3.1-8b``, 30 in ``qwen3-30b-a3b``."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a node with some GPUs does with a model.

    Attributes:
        name: ``model/precision/gpu/tpN``, or what the user calls it.
        steps: How long a step takes.
        kv_capacity_tokens: Tokens that its KV cache holds.
        gpus: GPUs of the node, over which the model is spread.
        gpu: Name of the GPU, such as ``h100_sxm``.
        model: The model, such as ``llama-3.1-8b``.
        label: How much the figures are worth.
        source: Where they come from.
        fit_error: Mean relative error of *steps* by what it is about (``prefill``, ``decode``), as
            a share; empty where it is not known.
        request_overhead_s: Time before a request is queued, in seconds.
        quantization: How the model's weights are stored, such as ``fp8``, or None where not known.
    """

    name: str
    steps: StepTimes
    kv_capacity_tokens: int
    gpus: int
    gpu: str
    model: str
    label: Label
    source: str
    fit_error: Mapping[str, float] = field(default_factory=dict)
    request_overhead_s: float = 0.0
    quantization: str | None = None


def profile_names() -> list[str]:
    """Return the names of all profiles that a node can have, in the catalogue's order."""
    return [name for name, row in _rows().items() if row["kv_tokens"]]


@cache
def profile(name: str) -> Profile:
    """Return the profile *name* of the catalogue.

    Raises:
        CatalogueError: There is none, or its model does not fit into the GPU's memory.
    """
    row = _rows().get(name)
    if row is None:
        failure = unknown("GPU profile", name, profile_names(), "gpus")
        raise failure
    model, quantization, gpu, tensor_parallel = name.split("/")
    if not row["kv_tokens"]:
        raise _does_not_fit(name)
    source = sources()[row["source"]]
    by_points = name in _points("prefill_points", "cached_tokens")
    return Profile(
        name=name,
        steps=_measured(name) if by_points else _coefficients(row),
        kv_capacity_tokens=int(row["kv_tokens"]),
        gpus=int(tensor_parallel.removeprefix("tp")),
        gpu=gpu,
        model=model,
        label=source.label,
        source=f"{source.text}; {row['engine']}" if row["engine"] else source.text,
        fit_error={} if by_points else _fit_error(row),
        quantization=quantization,
    )


def parameters_of(model: str) -> int:
    """Return the number of parameters of a model of the catalogue, which its name says; else 0."""
    known = model in {name.partition("/")[0] for name in _rows()}
    billions = _BILLIONS.search(model) if known else None
    return 0 if billions is None else round(float(billions[1]) * 1e9)


@cache
def _rows() -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in rows("profiles")}


def _does_not_fit(name: str) -> CatalogueError:
    """Return the error for a profile of step times alone."""
    stem, _, tensor_parallel = name.rpartition("tp")
    fitting = [each for each in profile_names() if each.startswith(stem)]
    message = (
        f"{name} has no room for a KV cache: the model leaves none of the memory of "
        f"{tensor_parallel} {name.split('/')[2]}."
    )
    remedy = f"Take {fitting[0]}." if fitting else "Take a GPU with more memory."
    return CatalogueError(message, remedy)


def _coefficients(row: Mapping[str, str]) -> Coefficients:
    from fedsim.world.engine.steps import Coefficients

    return Coefficients(
        p0_s=scaled(row["p0_ms"], -3),
        p1_s=scaled(row["p1_us"], -6),
        p2_s=scaled(row["p2_ns"], -9),
        floor_s=scaled(row["floor_ms"], -3),
        d0_s=scaled(row["d0_ms"], -3),
        d1_s=scaled(row["d1_us"], -6),
        d2_s=scaled(row["d2_ns"], -9),
        dw_s=scaled(row["dw_ms"], -3),
    )


def _fit_error(row: Mapping[str, str]) -> dict[str, float]:
    parts = {part: row[f"{part}_error_pct"] for part in ("prefill", "decode")}
    return {part: float(text) / 100 for part, text in parts.items() if text}


def _measured(name: str) -> MeasuredSteps:
    """Return the measured points of a profile that no formula fits."""
    from fedsim.world.engine.measured import MeasuredSteps

    prefill = _points("prefill_points", "cached_tokens")[name]
    return MeasuredSteps(
        prefill=tuple((new, cached, time_s) for cached, new, time_s in prefill),
        decode=tuple(_points("decode_points", "batch")[name]),
    )


@cache
def _points(table: str, line: str) -> dict[str, list[tuple[int, int, float]]]:
    """Return the points of each profile: the number of its *line*, of its column, and seconds."""
    points: dict[str, list[tuple[int, int, float]]] = {}
    for row in rows(table):
        found = points.setdefault(row.pop("name"), [])
        number = int(row.pop(line))
        found += [(number, int(column), scaled(ms, -3)) for column, ms in row.items() if ms]
    return points
