"""How far a study is: counts, speed and time left, for callbacks, terminals and notebooks."""

from __future__ import annotations

import math
import re
import sys
from types import SimpleNamespace

import pytest

import fedsim
from fedsim.cli.progress import progress_bar
from fedsim.studies.notebook import notebook_bar
from fedsim.studies.progress import Meter, Progress
from fedsim.studies.runset import RunSet
from tests import small_scenario


def test_speed_and_time_left():
    """What the directory had costs no time; before anything is done, nothing is known."""
    progress = Progress(30.0, 50, failed=1, found=10, wall_s=40.0)
    assert progress.per_second == 0.5
    assert progress.left_s == 40.0
    assert str(progress) == "30 of 50 runs, 1 failed, 0.5/s, 0:40 left"
    assert str(Progress(50, 50, wall_s=3.0)) == "50 of 50 runs"
    assert str(Progress(10, 50, found=10, wall_s=0.1)) == "10 of 50 runs"
    assert math.isnan(Progress(0.0, 50, wall_s=1.0).left_s)
    assert Progress(1, 3601, wall_s=1.0).left == "1:00:00 left"


def test_rounds_add_up():
    """What is asked for later is counted on top of what ended before."""
    told: list[Progress] = []
    meter = Meter(told.append)
    meter.expect(4, found=1)
    meter(0)
    meter(3)
    meter.failed += 1
    meter.expect(2, found=1)
    meter(0)
    meter(1)
    assert [(each.done, each.runs, each.found) for each in told] == [
        (1, 4, 1),
        (4, 4, 1),
        (5, 6, 2),
        (6, 6, 2),
    ]
    assert [each.failed for each in told] == [0, 0, 1, 1]


def test_the_start_of_a_worker_is_no_speed(monkeypatch):
    """The clock begins when the first run does."""
    now_s = iter([100.0, 130.0, 131.0])
    monkeypatch.setattr("fedsim.studies.progress.time.perf_counter", lambda: next(now_s))
    told: list[Progress] = []
    meter = Meter(told.append, runs=4)
    meter.ended(2.0)
    meter.ended(9.0)
    meter(1)
    assert told[0].wall_s == 3.0


@pytest.fixture(scope="module")
def scenario(tmp_path_factory):
    """The small scenario: two strategies."""
    return fedsim.load(small_scenario.write(tmp_path_factory.mktemp("progress")))


class Display:
    """Stands in for IPython's ``display``, and for its handle."""

    def __init__(self):
        self.drawn = []

    def __call__(self, data, *, raw, display_id):
        """Show something new."""
        assert raw
        assert display_id
        self.drawn.append(data)
        return self

    def update(self, data, *, raw):
        """Replace what is shown."""
        assert raw
        self.drawn.append(data)


def notebook(monkeypatch, *, kernel):
    """Put an IPython in place; it has a kernel where it serves a notebook."""
    display = Display()
    shell = SimpleNamespace(kernel=kernel)
    ipython = SimpleNamespace(get_ipython=lambda: shell, display=SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    return display


def test_a_notebook_shows_a_bar_by_itself(scenario, monkeypatch):
    """A comparison draws it, and leaves it at the end; a callback stands in its place."""
    display = notebook(monkeypatch, kernel=object())
    fedsim.compare(scenario, replications=2, workers=1)
    first, last = display.drawn[0], display.drawn[-1]
    assert first["text/plain"] == "0 of 4 runs"
    assert last["text/plain"] == "4 of 4 runs"
    assert '<progress value="4.00" max="4">' in last["text/html"]
    display.drawn.clear()
    told: list[Progress] = []
    fedsim.compare(scenario, replications=1, workers=1, progress=told.append)
    assert not display.drawn
    assert (told[-1].done, told[-1].runs, told[-1].failed) == (2, 2, 0)


def test_a_terminal_shows_failures_and_the_time_left(monkeypatch, capsys):
    """The bar is on standard error, in words next to it."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    with progress_bar(quiet=False) as report:
        report(Progress(12.0, 50, failed=1, wall_s=4.0))
    out, err = capsys.readouterr()
    assert not out
    assert "24 % 12 of 50 runs, 1 failed, 3/s, 0:13 left" in re.sub(r"\x1b\[[0-9;?]*\w", "", err)
    with progress_bar(quiet=True) as report:
        report(Progress(12.0, 50))
    assert capsys.readouterr() == ("", "")


def test_outside_a_notebook_nothing_is_shown(scenario, monkeypatch, capsys):
    """Neither IPython in a terminal nor plain Python prints anything."""
    display = notebook(monkeypatch, kernel=None)
    assert notebook_bar() is None
    monkeypatch.delitem(sys.modules, "IPython")
    assert notebook_bar() is None
    with RunSet(scenario, workers=1):
        pass
    assert not display.drawn
    assert capsys.readouterr() == ("", "")
