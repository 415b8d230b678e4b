"""Charts go into axes and figures that are given, and into files of papers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fedsim.charts.comparison import differences, ranking
from fedsim.charts.figure import COLUMN_IN, WIDTH_IN
from fedsim.charts.plan import costs
from fedsim.charts.sweep import curves, heat_map
from fedsim.results.run import Run
from tests.fake_world import FakeWorld

MEANS = pd.DataFrame({"strategy": ["a", "b"], "mean": 1.0, "low": 0.5, "high": 2.0})
POINTS = pd.DataFrame(
    {"line": ["x", "y"] * 2, "at": [1, 1, 2, 2], "mean": 1.0, "low": 0.5, "high": 2.0}
)
FLEETS = pd.DataFrame(
    {"cost": [1.0], "share": 0.9, "low": 0.8, "high": 1.0, "verdict": "held", "name": ""}
)


@pytest.fixture(scope="module")
def run() -> Run:
    """A run with an outage and a slow node."""
    return FakeWorld(duration_s=60.0, outage_s=(20.0, 30.0)).run()


@pytest.fixture
def ax() -> Axes:
    """The left one of two axes."""
    axes: Axes = Figure().subplots(1, 2)[0]
    return axes


class TestAxes:
    @pytest.mark.parametrize("name", ["latency", "states"])
    def test_of_a_run(self, run: Run, ax: Axes, name: str) -> None:
        """A chart of one panel goes into the axes, and adds none."""
        self.check(getattr(run.plot, name)(ax=ax), ax)

    def test_of_tables(self, ax: Axes) -> None:
        """So do those of comparisons, sweeps and plans."""
        changes = MEANS.assign(difference=1.0, verdict="worse")
        for draw in (
            lambda: ranking(MEANS, label="goodput", ax=ax),
            lambda: differences(changes, baseline="c", label="goodput", ax=ax),
            lambda: curves(POINTS, label="goodput", key="rate", ax=ax),
            lambda: costs(FLEETS, label="USD/h", title="The cheapest fleet", ax=ax),
        ):
            ax.clear()
            self.check(draw(), ax)

    def test_a_scale_of_colours_stands_next_to_them(self, ax: Axes) -> None:
        """A heat map adds axes for its scale alone."""
        chart = heat_map(POINTS, label="goodput", keys=["rate", "strategy"], ax=ax)

        assert len(chart.axes) == 3
        assert ax.get_title(loc="left")

    def test_nothing_to_draw(self, ax: Axes) -> None:
        """A sentence takes the place of the chart."""
        ranking(MEANS.assign(mean=np.nan), label="goodput", ax=ax)

        assert ax.texts[0].get_text() == "No strategy has a value of goodput."

    def check(self, chart: Figure, ax: Axes) -> None:
        """Check that the axes have the chart, with its headings, and that no others came."""
        assert chart is ax.figure
        assert len(chart.axes) == 2
        assert len(ax.get_title(loc="left")) > 15
        assert ax.has_data()


class TestFigures:
    @pytest.mark.parametrize("name", ["timeline", "utilization"])
    def test_of_a_run(self, run: Run, name: str) -> None:
        """A chart of several panels goes into a figure or a part of one."""
        whole = Figure()
        left, right = np.ravel(np.array(whole.subfigures(1, 2), dtype=object))

        chart = getattr(run.plot, name)(figure=left)

        assert chart is whole
        assert len(left.axes) >= 3
        assert not right.axes
        own = getattr(run.plot, name)(figure=Figure(figsize=(4.0, 3.0)))
        assert own.get_size_inches().tolist() == [4.0, 3.0]
        assert own.get_suptitle()


class TestFiles:
    @pytest.mark.parametrize("ending", ["pdf", "svg"])
    def test_of_papers(self, tmp_path: Path, ending: str) -> None:
        """They are as wide as a column of text, twice the same, and leave the chart as it was."""
        chart = ranking(MEANS, label="share of requests served within the objective", unit="%")
        texts = []
        for name in ("one", "two"):
            chart.savefig(tmp_path / f"{name}.{ending}")
            texts.append((tmp_path / f"{name}.{ending}").read_bytes())

        box = r"/MediaBox \[ 0 0 ([\d.]+)" if ending == "pdf" else r'width="([\d.]+)pt"'
        found = re.search(box.encode(), texts[0])
        assert found is not None
        assert float(found[1]) == pytest.approx(72.0 * COLUMN_IN)
        assert texts[0] == texts[1]
        assert chart.get_size_inches()[0] == WIDTH_IN
        assert "\n" not in chart.texts[0].get_text()

    def test_titles_are_broken(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A title that is too long for the column has lines."""
        chart = ranking(MEANS, label="share of requests served within the objective", unit="%")
        seen = []
        monkeypatch.setattr(
            Figure, "savefig", lambda self, *_, **__: seen.append(self.texts[0].get_text())
        )

        chart.savefig(tmp_path / "paper.pdf")

        assert seen[0].count("\n") == 1
