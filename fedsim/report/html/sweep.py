"""The page of a sweep: how far the objective is held, and what that rests on."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fedsim.document import percent, plain
from fedsim.report.html.page import Drawn, Page
from fedsim.report.html.studies import made, of_warnings
from fedsim.report.sweep import crossovers_in_words, knees_in_words, sweep_report, varied_along
from fedsim.studies.ranking import CHIEF
from fedsim.studies.swept import KIND, Sweep

_MOST_SAID = 3


def sweep_page(sweep: Sweep) -> Page:
    """Return the page of a sweep."""
    return Page(
        _answer(sweep),
        sweep_report(sweep),
        [Drawn(name.removesuffix(".png"), draw) for name, _, draw in sweep.plot.all()],
        made(sweep, KIND),
        [*_changes(sweep), *of_warnings(sweep.warnings)],
    )


def _answer(sweep: Sweep) -> str:
    knees = knees_in_words(sweep)
    if not knees:
        return _extremes(sweep)
    more = f" Below are {len(knees) - _MOST_SAID} more." if len(knees) > _MOST_SAID else ""
    return f"{'. '.join(each[:1].upper() + each[1:] for each in knees[:_MOST_SAID])}.{more}"


def _extremes(sweep: Sweep) -> str:
    """Return at which points goodput is highest and lowest."""
    means = sweep.estimates()[CHIEF].tolist()
    known = [place for place, mean in enumerate(means) if not math.isnan(mean)]
    if not known:
        return "No point has a value of goodput."
    best, worst = max(known, key=means.__getitem__), min(known, key=means.__getitem__)
    if means[best] == means[worst]:
        return f"Goodput is {percent(means[best])} % at every point that was measured."
    return (
        f"Goodput is {percent(means[best])} % at {_point(sweep, best)}, the highest, and "
        f"{percent(means[worst])} % at {_point(sweep, worst)}, the lowest."
    )


def _point(sweep: Sweep, place: int) -> str:
    keys = sweep.keys.values()
    return ", ".join(f"{key.heading} {sweep.points[place][key.path]}" for key in keys)


def _changes(sweep: Sweep) -> Iterator[str]:
    yield from crossovers_in_words(sweep)[:_MOST_SAID]
    for key in varied_along(sweep):
        low, high = (plain(each * key.scale) for each in (min(key.values), max(key.values)))
        yield (
            f"Other values of {key.heading} than {low} to {high} {key.unit}".rstrip()
            + ": nothing is known outside of them, and between two of them values are interpolated."
        )
    fewest = min(sweep.replications)
    yield (
        f"More replications than {fewest} per point, and longer runs: intervals in the tables say "
        "how far the means may be off."
    )
    withheld = len(sweep.withheld)
    if withheld:
        yield (
            f"Of what was asked for, {withheld} percentiles rest on too few requests, or on a "
            "saturated fleet, and are not shown."
        )
    if len(sweep.keys) > 1 and not varied_along(sweep):
        yield "The keys were varied together, so that no effect is that of one of them alone."
