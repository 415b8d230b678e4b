"""``fedsim compare``: strategies against each other on the same requests and faults."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedsim.cli.failures import MISSED, reported
from fedsim.cli.options import (
    Dask,
    Fresh,
    Json,
    Out,
    Overrides,
    Quiet,
    Report,
    Seed,
    Workers,
    parsed,
)
from fedsim.cli.output import (
    present,
    print_json,
    repeat_command,
    result_directory,
    write_page,
)
from fedsim.cli.studying import run_study

if TYPE_CHECKING:
    from fedsim.document import Document
    from fedsim.scenario.spec import Scenario
    from fedsim.studies.comparison import Comparison

Replications = Annotated[
    int | None,
    typer.Option("--replications", min=1, metavar="N", help="Replications per strategy."),
]
Routers = Annotated[
    list[str] | None,
    typer.Option(
        "--router",
        metavar="[NAME=]ROUTER",
        help="A router to compare too: module:Class, git:REF:module:Class for that of another "
        "commit, or such as litellm/least-busy. Repeatable.",
    ),
]
Scenarios = Annotated[
    list[Path],
    typer.Argument(metavar="SCENARIO...", help="Scenario files.", show_default=False),
]
Markdown = Annotated[
    Path | None,
    typer.Option(
        "--markdown",
        metavar="FILE",
        help="Write the matrix of scenarios and strategies to FILE, for a pull request.",
    ),
]
Baseline = Annotated[
    str | None,
    typer.Option("--baseline", metavar="NAME", help="Baseline for the differences."),
]


def compare(
    scenarios: Scenarios,
    overrides: Overrides = None,
    replications: Replications = None,
    routers: Routers = None,
    baseline: Baseline = None,
    seed: Seed = None,
    out: Out = None,
    markdown: Markdown = None,
    fresh: Fresh = False,
    workers: Workers = None,
    dask: Dask = None,
    page: Report = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compare strategies and routers on the same seeds: ranking, differences, tables and charts.

    Of several scenarios a matrix is shown, and each has a folder of its name in DIR. With --out,
    what DIR has of the same comparison is not run again. Status 1 if a run failed, or if no
    strategy holds the objective of a scenario in every replication.
    """
    with reported():
        from fedsim.results.files import require_folder, write_file
        from fedsim.scenario.load import load

        changes, several = parsed(overrides), len(scenarios) > 1
        loaded = [load(path, changes).changed(seed=seed) for path in scenarios]
        _require_names(loaded)
        require_folder(markdown)
        more = tuple(_options(replications, routers, baseline))
        asked = {
            "routers": dict(map(_named, routers or [])),
            "replications": replications,
            "baseline": baseline,
        }
        how = {"fresh": fresh or out is None, "workers": workers, "dask": dask}
        parts = []
        for path, scenario in zip(scenarios, loaded, strict=True):
            to = out / scenario.name if out is not None and several else out
            directory = result_directory(to, scenario, "compare")
            repeat = repeat_command("compare", path, scenario.seed, overrides, to, *more)
            parts.append(_Part(scenario, directory, repeat))
        for part in parts:
            part.run(asked, how, silent=quiet or as_json)
            write_page(part.result, part.directory, wanted=page, silent=quiet or as_json)
        matrix = partial(_matrix, parts, _repeat(scenarios, seed, overrides, more, out, markdown))
        if markdown is not None:
            from fedsim.document import markdown as as_markdown

            write_file(markdown, as_markdown(matrix()))
        _present(parts, matrix, quiet=quiet, as_json=as_json)
        if any(part.missed for part in parts):
            raise typer.Exit(MISSED)


class _Part:
    """The comparison of one scenario.

    Args:
        scenario: The scenario.
        directory: Where it is written.
        repeat: The command that gives it again.
    """

    def __init__(self, scenario: Scenario, directory: Path, repeat: str) -> None:
        self.scenario, self.directory, self.repeat = scenario, directory, repeat

    def run(self, asked: Mapping[str, Any], how: Mapping[str, Any], *, silent: bool) -> None:
        """Run it and write it."""
        from fedsim.studies.cautions import load_warnings
        from fedsim.studies.compare import compare as run_comparison

        study = partial(run_comparison, self.scenario, **asked)
        self.result: Comparison = run_study(
            study, self.directory, self.repeat, silent=silent, **how
        )
        self.overloads = load_warnings(self.scenario)

    @property
    def missed(self) -> bool:
        """Whether a run failed, or no strategy holds the objective."""
        result = self.result
        return bool(result.failures or (self.scenario.slo is not None and not result.holding))

    def json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        from fedsim.studies.storage import comparison_json

        found = comparison_json(self.result)
        return found | {"warnings": [*self.overloads, *found["warnings"]]}


def _present(
    parts: Sequence[_Part], matrix: Callable[[], Document], *, quiet: bool, as_json: bool
) -> None:
    """Print one comparison as it is, and several as their matrix."""
    from fedsim.report.comparison import comparison_report

    if len(parts) == 1:
        (part,) = parts
        report = partial(comparison_report, part.result, part.overloads)
        present(part.directory, part.repeat, part.json, report, quiet=quiet, as_json=as_json)
    elif as_json:
        known = [
            {**each.json(), "directory": str(each.directory), "repeat": each.repeat}
            for each in parts
        ]
        print_json({"comparisons": known})
    elif quiet:
        typer.echo("\n".join(str(each.directory) for each in parts))
    else:
        from fedsim.cli.terminal import show

        show(matrix())
        typer.echo("\n".join(["", *(f"Written to {each.directory}/" for each in parts)]))


def _matrix(parts: Sequence[_Part], repeat: str) -> Document:
    """Return the matrix of comparisons."""
    from fedsim.report.matrix import matrix_report

    overloads = [f"{each.scenario.name}: {text}" for each in parts for text in each.overloads]
    return matrix_report([each.result for each in parts], overloads, repeat)


def _require_names(scenarios: Sequence[Scenario]) -> None:
    """Check that scenarios have names of their own; raises ``ResultsError``."""
    from fedsim.errors import ResultsError

    names = [each.name for each in scenarios]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        msg = f"two scenarios are called {twice!r}, and each is written under its name; rename one"
        raise ResultsError(msg)


def _repeat(
    scenarios: Sequence[Path],
    seed: int | None,
    overrides: Sequence[str] | None,
    more: Sequence[str],
    out: Path | None,
    markdown: Path | None,
) -> str:
    """Return the command that gives the matrix again."""
    words = ["fedsim", "compare", *map(str, scenarios)]
    for name, value in (("--seed", seed), ("--out", out), ("--markdown", markdown)):
        words += [] if value is None else [name, str(value)]
    for text in overrides or ():
        words += ["--set", text]
    return shlex.join([*words, *more])


def _named(router: str) -> tuple[str, str]:
    """Return the name and the text of a router: ``new=routers:Sticky``, or the text alone."""
    name, found, text = router.partition("=")
    return (name, text) if found and ":" not in name else (router, router)


def _options(
    replications: int | None, routers: list[str] | None, baseline: str | None
) -> Iterator[str]:
    """Yield the options of this command alone that a repetition needs."""
    if replications is not None:
        yield from ("--replications", str(replications))
    for router in routers or []:
        yield from ("--router", router)
    if baseline is not None:
        yield from ("--baseline", baseline)
