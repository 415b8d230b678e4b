"""What a calibration leaves behind: the profile or snippet, its evidence, and the chart."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fedsim.results.manifest import FORMAT, provenance
from fedsim.results.rundir import MANIFEST, whole_directory, write_json
from fedsim.scenario.catalogues.profile_files import write_profile
from fedsim.scenario.catalogues.profiles import Profile
from fedsim.studies.calibrate.engine import EngineFit, Labels
from fedsim.studies.calibrate.service import ServiceFit
from fedsim.world.engine.steps import Coefficients

PROFILE = "profile.yaml"
"""The file that a scenario names as an engine's profile."""

SNIPPET = "service.yaml"
"""The file with the service that a pool of a scenario can have."""

SUMMARY = "calibration.json"
CHART = "calibration.png"


def save_engine(
    fit: EngineFit, directory: str | os.PathLike[str], labels: Labels | None = None
) -> Path:
    """Write a fitted engine: ``profile.yaml``, ``calibration.json``, held-out requests, chart.

    Raises:
        ResultsError: The directory cannot be written, or holds what fedsim did not write.
    """
    with whole_directory(directory) as folder:
        write_profile(folder / PROFILE, engine_profile(fit, labels or Labels()))
        write_json(folder / SUMMARY, engine_json(fit))
        fit.held_out.requests().to_parquet(
            folder / "held-out.parquet", index=False, compression="zstd"
        )
        fit.plot().savefig(folder / CHART)
        write_json(folder / MANIFEST, _manifest(fit.name))
    return Path(directory)


def save_service(fit: ServiceFit, directory: str | os.PathLike[str]) -> Path:
    """Write a fitted service distribution: ``service.yaml``, ``calibration.json``, chart.

    Raises:
        ResultsError: The directory cannot be written, or holds what fedsim did not write.
    """
    with whole_directory(directory) as folder:
        (folder / SNIPPET).write_text(fit.snippet(), encoding="utf-8")
        write_json(folder / SUMMARY, service_json(fit))
        fit.plot().savefig(folder / CHART)
        write_json(folder / MANIFEST, _manifest(fit.name))
    return Path(directory)


def engine_profile(fit: EngineFit, labels: Labels) -> Profile:
    """Return a fitted engine as a profile of the user's own."""
    steps, errors = fit.config.steps, fit.errors()["held_out"].dropna()
    assert isinstance(steps, Coefficients)
    rounded = {name: _rounded(value) for name, value in asdict(steps).items()}
    fitted, held_out = int(fit.fitted.rows.sum()), int(fit.held_out.rows.sum())
    return Profile(
        name=fit.name,
        steps=Coefficients(**rounded),
        kv_capacity_tokens=fit.config.kv_capacity_tokens,
        gpus=labels.gpus,
        gpu=labels.gpu,
        model=labels.model,
        label="user",
        source=(
            f"fitted by fedsim calibrate to {fitted} requests of {fit.name}; fit_error is the mean "
            f"absolute error of {held_out} others"
        ),
        fit_error={
            name: round(float(errors[measure]), 4)
            for name, measure in (
                ("ttft", "ttft_s"),
                ("time_per_output_token", "tpot_s"),
                ("end_to_end", "latency_s"),
            )
            if measure in errors
        },
        request_overhead_s=_rounded(fit.config.request_overhead_s),
    )


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def engine_json(fit: EngineFit) -> dict[str, Any]:
    """Return what a calibration found as plain values: ``calibration.json``, and ``--json``."""
    return {
        "log": fit.name,
        "requests": {
            "fitted": int(fit.fitted.rows.sum()),
            "held_out": int(fit.held_out.rows.sum()),
        },
        "nodes": len(fit.log.nodes),
        "limits": {
            "max_batch": fit.limits.max_batch,
            "token_budget": fit.limits.token_budget,
            "kv_capacity_tokens": fit.limits.kv_capacity_tokens,
            "chunked_prefill": fit.limits.chunked_prefill,
            "admit": fit.limits.admit,
        },
        "coefficients": fit.coefficients().reset_index().to_dict("records"),
        "held_out": fit.summary().to_dict("records"),
        "mean_absolute_relative_error": fit.errors().reset_index().to_dict("records"),
        "warnings": fit.warnings(),
    }


def service_json(fit: ServiceFit) -> dict[str, Any]:
    """Return what a fit of service times found as plain values."""
    return {
        "log": fit.name,
        "times": {"fitted": fit.fitted_count, "held_out": len(fit.observed_s)},
        "best": fit.family,
        "snippet": fit.snippet().strip(),
        "families": fit.summary().reset_index().to_dict("records"),
        "warnings": fit.warnings(),
    }


def _manifest(name: str) -> dict[str, Any]:
    return {"format": FORMAT, "kind": "calibration", "name": name, **provenance()}
