"""Faults from a CSV file: they mean what a person would have written into the scenario."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsim.scenario.load import load
from fedsim.scenario.simulate import simulate
from fedsim.studies.cells import Cell, Variants
from tests.unit.scenario.writing import SMALLEST, problems, write

HEADER = "time,target,kind,end"
SCENARIO = f"{SMALLEST}start: 2026-11-03T14:05Z\nfaults: {{file: incident.csv}}\n"


def wrong(folder: Path, *rows: str, scenario: str = SCENARIO) -> list[str]:
    """Return the problems of a scenario with a file of *rows*."""
    write(folder, "\n".join(rows) + "\n", "incident.csv")
    return problems(folder, scenario)


def test_rows_are_faults(tmp_path: Path):
    """A file gives the run, bit for bit, that the same faults give in the scenario."""
    rows = [
        f"{HEADER},factor,batch,pool",
        "30,chat-0,slowdown,90,5,,",
        "2026-11-03T15:07+01:00,us,outage,2026-11-03 14:08:30Z,,,",
        "240.5,,rolling_deployment,,,1,chat",
    ]
    write(tmp_path, "\n".join(rows), "incident.csv")
    listed = """
      - {kind: slowdown, node: chat-0, at: 30s, lasts: 1min, factor: 5}
      - {kind: outage, region: us, at: 2min, lasts: 90s}
      - {kind: rolling_deployment, pool: chat, at: 240.5s, batch: 1}
    """
    by_hand = load(write(tmp_path, f"{SMALLEST}faults:{listed}"))
    from_file = load(write(tmp_path, SCENARIO))

    assert from_file.resolved["faults"] == by_hand.resolved["faults"]
    assert from_file.world == by_hand.world
    assert simulate(from_file).digest == simulate(by_hand).digest


def test_files_stand_among_faults(tmp_path: Path):
    """An entry of the list may be a file; its rows take its place, the others stay as they are."""
    write(tmp_path, f"{HEADER}\n30,us,outage,60\n45,chat,crash,50\n", "incident.csv")
    text = f"{SMALLEST}faults:\n- {{kind: drain, node: chat-0, at: 1s, lasts: 1s}}\n"
    after = "- {kind: drain, node: chat-0, at: 80s, lasts: 1s, factor: 2}\n"
    mixed = f"{text}- {{file: incident.csv}}\n"

    faults = load(write(tmp_path, mixed)).resolved["faults"]
    found = problems(tmp_path, mixed + after)

    assert isinstance(faults, list)
    assert [fault["kind"] for fault in faults] == ["drain", "outage", "crash"]
    assert len(found) == 1
    assert found[0].startswith("scenario.yaml:8:51: faults.3.factor: There is no key 'factor'")


def test_every_problem_has_its_place(tmp_path: Path):
    """All that is wrong is said at once, with line, column and what to do."""
    found = wrong(
        tmp_path,
        f"{HEADER},factor",
        "soon,chat-0,slowdown,90,5",
        "2026-11-03T14:06,chat-0,crash,2026-11-03T14:05:30Z,",
        "2026-11-03T14:04Z,chat-0,crash,90,",
        "30,chats,crsh,90,",
        "30,chat-0,crash,30,",
        "30,chat-0,crash,,",
        "30,chat-0,slowdown,90,fast",
        "30,chat-0,crash,90,5",
    )

    assert [text.partition(": faults")[0] for text in found] == [
        "incident.csv:2:1",
        "incident.csv:3:1",
        "incident.csv:4:1",
        "incident.csv:5:4",
        "incident.csv:5:10",
        "incident.csv:6:17",
        "incident.csv:7:1",
        "incident.csv:8:23",
        "incident.csv:9:20",
    ]
    assert "has no zone" in found[1]
    assert "Write 2026-11-03T14:06Z if it is UTC" in found[1]
    assert "before" in found[2] or "start earlier" in found[2]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((), "incident.csv has no rows of faults"),
        ((HEADER,), "incident.csv has no rows of faults"),
        (("when,what", "1,2"), "incident.csv:1:1: faults: There is no column time and kind."),
        ((HEADER, "1,us,outage,2,3"), "incident.csv:2:15: faults: The row has 5 cells"),
        ((f"{HEADER},end", "1,us,outage,2,3"), "csv:1:22: faults: There are two columns end."),
        ((f"{HEADER},at", "1,us,outage,2,3"), "csv:1:22: faults: The column at says what the col"),
        ((f"{HEADER},lasts", "1,us,outage,2,"), "csv:1:22: faults: The column lasts says what"),
        ((f"{HEADER},,", "1,us,outage,2,3,"), "csv:1:22: faults: The column has no name."),
        (("Time,Target,Kind,End", "1,us,outage,2"), "Write the names of columns in lower case"),
        ((HEADER.replace(",", ";"), "1;us;outage;2"), "commas instead of semicolons"),
        ((HEADER, '1,us,"out', 'age",2'), "csv:2:1: faults: The quotes in the line are not"),
        ((HEADER, f"{'1' * 200_000},us,outage,2"), "csv:2:1: faults: The line has 200,012 char"),
        ((HEADER, f"{'1' * 5_000},us,outage,2"), "csv:2:1: faults: The cell has 5,000 char"),
        ((f"{HEADER},pool", "1,chat,crash,2,chat"), "csv:2:16: faults.pool: The row has a pool in"),
    ],
)
def test_files_that_are_no_incidents(tmp_path: Path, rows: tuple[str, ...], message: str):
    """What is no table of faults is named with what to write."""
    found = wrong(tmp_path, *rows)

    assert len(found) == 1
    assert message in found[0]


def test_a_row_with_too_many_cells_hides_no_other(tmp_path: Path):
    """It is one problem of several, and empty cells after the last column are none."""
    found = wrong(tmp_path, f"{HEADER},", "1,us,outage,2,,3", "1,us,crsh,2,,", "1,us,outage,2,,,")

    assert [text.partition(": faults")[0] for text in found] == [
        "incident.csv:2:16",
        "incident.csv:3:6",
    ]


@pytest.mark.parametrize("year", ["0001", "1969", "2200", "9999"])
def test_years_of_no_clock_are_refused(tmp_path: Path, year: str):
    """Neither a start nor a time of a fault is in a year that traces and tables cannot hold."""
    text = f"{year}-12-31T23:59:59-00:00"
    rows = (HEADER, f"{text},us,outage,{text}")
    found = wrong(tmp_path, *rows, scenario=SCENARIO.replace("2026-11-03T14:05Z", f'"{text}"'))

    assert len(found) == 2
    assert all("is not in the years from 1970 to 2199. Correct the year." in each for each in found)


def test_a_missing_file_is_named(tmp_path: Path):
    """The place is that of the file's name in the scenario."""
    assert problems(tmp_path, SCENARIO) == [
        "scenario.yaml:6:16: faults.file: incident.csv cannot be read: No such file or directory. "
        "Correct the name; it is relative to the scenario."
    ]


