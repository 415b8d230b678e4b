"""Why the search of a plan or a headroom ended before its end, and how to go on with it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from fedsim.results.rundir import SCENARIO
from fedsim.studies.repeating import study_command

if TYPE_CHECKING:
    from fedsim.studies.store import Store

UNFINISHED = "the search is not finished"


def missing_in_words(store: Store) -> str:
    """Return how many runs a directory lacks, and the command that makes them."""
    planned, folder = store.planned(), store.directory
    missing = sum(store.result(run) is None for run in planned)
    text = f"{missing:,} of {len(planned):,} runs are missing: {UNFINISHED}"
    if not missing:
        text = f"The {len(planned):,} runs that were begun are done, and {UNFINISHED}"
    command = study_command(str(folder / SCENARIO), store.manifest, planned)
    if not command:
        return f"{text}; repeat it in Python with directory={str(folder)!r}"
    return f"{text}; repeat {command} --out {shlex.quote(str(folder))}"


def spent_in_words(budget: int, first_round: int) -> str:
    """Return what became of a budget.

    Args:
        budget: The most runs that there may be.
        first_round: Runs of the first round, where the budget has not even so many; else 0.
    """
    text = f"the budget of {budget:,} run{'' if budget == 1 else 's'} is"
    if first_round:
        return f"{text} less than one round of {first_round:,} runs"
    return f"{text} spent"


def more_in_words(first_round: int) -> str:
    """Return what to do about a budget, as the beginning of a sentence."""
    return f"Give plan.budget at least {first_round:,} runs" if first_round else "Raise plan.budget"
