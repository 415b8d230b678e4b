"""The reports of calibrations: of an engine, and of service times."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fedsim.document import (
    Block,
    Cell,
    Chart,
    Code,
    Column,
    Document,
    Heading,
    Sentence,
    Table,
    figure,
    plain,
    words,
)
from fedsim.report.parts import warnings_of
from fedsim.studies.calibrate.coefficients import NAMES
from fedsim.studies.calibrate.storage import CHART, PROFILE
from fedsim.studies.calibrate.validation import MEASURES, STATISTICS

if TYPE_CHECKING:
    from fedsim.studies.calibrate import EngineFit, Limits, ServiceFit

_UNITS = {"p0": (1e3, "ms"), "p1": (1e6, "us"), "p2": (1e9, "ns"), "floor": (1e3, "ms")}
_UNITS |= {"d0": (1e3, "ms"), "d1": (1e6, "us"), "d2": (1e9, "ns")}
_UNITS |= {"request_overhead": (1e3, "ms")}
assert list(_UNITS) == [name.removesuffix("_s") for name in NAMES]


def engine_report(fit: EngineFit, directory: Path | None) -> Document:
    """Return the report of a fitted engine: coefficients, errors on held-out requests, warnings.

    Without a directory nothing was written.
    """
    fitted, held_out = int(fit.fitted.rows.sum()), int(fit.held_out.rows.sum())
    nodes = "1 node" if len(fit.log.nodes) == 1 else f"{len(fit.log.nodes)} nodes"
    singles = [
        f"{MEASURES[str(name)]} {plain(100.0 * error, 2)} %"
        for name, error in fit.errors()["held_out"].dropna().items()
    ]
    blocks: list[Block] = [
        Heading(f"{fit.name}: engine fitted to a log", 1),
        Sentence(
            f"{len(fit.log):,} requests on {nodes}, with {_limits(fit.limits)}. Every second "
            f"request, {fitted:,}, was fitted; the other {held_out:,} are predicted from their "
            "arrivals."
        ),
        Heading("Coefficients and their standard errors"),
        _coefficients(fit),
        Heading("Held-out requests, predicted against measured"),
        _errors(fit),
        Sentence(f"Mean absolute error of single requests: {', '.join(singles)}."),
        *warnings_of(fit.warnings()),
    ]
    if directory is not None:
        limits = f"max_batch: {fit.limits.max_batch}, token_budget: {fit.limits.token_budget}"
        limits += "" if fit.limits.admit == "whole" else f", admit: {fit.limits.admit}"
        blocks += [
            Heading("In a scenario"),
            Code(f"engine: {{profile: {directory / PROFILE}, {limits}}}", "yaml"),
            *_written(
                directory,
                "profile.yaml, calibration.json, held-out.parquet",
                "predicted against measured times",
            ),
        ]
    return Document(tuple(blocks))


def _limits(limits: Limits) -> str:
    cache = limits.kv_capacity_tokens
    room = "a KV cache that is never full" if cache is None else f"{cache:,} tokens of KV cache"
    return f"at most {limits.max_batch} at once, {limits.token_budget:,} tokens a step and {room}"


def _coefficients(fit: EngineFit) -> Table:
    names, values, errors, shares = [], [], [], []
    for each in fit.estimates:
        name = each.name.removesuffix("_s")
        factor, unit = _UNITS[name]
        value, error = each.value_s * factor, each.error_s * factor
        names.append(name)
        values.append(Cell(value, text=f"{plain(value, 4)} {unit}"))
        errors.append(Cell(error, text=f"{plain(error, 2)} {unit}"))
        shares.append(figure(100.0 * each.share))
    determined = ["yes" if each.determined else "hardly" for each in fit.estimates]
    return Table(
        (
            words("coefficient", names),
            Column("value", tuple(values)),
            Column("± error", tuple(errors)),
            Column("of mean time", tuple(shares), "%", 2),
            words("determined", determined, 1, {"hardly": "warning"}),
        ),
        "calibration.json",
    )


def _errors(fit: EngineFit) -> Table:
    table = fit.summary()
    first = table["statistic"] == STATISTICS[0]
    names = [MEASURES[str(name)] for name in table["measure"]]
    times = [name if shown else "" for name, shown in zip(names, first, strict=True)]
    errors = tuple(
        figure(100.0 * error, "decimals", 1, signed=True) for error in table["relative_error"]
    )
    return Table(
        (
            words("time", times),
            words("statistic", table["statistic"].tolist()),
            Column("predicted", tuple(map(figure, table["predicted_s"])), "s"),
            Column("measured", tuple(map(figure, table["measured_s"])), "s"),
            Column("error", errors, "%"),
        )
    )


def service_report(fit: ServiceFit, directory: Path) -> Document:
    """Return the report of fitted service times: families, the best first, and the snippet."""
    blocks: list[Block] = [Heading(f"{fit.name}: service times, best as {fit.family}", 1)]
    if fit.fits:
        text = (
            f"Every second time, {fit.fitted_count:,}, was fitted by maximum likelihood; the "
            f"families are compared on the other {len(fit.observed_s):,}."
        )
        blocks += [Sentence(text), Heading("Families, the best first"), _families(fit)]
    else:
        blocks.append(Sentence("All times are equal."))
    return Document(
        (
            *blocks,
            *warnings_of(fit.warnings()),
            Heading("In a pool of a scenario"),
            Code(fit.snippet().strip(), "yaml"),
            *_written(
                directory, "service.yaml, calibration.json", "measured times and the best family"
            ),
        )
    )


def _families(fit: ServiceFit) -> Table:
    table = fit.summary()
    columns = [words("family", [str(name) for name in table.index])]
    columns += [
        Column(heading, tuple(map(figure, table[name])), unit, rank)
        for name, heading, unit, rank in (
            ("log_likelihood", "log likelihood", "", 0),
            ("ks_distance", "KS distance", "", 1),
            ("ks_probability", "p", "", 2),
            ("mean_s", "mean", "s", 3),
            ("p99_s", "p99", "s", 4),
        )
    ]
    return Table(tuple(columns), "calibration.json")


def _written(directory: Path, contents: str, title: str) -> list[Block]:
    chart = (directory / CHART).as_posix()
    return [
        Heading(f"Written to {directory}/"),
        Sentence(contents, item=True),
        Chart(title, chart),
    ]
