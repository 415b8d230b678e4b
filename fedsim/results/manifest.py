"""What is written next to a run's tables: how they came about, and the names behind them."""

from __future__ import annotations

import json
import math
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from fedsim.federation.contracts import PrivacyLevel
from fedsim.results.slo import Slo, Verdict
from fedsim.world.observer import Directory, NodeInfo, StreamInfo

FORMAT = 2
"""Version of the run directory; a reader refuses a newer one."""


def provenance() -> dict[str, Any]:
    """Return what a digest may depend on besides the scenario and the seed.

    Returns:
        ``versions`` of fedsim, Python and the libraries that compute or store numbers,
        ``platform``, and ``created``, the wall-clock time now in UTC.
    """
    libraries = ("numpy", "pandas", "pyarrow", "scipy", "simpy")
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "fedsim": _version("fedsim-routing"),
            "python": platform.python_version(),
            **{name: _version(name) for name in libraries},
        },
        "platform": {
            "machine": platform.machine(),
            "system": platform.system(),
            "libc": " ".join(platform.libc_ver()).strip(),
            "cpu_features": _cpu_features(),
        },
    }


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _cpu_features() -> list[str]:
    """Return the instruction sets that numpy found and may choose its code by."""
    config = np.show_config(mode="dicts") or {}
    extensions = config.get("SIMD Extensions", {})
    return [*extensions.get("baseline", []), *extensions.get("found", [])]


def directory_to_json(directory: Directory) -> dict[str, Any]:
    """Return a directory as plain JSON values."""
    return {
        "streams": [
            asdict(stream) | {"privacy": stream.privacy.name.lower()}
            for stream in directory.streams
        ],
        "regions": [
            {"name": name, "privacy": level.name.lower()}
            for name, level in zip(directory.regions, directory.region_privacy, strict=True)
        ],
        "gateways": list(directory.gateways),
        "nodes": [asdict(node) for node in directory.nodes],
    }


def directory_from_json(data: dict[str, Any]) -> Directory:
    """Return the directory that ``directory_to_json`` wrote."""
    return Directory(
        streams=tuple(_stream(item) for item in data["streams"]),
        regions=tuple(item["name"] for item in data["regions"]),
        region_privacy=tuple(_level(item["privacy"]) for item in data["regions"]),
        gateways=tuple(data["gateways"]),
        nodes=tuple(NodeInfo(**item) for item in data["nodes"]),
    )


def _stream(item: dict[str, Any]) -> StreamInfo:
    privacy, tenants = _level(item["privacy"]), tuple(item.get("tenants", ()))
    return StreamInfo(**item | {"privacy": privacy, "tenants": tenants})


def _level(name: str) -> PrivacyLevel:
    return PrivacyLevel[name.upper()]


def slo_to_json(slo: Slo | None) -> dict[str, Any] | None:
    """Return an objective as plain JSON values."""
    return None if slo is None else asdict(slo)


def slo_from_json(data: dict[str, Any] | None) -> Slo | None:
    """Return the objective that ``slo_to_json`` wrote, now or in format 1."""
    if data is None or "bounds" in data:
        return None if data is None else Slo(**data)
    bounds = {f"latency_{name}": limit_s for name, limit_s in data["latency"].items()}
    if data["success_rate"] is not None:
        bounds["success_rate"] = data["success_rate"]
    return Slo(bounds)


def verdict_to_json(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as plain JSON values; a missing value is NaN."""
    return asdict(verdict)


def verdict_from_json(data: dict[str, Any]) -> Verdict:
    """Return the verdict that ``verdict_to_json`` wrote."""
    value = math.nan if data["value"] is None else data["value"]
    return Verdict(**data | {"value": value, "without_tokens": tuple(data["without_tokens"])})


def json_text(data: Any) -> str:
    """Return *data* as JSON for people, NaN as null."""
    return json.dumps(jsonable(data), indent=2, ensure_ascii=False, allow_nan=False)


def jsonable(value: Any) -> Any:
    """Return *value* with plain numbers, and None for NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