def test_clock_without_start(tmp_path: Path):
    """A time of the clock needs a start, which may be given in any zone."""
    without = SCENARIO.replace("start: 2026-11-03T14:05Z\n", "")
    rows = (HEADER, "2026-11-03T14:06Z,us,outage,2026-11-03T14:07Z")

    found = wrong(tmp_path, *rows, scenario=without)
    assert len(found) == 1
    assert "the scenario does not say its start" in found[0]

    naive = SCENARIO.replace("14:05Z", "14:05")
    assert "has no zone" in wrong(tmp_path, *rows, scenario=naive)[0]
    zoned = SCENARIO.replace("14:05Z", "16:05+02:00")
    assert wrong(tmp_path, *rows, scenario=zoned) == []


def test_ids_of_runs_follow_the_file_and_not_the_start(tmp_path: Path):
    """A changed row is another run; another start, with the rows where they were, is the same."""

    def planned(end_s: int, start: str = "2026-11-03T14:05Z") -> str:
        write(tmp_path, f"{HEADER}\n30,us,outage,{end_s}\n", "incident.csv")
        scenario = load(write(tmp_path, SCENARIO.replace("2026-11-03T14:05Z", start)))
        return Variants(scenario).planned(Cell({})).id

    assert planned(60) != planned(61)
    assert planned(60) == planned(60, "2026-12-01T00:00Z")


def test_changes_are_made_in_the_file_as_written(tmp_path: Path):
    """Another start moves the faults of the clock; the resolved scenario stands alone."""
    write(tmp_path, f"{HEADER}\n2026-11-03T14:06Z,us,outage,2026-11-03T14:07Z\n", "incident.csv")
    scenario = load(write(tmp_path, SCENARIO))

    earlier = scenario.changed({"start": "2026-11-03T14:04Z"})
    elsewhere = load(write(tmp_path, scenario.to_yaml(), "resolved.yaml"))

    assert [fault.at_s for fault in scenario.world.faults] == [60.0]
    assert [fault.at_s for fault in earlier.world.faults] == [120.0]
    (tmp_path / "incident.csv").unlink()
    assert elsewhere.world == scenario.world
    assert elsewhere.start == scenario.start
