"""The digest changes with any bit of the tables, and with nothing else."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fedsim.results.digest import DIGESTED, digest
from fedsim.results.tables import NAMES, Tables
from fedsim.world.observer import NodeInfo
from tests.fake_world import FakeWorld, directory


@cache
def recorded() -> Tables:
    """Return the tables of a short run."""
    return FakeWorld(duration_s=60.0, outage_s=(20.0, 30.0)).record().tables()


def tables(**changes: pd.DataFrame) -> Tables:
    """Return the tables of a short run, some of them exchanged."""
    frames = {name: recorded()[name] for name in NAMES} | changes
    return Tables({name: partial(frame.copy, deep=False) for name, frame in frames.items()})


def test_equal_runs_have_equal_digests() -> None:
    """The same calls give the same digest, also after travelling to another process."""
    recorded = FakeWorld(duration_s=60.0).record().tables()

    assert digest(recorded) == digest(FakeWorld(duration_s=60.0).record().tables())
    assert digest(pickle.loads(pickle.dumps(recorded))) == digest(recorded)
    assert len(digest(recorded)) == 32


def _next_float(values: pd.Series) -> pd.Series:
    changed = values.to_numpy(copy=True)
    changed[3] = np.nextafter(changed[3], np.inf)
    return pd.Series(changed)


def _missing(values: pd.Series) -> pd.Series:
    changed = values.copy()
    changed.iloc[3] = None
    return changed


def _swap(values: pd.Series) -> pd.Series:
    changed = values.copy()
    changed.iloc[[0, 1]] = changed.iloc[[1, 0]].to_numpy()
    return changed


CHANGES: list[tuple[str, str, Callable[[pd.Series], pd.Series]]] = [
    ("requests", "latency_s", _next_float),
    ("requests", "queue_wait_s", _missing),
    ("requests", "prompt_tokens", _missing),
    ("requests", "node", _missing),
    ("requests", "node", _swap),
    ("requests", "request_id", _swap),
    ("attempts", "hedge", lambda values: ~values),
    ("attempts", "attempt", lambda values: values + 1),
    ("events", "detail", _missing),
    ("events", "after", _swap),
]


@pytest.mark.parametrize(("table", "column", "change"), CHANGES)
def test_any_change_shows(table: str, column: str, change: Any) -> None:
    """One bit, one missing value or one exchange of two values gives another digest."""
    before = tables()
    frame = before[table].assign(**{column: change(before[table][column])})

    assert digest(tables(**{table: frame})) != digest(before)


@pytest.mark.parametrize("table", DIGESTED)
def test_a_row_less_shows(table: str) -> None:
    """A table cut short gives another digest."""
    before = tables()

    assert digest(tables(**{table: before[table].iloc[:-1]})) != digest(before)


def test_what_does_not_count() -> None:
    """Samples of nodes, and names that no row mentions, leave a digest as it is."""
    names = directory()
    spare = NodeInfo("spare-0", "spare", "ap-south", 1)
    before = digest(FakeWorld(duration_s=20.0, outage_s=None).record().tables())
    recorder = FakeWorld(duration_s=20.0, outage_s=None, sample_every_s=5.0).record()
    recorder.rows["requests"].names.directory = replace(names, nodes=(*names.nodes, spare))

    assert digest(recorder.tables()) == before


def test_all_nans_are_one() -> None:
    """A NaN's sign and payload do not show: they differ between machines."""
    frame = tables()["requests"]
    odd = frame["ttft_s"].to_numpy(copy=True)
    odd[0] = np.nan
    negative = odd.copy()
    negative[0] = -np.nan
    assert negative[:1].tobytes() != odd[:1].tobytes()

    one = tables(requests=frame.assign(ttft_s=odd))
    other = tables(requests=frame.assign(ttft_s=negative))

    assert digest(one) == digest(other)
