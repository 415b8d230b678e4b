"""Rebuild the catalogues' files: ``python tools/rebuild_catalogues.py FOLDER``.

FOLDER holds the tables that the figures are taken from, none of which ships with fedsim:

- ``profiles.csv``: coefficients of step times, fitted to operator tables, and cache capacities.
- ``profiles_grid_aiconfigurator.csv.gz``: the points that they were fitted to.
- ``prices.csv``: prices of instances.
- ``rtt.csv``: round trips between the regions of a cloud.

``failures.csv`` and ``sources.csv`` are written by hand. Round trips are kept once per pair: the
two directions of a path are two measurements of the same thing, and the one with the smaller median
is taken, with its 95th percentile.
"""

from __future__ import annotations

import csv
import gzip
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

Row = Mapping[str, str]
Key = tuple[str, str, str, str]

DATA = Path(__file__).resolve().parent.parent / "fedsim" / "scenario" / "catalogues" / "data"
"""Where the catalogues' files lie."""

CACHED = (0, 16384)
"""Cached tokens of the prefill points that are kept."""

CONTEXTS = (128, 2048, 8192, 16384, 32768)
"""Contexts of the decode points that are kept, in tokens per sequence."""

GPUS = {
    "A100-40GB": "a100_sxm_40gb",
    "A100-80GB": "a100_sxm",
    "A10G-24GB": "a10g",
    "B200-180GB": "b200_sxm",
    "H100-80GB": "h100_sxm",
    "H100-NVL-94GB": "h100_nvl",
    "H200-141GB": "h200_sxm",
    "L4-24GB": "l4",
    "L40S-48GB": "l40s",
    "T4-16GB": "t4",
}
"""Our names of the GPUs in the table of prices."""

PCIE = {"NC24ads_A100_v4": "a100_pcie"}
"""Instances whose GPUs are no SXM modules, although the table does not say so."""


def rebuild(folder: Path, target: Path = DATA) -> None:
    """Write the files that are taken from the tables in *folder*.

    Args:
        folder: Where the tables lie.
        target: Where the files go.
    """
    profiles = _read(folder / "profiles.csv")
    _write(target / "profiles.csv", [_profile(row) for row in profiles])
    with gzip.open(folder / "profiles_grid_aiconfigurator.csv.gz", "rt", encoding="utf-8") as file:
        grid = list(csv.DictReader(file))
    poor = {_key(row): _name(row) for row in profiles if _fits_poorly(row)}
    _write(target / "prefill_points.csv", _prefill_points(grid, poor))
    _write(target / "decode_points.csv", _decode_points(grid, poor))
    _write(target / "prices.csv", [_price(row) for row in _read(folder / "prices.csv")])
    round_trips = _read(folder / "rtt.csv")
    for provider in ("azure", "aws"):
        own = [row for row in round_trips if row["provider"] == provider]
        _write_matrices(target, provider, own)


def _profile(row: Row) -> dict[str, object]:
    estimated = row["source"].startswith("ESTIMATE")
    source = "aiconfigurator-points" if _fits_poorly(row) else "aiconfigurator"
    return {
        "name": _name(row),
        "source": "aiconfigurator-roofline" if estimated else source,
        "engine": "" if estimated else row["engine"],
        "kv_tokens": row["kv_capacity_tokens"] if row["fits_in_memory"] == "True" else "",
        "p0_ms": row["prefill_p0_ms"],
        "p1_us": _scaled(row["prefill_p1_ms_per_tok"], 1e3),
        "p2_ns": _scaled(row["prefill_p2_ms_per_tok_ctx"], 1e6),
        "floor_ms": row["prefill_floor_ms"],
        "d0_ms": row["decode_d0_ms"],
        "d1_us": _scaled(row["decode_d1_ms_per_seq"], 1e3),
        "d2_ns": _scaled(row["decode_d2_ms_per_ctx_tok"], 1e6),
        "dw_ms": row["decode_dw_ms_moe"],
        "prefill_error_pct": row["prefill_fit_mape_pct"],
        "decode_error_pct": row["decode_fit_mape_pct"],
    }


