"""What is said of a load that does not come, or looks mistaken."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsim.scenario.load import load
from fedsim.scenario.load_notes import load_facts, load_notes
from fedsim.scenario.offered_load import OfferedLoad
from tests.conftest import ROOT
from tests.unit.scenario.writing import SMALLEST, loaded, write

TENANTS = {"acme": {"share": 1}, "globex": {"share": 0}}
OWN = {
    "acme": {"arrivals": {"process": "poisson", "rate": "1/s"}},
    "globex": {
        "arrivals": {"process": "spike", "rate": "1/s", "at": "1h", "lasts": "1s", "factor": 3}
    },
}
STEPS = {
    "process": "steps",
    "steps": [
        {"at": "0s", "rate": "1/s"},
        {"at": "1min", "rate": "2/s"},
        {"at": "20min", "rate": "3/s"},
    ],
}


def noted(folder: Path, overrides: dict[str, object]) -> list[str]:
    """Return the warnings of a run of ten minutes."""
    return load_notes(OfferedLoad(loaded(folder, SMALLEST, overrides)))


def replayed(folder: Path, rows: str, **settings: object) -> dict[str, object]:
    """Return the overrides that replay a trace with *rows* of times."""
    text = "".join(f"{row},10,10\n" for row in rows.split())
    write(folder, "time,prompt_tokens,output_tokens\n" + text, "rows.csv")
    return {"workload.chat.arrivals": {"process": "trace", "file": "rows.csv", **settings}}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "arrivals",
            {"process": "spike", "rate": "2/s", "at": "20min", "lasts": "1min", "factor": 3},
            "The spike of chat at 20min comes after the end.",
        ),
        ("arrivals", STEPS, "Steps of chat do not happen in the run: those at 20min."),
        (
            "arrivals",
            {"process": "diurnal", "rate": "2/s"},
            "The peak of chat, at 14h of its day, lies outside of the run.",
        ),
        (
            "arrivals",
            {"process": "poisson", "rate": "1/h"},
            "chat hardly sends anything: 0.17 arrivals are expected in the run.",
        ),
        ("origins", {"us": 1, "eu": 0}, "No request of chat comes from eu: its weight is 0."),
        ("tenants", TENANTS, "No request of chat is of globex: its share is 0."),
    ],
)
def test_what_never_comes_is_said(tmp_path: Path, path: str, value: object, message: str):
    """A scenario that asks for what does not happen in the run is told so."""
    more: dict[str, object] = {
        "regions.eu": {},
        "network.between": {"us/eu": "80ms"},
        f"workload.chat.{path}": value,
    }

    assert noted(tmp_path, more) == [message]


def test_tenants_with_arrivals_of_their_own(tmp_path: Path):
    """Their curves are looked at too."""
    text = SMALLEST.replace("arrivals: {process: poisson, rate: 2/s}", "")
    scenario = loaded(tmp_path, text, {"workload.chat.tenants": OWN})

    assert load_notes(OfferedLoad(scenario)) == [
        "The spike of globex in chat at 1h comes after the end."
    ]


def test_a_peak_that_comes_at_some_origin_is_a_peak(tmp_path: Path):
    """Local time counts: it is two in the afternoon where the offset says so."""
    arrivals = {"process": "diurnal", "rate": "2/s", "utc_offsets": {"us": "835min"}}

    assert noted(tmp_path, {"workload.chat.arrivals": arrivals}) == []


def test_trace_that_ends_before_the_run(tmp_path: Path):
    """What remains without arrivals is said, at the speed at which it is replayed."""
    rows = replayed(tmp_path, "0 100.5 200 300", speed=2)

    assert noted(tmp_path, rows) == [
        "The trace of chat ends at 150s: nothing of it arrives in the last 450s."
    ]


def test_times_of_a_trace_are_rounded(tmp_path: Path):
    """A remedy needs four digits of a time, not all seventeen of the difference of two."""
    rows = replayed(tmp_path, "0 100.5 322.8329999", speed=3)
    assert noted(tmp_path, rows) == [
        "The trace of chat ends at 107.6s: nothing of it arrives in the last 492.4s."
    ]

    (note,) = noted(tmp_path, replayed(tmp_path, "0 700001 2000001"))
    assert note.startswith("The trace of chat spans 2000000s, with a request every 1e+06 s")


def test_times_that_seem_to_be_milliseconds(tmp_path: Path):
    """A request every 500 s is doubted where no time has a fraction."""
    (note,) = noted(tmp_path, replayed(tmp_path, "0 500 1000 1500"))

    assert "with a request every 500 s: if its times are no seconds" in note
    assert noted(tmp_path, replayed(tmp_path, "0 500.5 1000 1500")) == []


def test_facts_of_a_trace(tmp_path: Path):
    """What is spread, left out or moved before it is replayed is said."""
    more = [
        load_facts(loaded(tmp_path, SMALLEST, rows).world.streams[0].traffic, 2.5)
        for rows in (
            replayed(tmp_path, "0 1 2"),
            replayed(tmp_path, "0 0 1 1 2 2", spread="1s"),
            replayed(tmp_path, "0 1 2", rate_factor=2),
            replayed(tmp_path, "0 1 2", rate_factor=0.5),
        )
    ]

    assert more[0] == []
    assert more[1] == ["chat: requests of one recorded time are spread over 1 s."]
    assert more[2][0].startswith("chat: each request is replayed 2 times; what all clients share")
    assert more[3] == ["chat: which requests are left out is drawn from the seed."]


def test_requests_after_the_end_of_the_run(tmp_path: Path):
    """What a run is too short for is counted, at the speed of the replay."""
    rows = replayed(tmp_path, "0 1 2 3 4", speed=1.25)
    traffic = loaded(tmp_path, SMALLEST, rows).world.streams[0].traffic

    assert load_facts(traffic, 3.3) == []
    assert load_facts(traffic, 3.0) == [
        "chat: 1 of the trace's 5 requests come after the end of the run and are not sent; "
        "the last would arrive at 3.2s."
    ]


@pytest.mark.parametrize("name", ["day-of-traffic", "conversations", "engine-chat", "minimal"])
def test_scenarios_of_the_repository_have_nothing_to_be_said(name: str):
    """They ask for nothing that does not come."""
    assert load_notes(OfferedLoad(load(ROOT / "scenarios" / f"{name}.yaml"))) == []
