"""What ``fedsim calibrate`` prints on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fedsim.cli.figures import plain
from fedsim.cli.output import heading, paragraph, sentences, stdout
from fedsim.cli.tables import Column, print_table
from fedsim.studies.calibrate.coefficients import NAMES
from fedsim.studies.calibrate.storage import PROFILE
from fedsim.studies.calibrate.validation import MEASURES, STATISTICS

if TYPE_CHECKING:
    from rich.console import Console

    from fedsim.studies.calibrate import EngineFit, ServiceFit

_UNITS = {"p0": (1e3, "ms"), "p1": (1e6, "us"), "p2": (1e9, "ns"), "floor": (1e3, "ms")}
_UNITS |= {"d0": (1e3, "ms"), "d1": (1e6, "us"), "d2": (1e9, "ns")}
_UNITS |= {"request_overhead": (1e3, "ms")}
assert list(_UNITS) == [name.removesuffix("_s") for name in NAMES]


def print_engine(fit: EngineFit, directory: Path | None) -> None:
    """Print a fitted engine: coefficients, errors on held-out requests, warnings, directory.

    Without a directory nothing was written.
    """
    console = stdout()
    console.print(f"{fit.name}: engine fitted to a log", style="bold")
    fitted, held_out = int(fit.fitted.rows.sum()), int(fit.held_out.rows.sum())
    nodes = "1 node" if len(fit.log.nodes) == 1 else f"{len(fit.log.nodes)} nodes"
    paragraph(
        console,
        f"{len(fit.log):,} requests on {nodes}, at {_limits(fit)}. Every second one, {fitted:,}, "
        f"was fitted; the other {held_out:,} are predicted from their arrivals.",
    )
    heading(console, "Coefficients, with their standard errors")
    _print_coefficients(console, fit)
    heading(console, "Held-out requests, predicted against measured")
    _print_errors(console, fit)
    if fit.warnings():
        heading(console, "Warnings")
        sentences(console, fit.warnings(), "yellow")
    if directory is None:
        return
    heading(console, "In a scenario")
    limits = f"max_batch: {fit.limits.max_batch}, token_budget: {fit.limits.token_budget}"
    limits += "" if fit.limits.admit == "whole" else f", admit: {fit.limits.admit}"
    console.print(f"  engine: {{profile: {directory / PROFILE}, {limits}}}", soft_wrap=True)
    _closing(console, directory, "profile.yaml, calibration.json, held-out.parquet, chart")


def _limits(fit: EngineFit) -> str:
    limits = fit.limits
    cache = limits.kv_capacity_tokens
    return ", ".join(
        [
            f"most {limits.max_batch} at once",
            f"{limits.token_budget:,} tokens a step",
            "a KV cache that is never full" if cache is None else f"{cache:,} tokens of KV cache",
        ]
    )


def _print_coefficients(console: Console, fit: EngineFit) -> None:
    names, values, errors, shares, verdicts = [], [], [], [], []
    for each in fit.estimates:
        name = each.name.removesuffix("_s")
        factor, unit = _UNITS[name]
        names.append(name)
        values.append(f"{plain(each.value_s * factor, 4)} {unit}")
        errors.append(f"{plain(each.error_s * factor, 2)} {unit}")
        shares.append(plain(100.0 * each.share))
        verdicts.append("yes" if each.determined else "hardly")
    print_table(
        console,
        [
            Column("coefficient", names, left=True),
            Column("value", values),
            Column("± error", errors),
            Column("% of mean time", shares, 2),
            Column("determined", verdicts, 1),
        ],
        colours={"hardly": "yellow"},
    )


def _print_errors(console: Console, fit: EngineFit) -> None:
    table = fit.summary()
    first = table["statistic"] == STATISTICS[0]
    cells = {
        name: [plain(value) for value in table[name]] for name in ("predicted_s", "measured_s")
    }
    words = [MEASURES[str(name)] for name in table["measure"]]
    print_table(
        console,
        [
            Column("time", [*map(_once, words, first)], left=True),
            Column("", table["statistic"].tolist(), left=True),
            Column("predicted s", cells["predicted_s"]),
            Column("measured s", cells["measured_s"]),
            Column("error %", [f"{100.0 * error:+.1f}" for error in table["relative_error"]]),
        ],
    )
    singles = [
        f"{MEASURES[str(name)]} {plain(100.0 * error, 2)} %"
        for name, error in fit.errors()["held_out"].dropna().items()
    ]
    paragraph(console, f"Mean absolute error of single requests: {', '.join(singles)}.")


def _once(word: str, first: bool) -> str:
    return word if first else ""


def print_service(fit: ServiceFit, directory: Path) -> None:
    """Print the fitted families, the best first, warnings, the snippet and the directory."""
    console = stdout()
    console.print(f"{fit.name}: service times, best as {fit.family}", style="bold")
    if fit.fits:
        paragraph(
            console,
            f"Every second time, {fit.fitted_count:,}, was fitted by maximum likelihood; the "
            f"families are compared on the other {len(fit.observed_s):,}.",
        )
        heading(console, "Families, the best first")
        table = fit.summary()
        columns = [Column("family", [str(name) for name in table.index], left=True)]
        for name, title, rank in _SERVICE_COLUMNS:
            cells = [plain(value) for value in table[name]]
            columns.append(Column(title, cells, rank))
        print_table(console, columns)
    else:
        paragraph(console, "All times are equal.")
    if fit.warnings():
        heading(console, "Warnings")
        sentences(console, fit.warnings(), "yellow")
    heading(console, "In a pool of a scenario")
    console.print(f"  {fit.snippet().strip()}", soft_wrap=True)
    _closing(console, directory, "service.yaml, calibration.json, chart")


_SERVICE_COLUMNS = (
    ("log_likelihood", "log likelihood", 0),
    ("ks_distance", "KS distance", 1),
    ("ks_probability", "p", 2),
    ("mean_s", "mean s", 3),
    ("p99_s", "p99 s", 4),
)


def _closing(console: Console, directory: Path, contents: str) -> None:
    console.print()
    console.print(f"Written to {directory}/ ({contents}).", soft_wrap=True)
