"""The report of the catalogues: their tables as plain values, and as documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fedsim.document import (
    Block,
    Cell,
    Column,
    Document,
    Heading,
    Sentence,
    Table,
    figure,
    words,
)
from fedsim.scenario.catalogues.failures import failure_presets
from fedsim.scenario.catalogues.locations import RoundTrip, location_names, round_trip
from fedsim.scenario.catalogues.prices import instances
from fedsim.scenario.catalogues.profiles import profile, profile_names
from fedsim.scenario.catalogues.tables import CatalogueError

Row = dict[str, Any]
"""A row by column; ``name`` comes first, then figures whose names end in their unit."""

_PROMPT, _BATCH, _CONTEXT = 2048, 32, 2048


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a listing, as a document shows it.

    Attributes:
        heading: Its heading, without the unit.
        key: The column of the rows.
        unit: The unit in which it is shown.
        scale: What a figure is multiplied by, for that unit.
        decimals: Decimals of a figure; None for three significant digits.
        rank: The rank of the column; see `Column`.
    """

    heading: str
    key: str
    unit: str = ""
    scale: float = 1.0
    decimals: int | None = None
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """A table of a catalogue, or the part of it that was asked for.

    Attributes:
        title: Its heading.
        about: What the columns mean, and how a scenario names a row.
        fields: The columns that a document shows.
        rows: The rows, with ``label`` and ``source`` each.
        grouped: Whether rows have their source in common with others.
    """

    title: str
    about: str
    fields: tuple[Field, ...]
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
        fields=(
            Field("name", "name"),
            Field("cache", "kv_capacity_tokens", "tokens"),
            Field("prefill", "prefill_s", "ms", 1e3),
            Field("decode", "decode_s", "ms", 1e3),
            Field("error", "fit_error", "%", 1e2, rank=1),
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
        fields=(
            Field("name", "name"),
            Field("gpu", "gpu"),
            Field("gpus", "gpus"),
            Field("per GPU", "usd_per_gpu_hour", "USD/h", decimals=3),
            Field("instance", "usd_per_hour", "USD/h", decimals=2, rank=1),
            Field("region", "region", rank=2),
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
        fields=(
            Field("name", "name"),
            Field("inside", "inside_s", "ms", 1e3),
            Field("nearest", "nearest_s", "ms", 1e3),
            Field("farthest", "farthest_s", "ms", 1e3),
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
        fields=(
            Field("name", "name"),
            Field("median", "p50_s", "ms", 1e3),
            Field("p95", "p95_s", "ms", 1e3),
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
        fields=(
            Field("name", "name"),
            Field("gpus", "gpus"),
            Field("mtbf", "mtbf_s", "days", 1 / 86_400),
            Field("label", "label"),
            Field("mttr", "mttr_s", "h", 1 / 3600),
            Field("label", "mttr_label"),
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


def overview_report(tables: Mapping[str, Listing]) -> Document:
    """Return which tables there are."""
    names = list(tables)
    counts = tuple(figure(len(tables[name].rows), "count") for name in names)
    table = Table(
        (
            words("table", names),
            Column("entries", counts),
            words("of", [tables[name].title for name in names]),
        )
    )
    usage = "fedsim catalogue TABLE lists one, fedsim catalogue TABLE WORD a part of it."
    return Document((table, Sentence(usage)))


def listing_report(listing: Listing) -> Document:
    """Return a table, with how much its rows are worth and where they come from."""
    blocks: list[Block] = [Heading(listing.title, 1), Sentence(listing.about)]
    if not listing.grouped:
        blocks += [Heading("Rates"), _table(listing, listing.rows), Heading("Sources")]
        blocks += [Sentence(f"{row['name']}: {_sources(row)}", item=True) for row in listing.rows]
        return Document(tuple(blocks))
    groups: dict[str, list[Row]] = {}
    for row in listing.rows:
        groups.setdefault(_sources(row), []).append(row)
    for source, rows in groups.items():
        blocks += [Heading(source), _table(listing, rows)]
    return Document(tuple(blocks))


def _sources(row: Row) -> str:
    texts = [f"{row['label']}: {row['source']}"]
    if "mttr_source" in row:
        texts.append(f"mttr {row['mttr_label']}: {row['mttr_source']}")
    return "; ".join(texts)


def _table(listing: Listing, rows: list[Row]) -> Table:
    columns = [
        Column(
            field.heading,
            tuple(_cell(row[field.key], field) for row in rows),
            field.unit,
            field.rank,
            "left" if isinstance(rows[0][field.key], str) else "right",
        )
        for field in listing.fields
        if any(row[field.key] not in (None, {}) for row in rows)
    ]
    return Table(tuple(columns), "fedsim catalogue --json")


def _cell(value: Any, field: Field) -> Cell:
    if value is None or value == {}:
        return Cell(None)
    if isinstance(value, dict):
        return Cell("/".join(f"{each * field.scale:.1f}" for each in value.values()))
    if isinstance(value, str):
        return Cell(value)
    if isinstance(value, int):
        return figure(value, "count")
    if field.decimals is None:
        return figure(value * field.scale)
    return figure(value * field.scale, "decimals", field.decimals)
