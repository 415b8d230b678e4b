"""Charts show what they are given, say so when there is nothing, and touch nothing global."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

from fedsim.charts.comparison import differences, ranking
from fedsim.charts.faults import lanes
from fedsim.charts.figure import PALETTE, Chart, colours
from fedsim.charts.latency import latency_distribution
from fedsim.charts.states import shares, states
from fedsim.charts.timeline import bin_width_s, tail_bins_s, timeline
from fedsim.charts.utilization import utilization
from fedsim.document import figure
from fedsim.results.plots import CHARTS as ALL_CHARTS
from fedsim.results.run import Run
from tests.fake_world import FakeWorld, directory

CHARTS = [name for name in ALL_CHARTS if name != "scaling"]
"""Those of a run without a scaler; ``test_scaling_chart.py`` has the other."""


@pytest.fixture(scope="module")
def run() -> Run:
    """A run with an outage and a slow node."""
    return FakeWorld(duration_s=200.0).run()


def texts(chart: Figure) -> list[str]:
    """Return everything that is written on a chart, legends and ticks included."""
    chart.draw_without_rendering()
    found = [text.get_text() for text in chart.texts]
    for axes in chart.axes:
        found += [text.get_text() for text in axes.texts]
        found += [axes.get_xlabel(), axes.get_ylabel()]
        found += [label.get_text() for label in axes.get_yticklabels() + axes.get_xticklabels()]
        legend = axes.get_legend()
        found += [text.get_text() for text in legend.get_texts()] if legend is not None else []
    return found


def stairs(axes: Axes) -> list[Any]:
    """Return values and edges of the steps drawn on axes."""
    return [patch.get_data() for patch in axes.patches if isinstance(patch, StepPatch)]


class TestAllCharts:
    @pytest.mark.parametrize("name", CHARTS)
    def test_headings(self, run: Run, name: str) -> None:
        """Each says what it shows, of which scenario, seed and how many requests."""
        title, subtitle, *_ = texts(getattr(run.plot, name)())

        assert len(title) > 20
        assert "made-up · round_robin · seed 1 · n = " in subtitle

    @pytest.mark.parametrize("name", CHARTS)
    def test_units(self, run: Run, name: str) -> None:
        """An axis of seconds says so, and every chart has a legend or a scale of colours."""
        chart = getattr(run.plot, name)()

        written = texts(chart)

        assert any("(s" in text for text in written)
        labelled = [
            axes for axes in chart.axes if axes.get_legend() or axes.get_label() == "<colorbar>"
        ]
        assert labelled

    @pytest.mark.parametrize("name", CHARTS)
    def test_nothing_happened(self, name: str) -> None:
        """Without data there is a sentence and no empty axes."""
        run = FakeWorld(duration_s=0.0, warmup_s=0.0, outage_s=None).run()

        chart = getattr(run.plot, name)()

        assert not chart.axes
        assert chart.texts[-1].get_text().endswith(".")

    @pytest.mark.parametrize("name", CHARTS)
    def test_shows_itself_in_a_notebook(self, run: Run, name: str) -> None:
        """A notebook gets a picture at half its density, so that it is sharp."""
        picture, size = getattr(run.plot, name)()._repr_png_()

        assert picture.startswith(b"\x89PNG")
        width = int.from_bytes(picture[16:20], "big")
        assert width == pytest.approx(2 * size["width"], abs=2)

    def test_pyplot_is_not_imported(self) -> None:
        """Drawing leaves the user's current figure, backend and settings alone."""
        script = (
            "import sys, pandas as pd\n"
            "from fedsim.charts import comparison, latency, states, timeline, utilization\n"
            "table = pd.DataFrame({'strategy': ['a'], 'latency_s': [1.0], 'outcome': ['ok']})\n"
            "latency.latency_distribution(table)._repr_png_()\n"
            "print('matplotlib.pyplot' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)

        assert done.stdout.strip() == b"False"

    def test_colours_differ(self) -> None:
        """Two dozen lines each have their own colour and style."""
        styles = colours([str(number) for number in range(4 * len(PALETTE))])

        assert len(set(styles.values())) == 4 * len(PALETTE)


class TestLatency:
    def lines(self, requests: pd.DataFrame, **options: Any) -> dict[str, Any]:
        """Return the lines of the chart by the name in the legend."""
        axes: Axes = latency_distribution(requests, **options).axes[0]
        return {
            str(line.get_label()).split(":")[0]: line
            for line in axes.lines
            if not str(line.get_label()).startswith("_")
        }

    def test_the_line_is_the_share_that_takes_longer(self) -> None:
        """From each latency on, the line is the share of successful requests that take longer."""
        requests = pd.DataFrame(
            {
                "strategy": "a",
                "latency_s": [3.0, 1.0, 2.0, 9.0],
                "outcome": ["ok"] * 3 + ["timeout"],
            }
        )

        line = self.lines(requests)["a"]

        assert line.get_xdata().tolist() == [1.0, 1.0, 2.0]
        assert line.get_ydata() == pytest.approx([1.0, 2 / 3, 1 / 3])
        assert line.get_drawstyle() == "steps-post"
        assert "75.00 % succeeded" in line.get_label()

    def test_the_line_ends_before_single_requests_draw_it(self) -> None:
        """Ten requests take longer than its end, and p99 needs a thousand as in tables."""
        for count, p99 in ((999, "–"), (1000, "9.90 s")):
            latencies_s = np.arange(1, count + 1) / 100.0
            requests = pd.DataFrame({"strategy": "a", "latency_s": latencies_s, "outcome": "ok"})

            line = self.lines(requests)["a"]

            assert (latencies_s > line.get_xdata()[-1]).sum() == 10
            assert line.get_ydata()[-1] == pytest.approx(10 / count)
            assert f"p99 {p99}" in line.get_label()

    def test_dots_lie_on_the_line(self) -> None:
        """A percentile's dot is where the line falls to its share."""
        latencies_s = np.random.default_rng(1).exponential(1.0, 5_001)
        requests = pd.DataFrame({"strategy": "a", "latency_s": latencies_s, "outcome": "ok"})

        axes = latency_distribution(requests).axes[0]

        (dots,) = [line for line in axes.lines if line.get_marker() == "o"]
        places_s, shares = np.asarray(dots.get_xdata()), np.asarray(dots.get_ydata())
        assert shares == pytest.approx([0.5, 0.01])
        for place_s, share in zip(places_s.tolist(), shares.tolist(), strict=True):
            assert (latencies_s > place_s).mean() <= share < (latencies_s >= place_s).mean()

    def test_many_groups_have_panels(self) -> None:
        """More than four have one each, where all others are grey, with the group's figures."""
        names = [f"s{number}" for number in range(6)]
        requests = pd.DataFrame({"strategy": names * 30, "latency_s": 1.0, "outcome": "ok"})
        means = pd.DataFrame(
            {
                "group": names, "share": 0.5, "mean": np.arange(1.0, 7.0),
                "low": np.arange(1.0, 7.0) - 0.1, "high": np.arange(1.0, 7.0) + 0.1,
                "success_rate": 1.0,
            }
        )  # fmt: skip

        chart = latency_distribution(requests, means=means)

        assert [axes.get_title(loc="left") for axes in chart.axes] == names
        grey: Any = [axes.collections[0] for axes in chart.axes]
        assert [len(each.get_segments()) for each in grey] == [5] * 6
        assert chart.axes[2].texts[0].get_text() == "p50 3.00 ± 0.10 s\np99 –, 100 % succeeded"
        (dot,) = [line for line in chart.axes[2].lines if line.get_marker() == "o"]
        assert np.asarray(dot.get_xydata()).tolist() == [[3.0, 0.5]]

    def test_long_tables_keep_their_tail(self) -> None:
        """A line of a million requests has few points, and the slowest are all among them."""
        latencies_s = np.random.default_rng(1).exponential(1.0, 1_000_000)
        requests = pd.DataFrame({"strategy": "a", "latency_s": latencies_s, "outcome": "ok"})

        line = self.lines(requests)["a"]

        assert len(line.get_xdata()) < 1000
        assert line.get_xdata()[-20:].tolist() == np.sort(latencies_s)[-30:-10].tolist()

    def test_a_strategy_that_never_succeeds_is_named(self) -> None:
        """It has no line, and the legend says why."""
        requests = pd.DataFrame(
            {"strategy": ["a", "b"], "latency_s": [1.0, 2.0], "outcome": ["ok", "timeout"]}
        )

        assert "b\nnone succeeded" in texts(latency_distribution(requests))

    def test_a_success_rate_is_never_rounded_up_to_all(self) -> None:
        """One failure in a million is not 100 %."""
        outcomes = ["timeout", *["ok"] * 999_999]
        requests = pd.DataFrame({"strategy": "a", "latency_s": 1.0, "outcome": outcomes})

        assert "99.9999 % succeeded" in self.lines(requests)["a"].get_label()

    def test_order(self) -> None:
        """Categories keep their order, other values that of appearance."""
        requests = pd.DataFrame({"strategy": ["b", "a"], "latency_s": 1.0, "outcome": "ok"})
        ranked = requests.astype({"strategy": pd.CategoricalDtype(["a", "b"])})

        assert list(self.lines(requests)) == ["b", "a"]
        assert list(self.lines(ranked)) == ["a", "b"]


class TestTimeline:
    def test_panels(self, run: Run) -> None:
        """Faults stand on top, named, and are shaded below."""
        chart = run.plot.timeline()

        assert len(chart.axes) == 4
        assert {"us-chat-0", "eu-west", "down", "slow x5"} <= set(texts(chart))

    def test_in_the_system(self) -> None:
        """The middle panel is the mean number present in each bin."""
        requests = pd.DataFrame(
            {
                "arrived_s": [0.0, 1.0, 1.5],
                "finished_s": [2.0, 1.5, np.nan],
                "latency_s": [2.0, 0.5, np.nan],
                "outcome": ["ok", "ok", "unfinished"],
            }
        )
        empty = FakeWorld(duration_s=0.0, outage_s=None).record().tables().events

        chart = timeline(requests, empty, end_s=4.0, arrivals_end_s=2.0)

        (steps, *_) = stairs(chart.axes[1])
        area = float((steps.values * np.diff(steps.edges)).sum())
        assert area == pytest.approx(2.0 + 0.5 + 2.5)

    def test_load_ends_with_the_arrivals(self) -> None:
        """The last bin ends with the arrivals, so that the load does not seem to drop."""
        requests = pd.DataFrame({"arrived_s": np.arange(0.0, 13.0, 0.01)})
        requests = requests.assign(
            finished_s=requests["arrived_s"] + 1.0, latency_s=1.0, outcome="ok"
        )
        empty = FakeWorld(duration_s=0.0, outage_s=None).record().tables().events

        chart = timeline(requests, empty, end_s=60.0, arrivals_end_s=13.0)

        (load, *_) = stairs(chart.axes[0])
        assert load.edges[-1] == 13.0
        assert load.values == pytest.approx(100.0, rel=0.01)

    @pytest.mark.parametrize("end_s", [0.5, 13.0, 1200.0, 86400.0, 3e7])
    @pytest.mark.parametrize("rows", [1, 1000, 1_000_000])
    def test_bins(self, end_s: float, rows: int) -> None:
        """There are a few to 150 bins, however long the run."""
        assert 2 <= end_s / bin_width_s(end_s, rows) <= 150

    @pytest.mark.parametrize("count", [50, 1_200, 2_399, 2_400, 11_999, 12_000, 1_000_000])
    def test_percentiles_of_bins_rest_on_ten_requests(self, count: int) -> None:
        """Ten of a bin lie beyond, for the highest percentile of which there are a dozen bins."""
        width_s, share = tail_bins_s(1200.0, count)

        assert share == (0.99 if count >= 12_000 else 0.95 if count >= 2_400 else 0.9)
        if count >= 1_200:
            assert (1.0 - share) * count * width_s / 1200.0 >= 10.0 * (1.0 - 1e-9)
        assert f"p{100 * share:g}" in {"p90", "p95", "p99"}

    def test_faults_stand_in_natural_order(self) -> None:
        """us-2 comes before us-10, and a legend names what the colours mean."""
        names = ["us-10", "us-2", "us-102"]
        faults = pd.DataFrame({"subject": names, "label": "down", "start_s": 5.0, "end_s": 9.0})

        assert [name for name, _ in lanes(faults)] == ["us-2", "us-10", "us-102"]


class TestUtilization:
    def test_cells(self, run: Run) -> None:
        """A cell is the mean of its samples, and empty where the node was down."""
        chart = run.plot.utilization()
        cells: Any = chart.axes[0].collections[0].get_array()

        assert cells.shape[0] == len(run.directory.nodes)
        row = [node.name for node in run.directory.nodes].index("eu-chat-0")
        width_s = run.end_s / cells.shape[1]
        assert cells.mask[row, int(150.0 / width_s)]
        assert not cells.mask[row, int(50.0 / width_s)]
        assert np.nanmax(cells) <= 1.0

    @pytest.mark.parametrize("size", [13, 40, 340])
    def test_many_nodes(self, size: int) -> None:
        """Up to 40 nodes are named, more by their pools; the chart stays printable."""
        names = directory(pool_size=size)
        nodes = pd.DataFrame(
            {
                "time_s": np.repeat([0.0, 1.0], len(names.nodes)),
                "node": [node.name for node in names.nodes] * 2,
                "pool": [node.pool for node in names.nodes] * 2,
                "up": True,
                "utilization": 0.5,
            }
        )

        chart = utilization(nodes, end_s=2.0)

        assert len(chart.axes[0].get_yticks()) == (3 * size if size < 14 else 3)
        assert chart.get_size_inches()[1] < 8.0

    def test_of_an_engine_the_batch_and_the_cache_are_shown(self) -> None:
        """An engine steps all the time, which says nothing of how full it is."""
        nodes = pd.DataFrame(
            {
                "time_s": [0.0, 1.0, 0.0, 1.0], "node": ["e", "e", "f", "f"], "pool": "p",
                "up": True, "utilization": [1.0, 1.0, 0.3, 0.3], "running": [4, 8, 1, 1],
                "slots": [16, 16, 4, 4], "kv_used_tokens": [1000.0, 3000.0, np.nan, np.nan],
            }
        )  # fmt: skip

        chart = utilization(nodes, end_s=2.0)

        batch, _, cache, *_ = [axes.collections for axes in chart.axes]
        assert np.ma.asarray(batch[0].get_array()).tolist() == [[0.25, 0.5], [0.3, 0.3]]
        tokens: Any = cache[0].get_array()
        assert tokens[0].tolist() == [1.0, 3.0]
        assert tokens.mask[1].all()
        assert "key-value cache in use\n(thousand tokens)" in texts(chart)

    def test_many_nodes_stand_by_fault_and_mean(self) -> None:
        """Within a pool, those that were down come first, then the busiest."""
        names = [f"n-{number}" for number in range(50)]
        nodes = pd.DataFrame(
            {
                "time_s": np.repeat([0.0, 1.0], 50), "node": names * 2, "pool": "p",
                "up": [name != "n-7" for name in names] + [True] * 50,
                "utilization": [0.9 if name == "n-30" else 0.5 for name in names] * 2,
            }
        )  # fmt: skip

        cells: Any = utilization(nodes, end_s=2.0).axes[0].collections[0].get_array()

        assert cells.mask[0].tolist() == [True, False]
        assert cells[1].tolist() == [0.9, 0.9]


class TestStates:
    def test_a_row_per_node_and_gateway(self, run: Run) -> None:
        """Nodes that somebody had doubts about have a row per gateway, others none."""
        chart = run.plot.states()

        rows = [label.get_text() for label in chart.axes[0].get_yticklabels()]
        assert len(rows) == 5 * 4
        assert rows[0] == "us-chat-0 · ap-south/0"
        assert not any("ap-chat" in row for row in rows)

    def test_many_nodes_share_rows_with_their_gateways(self) -> None:
        """Past 48 rows, the nodes of a pool that met the same faults have one together."""
        world = FakeWorld(names=directory(pool_size=80), duration_s=60.0, outage_s=(20.0, 30.0))
        run = world.run()

        chart = run.plot.states()

        rows = [label.get_text() for label in chart.axes[0].get_yticklabels()]
        assert rows == ["us-chat-0", "80 nodes of eu-chat"]
        assert "159 other nodes have no row: no change" in chart.axes[0].get_xlabel()

    def test_the_strength_of_a_colour_is_the_share_that_agrees(self) -> None:
        """Of four that look, two agree where two spans overlap."""
        spans = [(0.0, 10.0), (5.0, 20.0)]

        assert shares(spans, 4) == [(0.0, 5.0, 0.25), (5.0, 10.0, 0.5), (10.0, 20.0, 0.25)]

    def test_only_what_is_drawn_is_in_the_legend(self, run: Run) -> None:
        """States that never came are not named, and shapes tell those there are apart."""
        sick = run.events[run.events["kind"] == "health"]
        sick = sick[sick["after"] != "unhealthy"]

        chart = states(sick, run.node_totals, end_s=200.0)

        legend = chart.axes[0].get_legend()
        assert legend is not None
        assert [text.get_text() for text in legend.get_texts()] == ["degraded"]
        assert legend.get_patches()[0].get_hatch()

    def test_health_that_is_always_good_is_no_row(self, run: Run) -> None:
        """Becoming known is not a doubt."""
        known = run.events[:1].assign(
            kind="health", gateway="a/0", before="unknown", after="healthy"
        )

        chart = states(known, run.node_totals, end_s=10.0)

        assert not chart.axes


class TestComparison:
    means = pd.DataFrame(
        {
            "strategy": ["a", "b", "c"],
            "mean": [2.0, 1.0, 3.0],
            "low": [1.5, 0.9, np.nan],
            "high": [2.9, 1.1, np.nan],
        }
    )

    @pytest.mark.parametrize(
        ("better", "order"), [("lower", "bac"), ("higher", "cab"), (None, "abc")]
    )
    def test_the_best_stands_on_top(self, better: str | None, order: str) -> None:
        """Which way is better decides the order."""
        chart = ranking(self.means, label="latency", unit="s", better=better)

        rows = [label.get_text() for label in chart.axes[0].get_yticklabels()]
        assert "".join(rows) == order

    def test_values_are_written(self) -> None:
        """Each row has its mean and interval, or the mean alone where the interval is unknown."""
        written = texts(ranking(self.means, label="latency", unit="s"))

        assert {"2.00 [1.50, 2.90] s", "1.00 ± 0.10 s", "3.00 s"} <= set(written)

    def test_differences(self) -> None:
        """Verdicts have their colours, and the zero line is drawn."""
        table = pd.DataFrame(
            {
                "strategy": ["a", "b"],
                "difference": [-1.0, 0.1],
                "low": [-1.5, -0.1],
                "high": [-0.5, 0.4],
                "verdict": ["better", "no difference shown"],
            }
        )

        chart = differences(table, baseline="c", label="latency", unit="s")

        assert isinstance(chart, Chart)
        assert {"better", "no difference shown", "−1.00 ± 0.50 s", "+0.10 [−0.10, +0.40] s"} <= set(
            texts(chart)
        )
        assert "worse" not in texts(chart)
        assert any(np.array_equal(line.get_xdata(), [0.0, 0.0]) for line in chart.axes[0].lines)

    def test_numbers_are_those_of_the_table(self) -> None:
        """A share has the figures that a report's cell has, however close to 100 %."""
        row = {"strategy": ["a"], "mean": [99.784], "low": [99.762], "high": [99.806]}

        chart = ranking(pd.DataFrame(row), label="goodput", unit="%", better="higher")

        cell = figure(0.99784, "percent", interval=(0.99762, 0.99806))
        assert chart.axes[0].texts[0].get_text() == f"{cell} %" == "99.784 ± 0.022 %"

    def test_lines_do_not_strike_values_through(self) -> None:
        """Values stand in white boxes above the line of the objective."""
        axes = ranking(self.means, label="latency", unit="s", objective=1.6).axes[0]

        (line,) = [line for line in axes.lines if line.get_linestyle() == "--"]
        for text in axes.texts:
            box = text.get_bbox_patch()
            assert box is not None
            assert box.get_facecolor() == (1.0, 1.0, 1.0, 1.0)
            assert text.get_zorder() > line.get_zorder()

    def test_who_fails_more_stands_below(self) -> None:
        """Its times do not compare, however short, and a shape and the legend say so."""
        means = self.means.assign(fails_more=[False, True, False], tied=[True, False, False])

        chart = ranking(means, label="latency", unit="s", better="lower")

        rows = [label.get_text() for label in chart.axes[0].get_yticklabels()]
        assert rows == ["a", "c", "b"]
        legend = chart.axes[0].get_legend()
        assert legend is not None
        assert len({line.get_marker() for line in legend.get_lines()}) == 2
        assert "lower is better" in chart.axes[0].get_xlabel()
        assert any("fails more requests" in text for text in texts(chart))

    def test_ties_are_no_ranking(self) -> None:
        """The title says so where no strategy is shown to differ from the best."""
        means = self.means.assign(tied=True)

        assert texts(ranking(means, label="goodput"))[0].startswith("No strategy is shown to be")

    def test_nothing_to_compare(self) -> None:
        """Without a value there is a sentence."""
        nothing = self.means.assign(mean=np.nan, difference=np.nan, verdict="")

        assert not ranking(nothing, label="cost").axes
        assert not differences(nothing, baseline="a", label="cost").axes
