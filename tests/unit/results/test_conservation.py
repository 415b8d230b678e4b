"""Tables that contradict themselves are found out, whatever the contradiction."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache, partial
from typing import Any

import pandas as pd
import pytest

from fedsim.errors import InternalError
from fedsim.results import conservation
from fedsim.results.tables import NAMES, Tables
from tests.fake_world import FakeWorld


@cache
def recorded() -> Tables:
    """Return the tables of a run with retries and failures."""
    return FakeWorld(duration_s=60.0, outage_s=(20.0, 30.0)).record().tables()


def tables(**changes: pd.DataFrame) -> Tables:
    """Return a run's tables, some of them exchanged."""
    frames = {name: recorded()[name] for name in NAMES} | changes
    return Tables({name: partial(frame.copy, deep=False) for name, frame in frames.items()})


def broken(table: str, row: int, **values: Any) -> Tables:
    """Return tables of which one row has other values."""
    frame = tables()[table].copy()
    for column, value in values.items():
        frame.loc[row, column] = value
    return tables(**{table: frame})


def test_a_sound_run() -> None:
    """A run with retries and failures has no problem."""
    assert conservation.problems(tables()) == []
    conservation.require(tables())


CONTRADICTIONS = [
    ("requests", {"request_id": "chat-1"}, "the id is not unique"),
    ("requests", {"outcome": None}, "there is no outcome"),
    ("requests", {"arrived_s": 0.0}, "it arrived before its predecessor"),
    ("requests", {"finished_s": -1.0}, "it finished before it arrived"),
    ("requests", {"outcome": "unfinished"}, "it is finished without an outcome, or the reverse"),
    ("requests", {"finished_s": math.nan}, "it is finished without an outcome, or the reverse"),
    ("requests", {"queue_wait_s": -0.1}, "its queue_wait_s is negative"),
    ("requests", {"service_s": 1e3}, "its parts are longer than its latency"),
    (
        "requests",
        {"ttft_s": 1e3},
        "its first token came before it, or after its answer",
    ),
    ("requests", {"ttft_s": -1e-3}, "its first token came before it, or after its answer"),
    ("requests", {"tpot_s": 1.0}, "its last token came after its answer"),
    ("requests", {"cached_tokens": 1001}, "more of its prompt was cached than there is"),
    ("requests", {"attempts": 5}, "its attempts are not in their table"),
    ("requests", {"node": "ap-chat-3"}, "no attempt on its node succeeded"),
    ("attempts", {"request_id": "chat-99999"}, "it belongs to no request"),
    ("attempts", {"started_s": 0.0}, "it started before its request arrived"),
    ("attempts", {"started_s": 1e4}, "it started after its request was finished"),
    ("attempts", {"finished_s": 0.0}, "it finished before it started"),
    ("attempts", {"outcome": "unfinished"}, "it is finished without an outcome, or the reverse"),
    ("node_totals", {"wasted_slot_s": 1e9}, "more was wasted than used"),
    ("node_totals", {"window_busy_slot_s": 1e9}, "the window was busier than the run"),
    ("node_totals", {"busy_slot_s": 0.0}, "it served longer than it was busy"),
]


@pytest.mark.parametrize(("table", "values", "sentence"), CONTRADICTIONS)
def test_a_contradiction(table: str, values: dict[str, Any], sentence: str) -> None:
    """Each contradiction is found, counted and placed."""
    found = conservation.problems(broken(table, 7, **values))

    assert any(problem.endswith(f": {sentence}") for problem in found), found
    assert any(problem.startswith(f"1 rows of {table}, the first 7") for problem in found)


def test_require() -> None:
    """A contradiction is a bug of ours, and every one of them is in the message."""
    with pytest.raises(InternalError, match="contradict themselves: 1 rows of requests"):
        conservation.require(broken("requests", 7, queue_wait_s=-0.1))


class TestLittlesLaw:
    def test_by_hand(self) -> None:
        """Two in the system for a second and one for two make four request-seconds."""
        requests = pd.DataFrame({"arrived_s": [0.0, 1.0], "finished_s": [2.0, 3.0]})

        law = conservation.littles_law(requests, 5.0)

        assert law == conservation.LittlesLaw(Fraction(4), Fraction(4))

    def test_exact_where_floats_are_not(self) -> None:
        """It holds to the last bit, also for times that no sum of floats could represent."""
        run = FakeWorld(duration_s=60.0).run()

        law = conservation.littles_law(run.requests, run.end_s)

        assert law.holds
        assert Fraction(float(law.area_s)) != law.area_s

    def test_unfinished_requests_stay(self) -> None:
        """What never finished is in the system to the end."""
        requests = pd.DataFrame({"arrived_s": [1.0, 2.0], "finished_s": [math.nan, 3.0]})

        law = conservation.littles_law(requests, 11.0)

        assert law.holds
        assert law.area_s == 11
