"""The catalogues as tables of plain values, for ``fedsim catalogue``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fedsim.scenario.catalogues.failures import failure_presets
from fedsim.scenario.catalogues.locations import RoundTrip, location_names, round_trip
from fedsim.scenario.catalogues.prices import instances
from fedsim.scenario.catalogues.profiles import profile, profile_names
from fedsim.scenario.catalogues.tables import CatalogueError

Row = dict[str, Any]
"""A row by column; ``name`` comes first, then figures whose names end in their unit."""

_PROMPT, _BATCH, _CONTEXT = 2048, 32, 2048


@dataclass(frozen=True, slots=True)
class Heading:
    """A column of a listing on the terminal.

    Attributes:
        text: Its heading, with the unit.
        key: The column of the rows.
        scale: What a figure is multiplied by, for the unit of the heading.
        decimals: Decimals of a figure; None for three significant digits.
        rank: Columns of a high rank are left out first where the terminal is narrow.
    """

    text: str
    key: str
    scale: float = 1.0
    decimals: int | None = None
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """A table of a catalogue, or the part of it that was asked for.

    Attributes:
        title: Its heading.
        about: What the columns mean, and how a scenario names a row.
        headings: The columns.
        rows: The rows, with ``label`` and ``source`` each.
        grouped: Whether rows have their source in common with others.
    """

    title: str
    about: str
    headings: tuple[Heading, ...]
    rows: list[Row]
    grouped: bool = True


def gpus(word: str) -> Listing:
    """Return the GPU profiles with *word* in them."""
    rows = [
        {
            "name": each.name,
            "gpus": each.gpus,
            "kv_capacity_tokens": each.kv_capacity_tokens,
            "prefill_s": each.steps.step_s(each.steps.prefill_s(_PROMPT, 0), 1, 0, 0),
            "decode_s": each.steps.step_s(0.0, 0, _BATCH, _BATCH * _CONTEXT),
            "fit_error": dict(each.fit_error),
            "label": each.label,
            "source": each.source,
        }
        for each in map(profile, profile_names())
    ]
    return Listing(
        title="GPU profiles: model/precision/gpu/tp(number of GPUs)",
        about=(
            f"prefill: the step that computes a prompt of {_PROMPT:,} tokens; decode: a step of "
            f"{_BATCH} requests with {_CONTEXT:,} tokens each; error: the mean of the fits of "
            "both. In a scenario: engine: {profile: NAME}."
        ),
        headings=(
            Heading("name", "name"),
            Heading("cache tokens", "kv_capacity_tokens"),
            Heading("prefill ms", "prefill_s", 1e3),
            Heading("decode ms", "decode_s", 1e3),
            Heading("error %", "fit_error", 1e2, rank=1),
        ),
        rows=_with(word, rows),
    )


def prices(word: str) -> Listing:
    """Return the prices with *word* in them."""
    rows = [
        {
            "name": each.name,
            "gpu": each.gpu,
            "gpus": each.gpus,
            "usd_per_gpu_hour": each.usd_per_gpu_hour,
            "usd_per_hour": each.usd_per_hour,
            "region": each.region,
            "label": each.source.label,
            "source": each.source.text,
        }
        for each in instances().values()
    ]
    return Listing(
        title="Prices on demand",
        about=(
            "In a scenario: cost: NAME, or the provider and GPU for its cheapest instance with as "
            "many GPUs as the node, such as aws/h100_sxm. A node pays the price per GPU for each "
            "of its own."
        ),
        headings=(
            Heading("name", "name"),
            Heading("gpu", "gpu"),
            Heading("gpus", "gpus"),
            Heading("USD/GPU-h", "usd_per_gpu_hour", decimals=3),
            Heading("USD/h", "usd_per_hour", decimals=2, rank=1),
            Heading("region", "region", rank=2),
        ),
        rows=_with(word, rows),
    )


def locations(word: str) -> Listing:
    """Return the locations with *word* in them, or the round trips from the location *word*."""
    if word in location_names():
        return _round_trips(word)
    return Listing(
        title="Locations",
        about=(
            "Round trips inside each location, and to the nearest and the farthest one of its "
            "cloud; fedsim catalogue locations NAME shows all of them. In a scenario: location: "
            "NAME."
        ),
        headings=(
            Heading("name", "name"),
            Heading("inside ms", "inside_s", 1e3),
            Heading("nearest ms", "nearest_s", 1e3),
            Heading("farthest ms", "farthest_s", 1e3),
        ),
        rows=_with(word, [_location(name) for name in location_names()]),
    )


def _location(name: str) -> Row:
    trips = _trips(name)
    far = [trip.p50_s for other, trip in trips.items() if other != name]
    source = next(iter(trips.values())).source
    return {
        "name": name,
        "inside_s": trips[name].p50_s if name in trips else None,
        "nearest_s": min(far),
        "farthest_s": max(far),
        "label": source.label,
        "source": source.text,
    }


def _round_trips(location: str) -> Listing:
    trips = _trips(location)
    return Listing(
        title=f"Round trips from {location}",
        about="Medians and 95th percentiles, the same in both directions.",
        headings=(
            Heading("name", "name"),
            Heading("median ms", "p50_s", 1e3),
            Heading("95th percentile ms", "p95_s", 1e3),
        ),
        rows=[
            {"name": other, "p50_s": trip.p50_s, "p95_s": trip.p95_s}
            | {"label": trip.source.label, "source": trip.source.text}
            for other, trip in trips.items()
        ],
    )


def _trips(location: str) -> dict[str, RoundTrip]:
    """Return the round trips that are known from a location, nearest first."""
    trips: dict[str, RoundTrip] = {}
    for other in location_names():
        try:
            trips[other] = round_trip(location, other)
        except CatalogueError:
            continue
    return dict(sorted(trips.items(), key=lambda item: item[1].p50_s))


def failures(word: str) -> Listing:
    """Return the failure presets with *word* in them."""
    rows = [
        {
            "name": each.name,
            "gpus": each.gpus,
            "mtbf_s": each.mtbf_s,
            "mttr_s": each.mttr_s,
            "label": each.mtbf_source.label,
            "source": f"{each.derivation} ({each.mtbf_source.text})",
            "mttr_label": each.mttr_source.label,
            "mttr_source": each.mttr_source.text,
        }
        for each in failure_presets().values()
    ]
    return Listing(
        title="Failure rates of published fleets",
        about=(
            "mtbf: mean time up of a server; mttr: mean time to repair. All are fleets for "
            "training and HPC; none is published for inference. In a scenario: faults: [{kind: "
            "crash, pool: POOL, preset: NAME}]."
        ),
        headings=(
            Heading("name", "name"),
            Heading("gpus", "gpus"),
            Heading("mtbf days", "mtbf_s", 1 / 86_400),
            Heading("label", "label"),
            Heading("mttr h", "mttr_s", 1 / 3600),
            Heading("label", "mttr_label"),
        ),
        rows=_with(word, rows),
        grouped=False,
    )


def _with(word: str, rows: list[Row]) -> list[Row]:
    """Return the rows that have *word* in a text, whatever its case."""
    wanted = word.casefold()
    return [
        row
        for row in rows
        if any(wanted in cell.casefold() for cell in row.values() if isinstance(cell, str))
    ]


TABLES: dict[str, Callable[[str], Listing]] = {
    "gpus": gpus,
    "prices": prices,
    "locations": locations,
    "failures": failures,
}
"""The tables by name, each of which takes a word to filter by."""
