"""The page of a run: whether it held its objective, and what that rests on."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from fedsim.document import percent, plain
from fedsim.report.check import inputs_in_words
from fedsim.report.html.page import Drawn, Made, Page
from fedsim.report.html.studies import of_warnings
from fedsim.report.run import run_report
from fedsim.results.belief import belief, percentile_of
from fedsim.results.slo import Bounded, Verdict, in_words

if TYPE_CHECKING:
    from fedsim.charts.figure import Chart
    from fedsim.results.run import Run
    from fedsim.scenario.spec import Scenario

_MOST_BOUNDS = 3


def run_page(run: Run, scenario: Scenario | None, warnings: Sequence[str]) -> Page:
    """Return the page of a run.

    Args:
        run: The run.
        scenario: What was run; None where it cannot be read.
        warnings: What to know before trusting the numbers.
    """
    return Page(
        _answer(run),
        run_report(run, scenario, warnings),
        [Drawn(name, partial(_draw, run, name)) for name in run.plot.names()],
        _made(run),
        list(_changes(run, warnings)),
    )


def _draw(run: Run, name: str) -> Chart:
    chart: Chart = getattr(run.plot, name)()
    return chart


def _answer(run: Run) -> str:
    verdicts = run.verdicts()
    missed = [each for each in verdicts if not each.held]
    if not verdicts:
        return f"{_served(run)} The scenario has no objective to hold."
    if not missed:
        count = len(verdicts)
        return f"The objective was held ({count} of {count} bounds). {_served(run)}"
    said = "; ".join(_found(each) for each in missed[:_MOST_BOUNDS])
    more = f"; and {len(missed) - _MOST_BOUNDS} more" if len(missed) > _MOST_BOUNDS else ""
    return f"The objective was missed: {said}{more}. {_served(run)}"


def _served(run: Run) -> str:
    """Return a sentence on how many requests succeeded, and how long they took."""
    row = run.summary().iloc[0]
    count, rate = int(row["requests"]), float(row["success_rate"])
    if not count:
        return "No request arrived in the window."
    text = f"{percent(rate)} % of {count:,} requests succeeded"
    p50_s, p99_s = float(row["latency_p50_s"]), float(row["latency_p99_s"])
    if not math.isnan(p50_s):
        text += f", half of them within {plain(p50_s)} s"
        if belief(count * rate, 0.99) != "none":
            text += f" and 99 % within {plain(p99_s)} s"
    return f"{text}."


def _found(verdict: Verdict) -> str:
    """Return a bound with what was measured."""
    bound = in_words(verdict.key, verdict.limit, verdict.stream)
    if verdict.missing:
        return f"{bound}, but {verdict.missing}"
    windows = ""
    if verdict.every_s is not None:
        windows = f", held in {verdict.windows_held} of {verdict.windows} windows"
    return f"{bound}, but it was {_value(verdict)}{windows}"


def _value(verdict: Verdict) -> str:
    time = Bounded.of(verdict.key).time
    return f"{plain(verdict.value, 4)} s" if time else f"{percent(verdict.value)} %"


def _made(run: Run) -> Made:
    manifest = run.manifest
    given = ", ".join(f"{path} was {text}" for path, text in run.given)
    command = shlex.join(["fedsim", "run", "scenario.yaml", "--seed", str(run.seed)])
    if given:
        command = f"No command gives this run again, as objects were given in Python: {given}."
    facts = {"seed": str(run.seed), "digest of its tables": run.digest}
    return Made(run.scenario_yaml, command, facts, manifest["versions"], repeats=not given)


def _changes(run: Run, warnings: Sequence[str]) -> Iterator[str]:
    yield (
        f"Another draw: this is one run with the seed {run.seed}. With other seeds requests come "
        "at other times, and every figure moves; fedsim compare repeats the run and gives "
        "intervals."
    )
    yield from _margins(run)
    yield from _few(run)
    if run.figures:
        yield f"Other inputs than these. {inputs_in_words(run.figures)}"
    yield from of_warnings(warnings)


def _margins(run: Run) -> Iterator[str]:
    """Yield how far the bounds are from turning: the missed ones, and the tightest held one."""
    known = [each for each in run.verdicts() if math.isfinite(each.value)]
    beyond = {id(each): _excess(each) for each in known}
    missed = sorted((e for e in known if not e.held), key=lambda each: -beyond[id(each)])
    for each in missed[:_MOST_BOUNDS]:
        yield f"{_begun(_bound(each))} is missed by {_distance(each)}: it was {_value(each)}."
    held = [each for each in known if each.held]
    if held:
        tightest = max(held, key=lambda each: beyond[id(each)])
        yield (
            f"The tightest bound that was held is {_bound(tightest)}: it was {_value(tightest)}, "
            f"{_distance(tightest)} from missing it."
        )


def _bound(verdict: Verdict) -> str:
    return in_words(verdict.key, verdict.limit, verdict.stream)


def _begun(text: str) -> str:
    """Return a text as a sentence begins; the names of times stay."""
    return text if text.startswith(("ttft", "tpot")) else f"{text[:1].upper()}{text[1:]}"


def _excess(verdict: Verdict) -> float:
    """Return by how much a value exceeds its limit, or what fails exceeds what may, as a share."""
    if Bounded.of(verdict.key).time:
        return verdict.value / verdict.limit - 1.0
    may = 1.0 - verdict.limit
    return (1.0 - verdict.value) / may - 1.0 if may > 0.0 else verdict.limit - verdict.value


def _distance(verdict: Verdict) -> str:
    if Bounded.of(verdict.key).time:
        return f"{100.0 * abs(verdict.value / verdict.limit - 1.0):.3g} % of the limit"
    return f"{plain(100.0 * abs(verdict.value - verdict.limit))} percentage points"


def _few(run: Run) -> Iterator[str]:
    """Yield which percentiles of the objective rest on few requests."""
    for each in run.verdicts():
        share = percentile_of(each.objective)
        if share is None or each.missing:
            continue
        table = run.summary() if each.stream is None else run.summary("stream").loc[[each.stream]]
        count = float((table["requests"] * table["success_rate"].fillna(0.0)).sum())
        if belief(count, share) != "enough":
            yield (
                f"A longer run: {_bound(each)} rests on {count:,.0f} successful requests, of which "
                f"{max(1.0, count * (1.0 - share)):,.0f} are beyond the percentile."
            )
