"""The report of a verification: what theory expects, what fedsim measures, and a verdict."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fedsim.document import (
    MISSING,
    Block,
    Cell,
    Code,
    Column,
    Document,
    Heading,
    Sentence,
    Table,
    figure,
    words,
)
from fedsim.studies.known_systems import ROUNDING
from fedsim.studies.verify import CONFIDENCE

if TYPE_CHECKING:
    from fedsim.studies.verify import Finding, Verification

_DIGITS = 4


def verification_report(result: Verification, repeat: str) -> Document:
    """Return the report of a verification.

    Args:
        result: The verification.
        repeat: The command that gives it again.
    """
    blocks: list[Block] = [
        Heading("fedsim against queueing theory", 1),
        _verdict(result),
        _findings(result),
        Sentence(_method(result)),
        Heading("Systems"),
        _systems(result),
        Heading("Repeat with"),
        Code(repeat, "shell"),
    ]
    return Document(tuple(blocks))


def _verdict(result: Verification) -> Sentence:
    total, differing = len(result.findings), result.differing
    if not differing:
        return Sentence(f"All {total} checks agree with theory.", "good")
    names = ", ".join(_name(each) for each in differing)
    return Sentence(f"{len(differing)} of {total} checks differ from theory: {names}.", "bad")


def _method(result: Verification) -> str:
    return (
        f"{result.replications} replications of each system. Each interval has level "
        f"{100.0 * result.level:.4f} %, so that all of them hold together with "
        f"{100.0 * CONFIDENCE:g} %: of 1,000 seeds a correct fedsim fails fewer than one. "
        f"Seed {result.seed} gives this table every time; --seed N draws other runs."
    )


def _findings(result: Verification) -> Table:
    found = result.findings
    verdicts = tuple(
        Cell("agrees", style="good") if each.agrees else Cell("differs", style="bad")
        for each in found
    )
    return Table(
        (
            words("check", [_name(each) for each in found]),
            Column("expected", tuple(figure(each.expected, digits=_DIGITS) for each in found)),
            Column("measured", tuple(figure(_settled(each), digits=_DIGITS) for each in found)),
            Column("interval", tuple(Cell(_interval(each)) for each in found)),
            Column("verdict", verdicts, align="left"),
            words("theory", [each.source for each in found], rank=1),
        ),
        "--json",
    )


def _name(finding: Finding) -> str:
    unit = f" ({finding.unit})" if finding.unit else ""
    return f"{finding.system}: {finding.check}{unit}"


def _settled(finding: Finding) -> float:
    """Return what was measured, without an error that is rounding alone."""
    exact = abs(finding.measured - finding.expected) <= ROUNDING
    return finding.expected if exact else finding.measured


def _interval(finding: Finding) -> str:
    width = finding.high - finding.low
    if width <= ROUNDING:
        return "exact"
    if not math.isfinite(width):
        return MISSING
    decimals = max(0, 1 - math.floor(math.log10(width)))
    return f"{finding.low:,.{decimals}f} – {finding.high:,.{decimals}f}"


def _systems(result: Verification) -> Table:
    scenarios = [each.scenario for each in result.systems]
    return Table(
        (
            words("system", [each.name for each in result.systems]),
            Column("warm-up", tuple(_seconds(each["warmup"]) for each in scenarios), "s"),
            Column("run", tuple(_seconds(each["duration"]) for each in scenarios), "s"),
            words("scenario", [each["description"] for each in scenarios], rank=1),
        ),
        "--json",
    )


def _seconds(text: str) -> Cell:
    return figure(float(text.removesuffix("s")), "count")