def _fits_poorly(row: Row) -> bool:
    """Return whether a node should take points: a mixture of experts, or PCIe between GPUs."""
    crowded = row["gpu"] == "l40s" and int(row["tp"]) > 2
    return row["fits_in_memory"] == "True" and (float(row["decode_dw_ms_moe"]) > 0 or crowded)


def _prefill_points(grid: Iterable[Row], poor: Mapping[Key, str]) -> list[dict[str, object]]:
    """Return a row per profile and number of cached tokens, a column per number of new ones."""
    lines: dict[tuple[str, int], dict[str, object]] = {}
    for row in grid:
        name, cached = poor.get(_key(row)), int(row["ctx_tokens"])
        alone = row["phase"] == "prefill" and row["batch"] == "1"
        if name is None or not alone or cached not in CACHED:
            continue
        line = lines.setdefault((name, cached), {"name": name, "cached_tokens": cached})
        line[row["new_tokens"]] = f"{float(row['ms']):.5g}"
    return list(lines.values())


def _decode_points(grid: Iterable[Row], poor: Mapping[Key, str]) -> list[dict[str, object]]:
    """Return a row per profile and batch, a column per context of a sequence."""
    lines: dict[tuple[str, int], dict[str, object]] = {}
    for row in grid:
        name, context = poor.get(_key(row)), int(row["ctx_tokens"])
        if name is None or row["phase"] != "decode" or context not in CONTEXTS:
            continue
        batch = int(row["batch"])
        line = lines.setdefault((name, batch), {"name": name, "batch": batch})
        line[row["ctx_tokens"]] = f"{float(row['ms']):.5g}"
    return list(lines.values())


def _price(row: Row) -> dict[str, object]:
    return {
        "name": f"{row['provider']}/{row['instance']}",
        "gpu": PCIE.get(row["instance"], GPUS[row["gpu"]]),
        "gpus": row["gpu_count"],
        "usd_per_hour": row["usd_per_hour"],
        "region": row["region"],
        "source": f"{row['provider']}-prices",
    }


def _write_matrices(target: Path, provider: str, round_trips: Sequence[Row]) -> None:
    """Write the medians of a cloud, and the 95th percentiles where there are any."""
    best: dict[tuple[str, str], tuple[float, float | None]] = {}
    for row in round_trips:
        one, other = sorted((row["src"], row["dst"]))
        percentile = float(row["p95_ms"]) if row["p95_ms"] else None
        found = (float(row["p50_ms"]), percentile)
        before = best.get((one, other))
        if before is None or (found[0], found[1] or 0.0) < (before[0], before[1] or 0.0):
            best[one, other] = found
    names = sorted({name for pair in best for name in pair})
    medians = {pair: each[0] for pair, each in best.items()}
    _write(target / f"{provider}_p50.csv", _matrix(names, medians))
    if all(each[1] is not None for each in best.values()):
        percentiles = {pair: each[1] or 0.0 for pair, each in best.items()}
        _write(target / f"{provider}_p95.csv", _matrix(names, percentiles))


def _matrix(
    names: Sequence[str], values: Mapping[tuple[str, str], float]
) -> list[dict[str, object]]:
    """Return the lower triangle: a row per name, with a column per name up to itself."""
    lines: list[dict[str, object]] = []
    for number, name in enumerate(names):
        line: dict[str, object] = {"ms": name}
        for other in names[: number + 1]:
            line[other] = f"{values[other, name]:g}" if (other, name) in values else ""
        lines.append(line)
    return lines


def _name(row: Row) -> str:
    return f"{row['model']}/{row['precision']}/{row['gpu']}/tp{row['tp']}"


def _key(row: Row) -> Key:
    return row["model"], row["precision"], row["gpu"], row["tp"]


def _scaled(text: str, factor: float) -> str:
    return f"{float(text) * factor:.12g}"


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write(path: Path, lines: Sequence[Mapping[str, object]]) -> None:
    columns = dict.fromkeys(column for line in lines for column in line)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


if __name__ == "__main__":
    rebuild(Path(sys.argv[1]))
