"""``fedsim check``: is the scenario right, what is in it, and can its load be served."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from fedsim.cli.failures import INPUT_WRONG, reported
from fedsim.cli.options import Json, Overrides, Quiet, ScenarioPath, parsed
from fedsim.cli.output import print_json

if TYPE_CHECKING:
    from fedsim.scenario.offered_load import OfferedLoad
    from fedsim.scenario.spec import Scenario


def check(
    scenario: ScenarioPath, overrides: Overrides = None, quiet: Quiet = False, as_json: Json = False
) -> None:
    """Check a scenario and say what it contains. Status 2 if its load can never be served."""
    with reported(), _uncollected():
        from fedsim.scenario.capacity import capacity_problems
        from fedsim.scenario.deadlines import deadline_notes
        from fedsim.scenario.effects import without_effect
        from fedsim.scenario.expected import expected_problems
        from fedsim.scenario.load import load
        from fedsim.scenario.load_notes import load_notes
        from fedsim.scenario.offered_load import OfferedLoad
        from fedsim.scenario.oversized import oversized_problems
        from fedsim.scenario.pool_keys import keys_without_effect
        from fedsim.scenario.scalers import scaler_notes
        from fedsim.scenario.undecided import undecided_notes

        loaded = load(scenario, parsed(overrides))
        lacking = _find_plugins(loaded)
        offered = OfferedLoad(loaded)
        problems = [
            *expected_problems(loaded),
            *capacity_problems(offered),
            *oversized_problems(offered),
        ]
        warnings = [
            *keys_without_effect(loaded),
            *without_effect(loaded),
            *scaler_notes(loaded),
            *deadline_notes(offered),
            *undecided_notes(offered),
            *load_notes(offered),
            *lacking,
        ]
        if as_json:
            said = {"problems": [str(problem) for problem in problems], "warnings": warnings}
            print_json(_json(offered) | said)
        elif not quiet:
            from fedsim.cli.terminal import show
            from fedsim.report.check import check_report

            show(check_report(offered, warnings, served=not problems))
        for problem in problems:
            typer.echo(str(problem), err=True)
        if problems:
            raise typer.Exit(INPUT_WRONG)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the cyclic garbage collector from running, which would search what imports made."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.freeze()  # else what was made meanwhile counts as young, and is searched at once
            gc.unfreeze()
            gc.enable()


def _find_plugins(scenario: Scenario) -> list[str]:
    """Import the plug-ins that the scenario names, those that it compares among them.

    Returns:
        What they go without because of methods that they lack, as sentences.

    Raises:
        PlugInError: One does not exist.
    """
    from fedsim.scenario.plugins import names_plugins
    from fedsim.scenario.scalers import found_scalers

    scenarios = [scenario]
    if scenario.compare is not None:
        from fedsim.studies.variants import compared

        scenarios += compared(scenario)
    losses: dict[str, None] = {}
    for each in scenarios:
        found_scalers(each)
        if names_plugins(each.federation):
            from fedsim.scenario.assembly import gateway_factory

            losses |= dict.fromkeys(gateway_factory(each).lacking())
    return list(losses)


def _json(offered: OfferedLoad) -> dict[str, Any]:
    from dataclasses import asdict

    from fedsim.scenario.capacity import capability_table, capacity_table
    from fedsim.scenario.scalers import scaled_pools

    scenario = offered.scenario
    pools, loads = (
        [asdict(row) | {"capacity_rps": row.capacity_rps} for row in table(offered)]
        for table in (capacity_table, capability_table)
    )
    return {
        "scenario": scenario.name,
        "seed": scenario.seed,
        "duration_s": scenario.duration_s,
        "warmup_s": scenario.warmup_s,
        "pools": pools,
        "capabilities": loads,
        "scalers": [
            {
                "pool": each.pool.name,
                "decided_by": each.scaler.decided_by,
                "min": each.scaler.min,
                "max": each.scaler.max,
                "usd_per_hour": each.usd_per_hour,
            }
            for each in scaled_pools(scenario)
        ],
        "figures": [asdict(figure) for figure in scenario.figures],
        "resolved": dict(scenario.resolved),
    }
