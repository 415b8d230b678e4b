"""Reports of real results: what is in them as values, whatever renders them."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path

import pytest

import fedsim
from fedsim.document import (
    MISSING,
    Chart,
    Code,
    Heading,
    Sentence,
    Table,
    from_json,
    markdown,
    to_json,
)
from fedsim.html import html
from fedsim.report.check import check_report
from fedsim.report.comparison import comparison_report
from fedsim.report.explanation import explanation_report
from fedsim.report.matrix import bar, matrix_report
from fedsim.report.parts import Saved
from fedsim.report.run import run_report
from fedsim.results.measures import MEASURES
from fedsim.results.slo import Slo
from fedsim.scenario.offered_load import OfferedLoad
from tests import small_scenario

SAVED = Saved(Path("runs/x"), "fedsim run small.yaml --seed 3")


@pytest.fixture(scope="module")
def scenario(tmp_path_factory):
    """The small scenario."""
    return fedsim.load(small_scenario.write(tmp_path_factory.mktemp("reports")))


@pytest.fixture(scope="module")
def run(scenario):
    """A run of it, with its decisions."""
    return fedsim.simulate(scenario.changed({"record.decisions": "on"}))


@pytest.fixture(scope="module")
def comparison(scenario):
    """Two strategies, two replications."""
    return fedsim.compare(scenario, replications=2, workers=1)


def of(document, kind):
    """Return the blocks of a kind."""
    return [block for block in document.blocks if isinstance(block, kind)]


def after(document, title):
    """Return the block that follows a heading."""
    places = [
        number
        for number, block in enumerate(document.blocks)
        if isinstance(block, Heading) and block.text.startswith(title)
    ]
    return document.blocks[places[0] + 1]


def column(table, heading):
    """Return the column of a table with that heading."""
    return next(each for each in table.columns if each.heading == heading)


def check_renderers(document):
    """Check that a document survives JSON, and that Markdown and HTML have all its texts."""
    assert from_json(json.loads(json.dumps(to_json(document), allow_nan=False))) == document
    assert html(document).count("<tr>") == sum(
        1 + len(table.columns[0].cells) for table in of(document, Table)
    )
    assert markdown(document).count("\n#") >= len(of(document, Heading)) - 1


class TestRun:
    """The report of a run."""

    def test_holds_the_summary_as_numbers(self, run, scenario):
        """Cells have the summary's values, headings and units are those of the measures."""
        document = run_report(run, scenario, ["mind this"], SAVED)
        table = after(document, "By region of origin")
        summary = run.summary("origin")

        for name in ("goodput_share", "latency_p99_s", "queue_wait_mean_s"):
            measure = MEASURES[name]
            found = column(table, measure.heading)
            assert [cell.value for cell in found.cells] == summary[name].tolist()
            assert (found.unit, found.rank) == (measure.unit, measure.place)
        assert [str(cell) for cell in table.columns[0].cells] == ["east", "west"]
        assert table.elsewhere == "summary.json"
        check_renderers(document)

    def test_says_what_was_written_and_how_to_repeat_it(self, run, scenario, tmp_path):
        """The charts and files that the closing block names exist."""
        folder = run.save(tmp_path / "run")
        document = run_report(run, scenario, [], Saved(folder, "fedsim run x"))

        assert of(document, Code) == [Code("fedsim run x", "shell")]
        files = sorted(chart.file for chart in of(document, Chart))
        assert files == sorted(map(str, (folder / "charts").iterdir()))
        assert not of(run_report(run, scenario, []), Code)

    def test_objective_and_warnings_have_styles(self, run, scenario):
        """A missed part is bad, a held one good, and warnings are warnings."""
        missed = Slo({**run.slo.bounds, "latency_p99": 0.001})
        run.slo, slo = missed, run.slo
        try:
            document = run_report(run, scenario, ["mind this"])
        finally:
            run.slo = slo
        table = after(document, "Objective")

        verdicts = [(cell.value, cell.style) for cell in column(table, "verdict").cells]
        assert verdicts == [("missed", "bad"), ("held", "good")]
        assert str(column(table, "limit").cells[0]) == "≤ 0.001 s"
        assert Sentence("mind this", "warning", item=True) in document.blocks

    def test_objectives_of_streams_without_tokens(self, run, scenario):
        """A stream without tokens says so, in its row and in a sentence."""
        name = run.directory.streams[0].name
        slo = Slo({"latency_p99": 99.0}, 30.0, {name: {"ttft_p99": 1.0, "latency_p99": 98.0}})
        run.slo, before = slo, run.slo
        try:
            document = run_report(run, scenario, [])
        finally:
            run.slo = before
        table = after(document, "Objective")

        rows = [[str(cell) for cell in row] for row in table.rows]
        assert rows[0] == ["ttft p99", name, "≤ 1 s", "no tokens", "–", "no tokens"]
        assert [row[1] for row in rows[1:]] == [name]  # it is the only stream
        assert any(
            isinstance(block, Sentence) and "have no tokens" in block.text
            for block in document.blocks
        )


class TestComparison:
    """The report of a comparison."""

    def test_holds_means_intervals_and_differences(self, comparison):
        """Ranking and differences have the comparison's numbers, verdicts have styles."""
        document = comparison_report(comparison, ["overload"], SAVED)
        ranking, summary = after(document, "Ranking by goodput"), comparison.summary()
        goodput = column(ranking, "goodput")

        assert [cell.value for cell in goodput.cells] == summary["goodput_share"].tolist()
        assert [cell.low for cell in goodput.cells] == summary["goodput_share_low"].tolist()
        assert [cell.high for cell in goodput.cells] == summary["goodput_share_high"].tolist()
        differences = after(document, "Differences from round_robin")
        found = column(differences, "goodput")
        table = comparison.differences("goodput_share")
        assert found.unit == "points"
        assert [cell.value for cell in found.cells] == table["difference"].tolist()
        assert [cell.value for cell in column(differences, "verdict").cells] == (
            table["verdict"].tolist()
        )
        check_renderers(document)

    def test_explains_percentiles_and_names_the_warnings(self, comparison):
        """The mean of percentiles is called that, and warnings of the load come first."""
        document = comparison_report(comparison, ["overload"])
        texts = [block.text for block in of(document, Sentence)]

        assert any("mean over replications of each run's percentile" in text for text in texts)
        assert next(text for text in texts if text == "overload")

    def test_names_what_it_estimates(self, comparison):
        """Every table of estimates says of what window, over how many replications."""
        headings = [block.text for block in of(comparison_report(comparison), Heading)]
        starts = ("Ranking", "Differences", "Goodput by", "Latency p99 by")
        estimated = [text for text in headings if text.startswith(starts)]

        assert len(estimated) >= 3
        assert all(text.endswith(f"({comparison.target})") for text in estimated)
        assert comparison.target.startswith("mean of a window of ")
        ranking = after(comparison_report(comparison), "Ranking by goodput")
        best = [cell.value for cell in column(ranking, "best").cells]
        assert sum(best) == pytest.approx(100.0)
        differences = after(comparison_report(comparison), "Differences from round_robin")
        factor = comparison.differences("goodput_share")["narrowed"].iloc[0]
        assert column(differences, "narrowed").cells[0].value == (
            None if math.isnan(factor) else factor
        )

    def test_percentiles_of_few_requests_are_not_shown(self, comparison):
        """Below 10/(1 − q) requests a percentile is a dash, and up to ten times as many a star."""
        table = comparison.summary()
        requests = table["requests"] * table["success_rate"] * len(comparison.seeds)
        assert requests.between(200, 1_000).all()
        ranking = after(comparison_report(comparison), "Ranking by goodput")

        assert {str(cell) for cell in column(ranking, "p99").cells} == {MISSING}
        assert table["latency_p99_s"].isna().all()
        reasons = comparison.withheld.set_index("measure")["reason"]
        assert reasons["latency_p99_s"].str.startswith("it needs 1,000 successful requests").all()
        assert all(str(cell).endswith("*") for cell in column(ranking, "p95").cells)
        assert "fewer than 10/(1 − q)" in column(ranking, "p99").note
        objectives = comparison.objectives.set_index("key")
        assert not objectives.loc["latency_p99", "decided"].any()
        assert objectives.loc["success_rate", "decided"].all()
        held = column(after(comparison_report(comparison), "Objective"), "latency p99 ≤ 5 s")
        assert str(held.cells[0]) == "not decided: needs 1,000 requests"

    def test_charts_are_those_that_are_drawn(self, comparison, tmp_path):
        """The closing block names each file of the charts."""
        folder = comparison.save(tmp_path / "c")
        document = comparison_report(comparison, [], Saved(folder, "x"))

        files = sorted(chart.file for chart in of(document, Chart))
        assert files == sorted(map(str, (folder / "charts").iterdir()))

    def test_one_strategy_has_no_differences(self, scenario):
        """There is nothing to set it against."""
        alone = fedsim.compare(scenario, strategies=["random"], replications=1, workers=1)
        headings = [block.text for block in of(comparison_report(alone), Heading)]

        assert headings[0] == "small: 1 strategy"
        assert not any(text.startswith("Differences") for text in headings)


class TestCheck:
    """The report of a check."""

    def test_shows_gateway_choice_deadlines_and_streams(self, scenario):
        """Settings that decide the run are in it, with their values."""
        changed = scenario.changed(
            {
                "federation.gateways.east": 2,
                "federation.gateways.west": 1,
                "federation.gateway_choice": "tenant",
                "federation.timeout": {"attempt": "7s", "idle": "off"},
                "workload.chat.streamed": "on",
            }
        )
        document = check_report(OfferedLoad(changed), [], served=True)
        items = [block.text for block in of(document, Sentence)]

        assert any(text.startswith("deadlines: request 10min, attempt 7s") for text in items)
        assert any(text.endswith("pause off") for text in items)
        assert any("(gateway_choice: tenant)" in text for text in items)
        assert column(after(document, "Workload"), "streamed").cells[0].value == "yes"
        assert items[-1] == "Scenario is valid. With all nodes up, the fleet can serve this load."
        check_renderers(document)

    def test_does_not_call_an_overload_served(self, scenario):
        """The last sentence is only there where it is true."""
        document = check_report(OfferedLoad(scenario), ["mind this"], served=False)

        assert not any("can serve" in block.text for block in of(document, Sentence))
        assert column(after(document, "Pools"), "load").unit == "%"


class TestExplanation:
    """The report of an explanation."""

    def test_names_the_strategy_and_what_columns_mean(self, run):
        """Footnotes belong to their columns, so that none is shown for a column that is not."""
        retried = run.requests.loc[run.requests["attempts"] == 2, "request_id"].iloc[0]
        document = explanation_report(fedsim.explain(run, retried))
        tables = of(document, Table)

        assert len(tables) == 2
        assert "Strategy: least_latency." in of(document, Sentence)[0].text
        notes = {each.heading: each.note for each in tables[0].columns if each.note}
        assert set(notes) <= {"in flight", "reported", "actual", "age"}
        assert all(note.lower().startswith(heading) for heading, note in notes.items())
        texts = " ".join(block.text for block in of(document, Sentence))
        assert not any(note in texts for note in notes.values())
        check_renderers(document)

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"federation.retries": "off"}, "retries are off"),
            (
                {"federation.retries": {"limit": 1, "budget": "off"}},
                "limit of retries, 1, was reached",
            ),
            ({"federation.timeout.request": "50ms"}, "the deadline of the request, 50ms, had"),
            ({"federation.retries": {"budget": "0%"}}, "the retry budget was used up, or"),
            (
                {"federation.retries": {"budget": "0%"}, "federation.timeout": "off"},
                "No retry followed: the retry budget was used up.",
            ),
            ({"federation.retries": {"limit": 0}}, "limit of retries, 0, was reached"),
        ],
    )
    def test_says_why_no_retry_followed(self, scenario, changes, reason):
        """The settings say so where they can, and the report has the sentence."""
        unguarded = {"federation.health": "off", "federation.circuit_breaker": "off"}
        broken = {"faults": [{"kind": "errors", "pool": pool, "probability": "90%", "at": "5s",
                              "lasts": "1h"} for pool in ("east-chat", "west-chat")]}  # fmt: skip
        recorded = {"record.decisions": "on"}
        run = fedsim.simulate(scenario.changed(unguarded | broken | recorded | changes))
        failed = run.requests.loc[run.requests["outcome"] != "ok", "request_id"].iloc[-1]
        found = fedsim.explain(run, failed)

        assert found.no_retry is not None
        assert reason in found.no_retry
        texts = [block.text for block in of(explanation_report(found), Sentence)]
        assert found.no_retry in texts

    def test_needs_no_reason_where_a_request_succeeded(self, run):
        """Nothing had to follow."""
        ok = run.requests.loc[run.requests["outcome"] == "ok", "request_id"].iloc[0]

        assert fedsim.explain(run, ok).no_retry is None


def test_reports_of_checks_import_no_tables():
    """What a check needs is light; `fedsim.document` needs nothing but Python's own library."""
    import subprocess

    code = (
        "import sys, fedsim.document\n"
        "assert not {'numpy', 'rich', 'yaml'} & set(sys.modules)\n"
        "import fedsim.report.check\n"
        "assert not {'pandas', 'scipy', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


REPEAT = "fedsim compare small.yaml busy.yaml"


@pytest.fixture(scope="module")
def busy(scenario):
    """The same world, more of whose requests fail, and another pair of strategies."""
    names = ["least_connections", "random"]
    busy = {"name": "busy", "workload.chat.arrivals.rate": "24/s", "compare.strategies": names}
    return fedsim.compare(scenario.changed(busy), replications=2, workers=1)


class TestMatrix:
    """The matrix of scenarios and strategies, for a pull request."""

    @pytest.fixture
    def document(self, comparison, busy):
        """The matrix of both."""
        return matrix_report([comparison, busy], ["busy: mind this"], REPEAT)

    def test_every_value_is_that_of_its_comparison(self, document, comparison, busy):
        """A row per scenario, a column per strategy; a strategy that was not compared is a dash."""
        for measure in (MEASURES["goodput_share"], MEASURES["latency_p99_s"]):
            table = after(document, f"{measure.words[:1].upper()}{measure.words[1:]}, ")
            headings = [each.heading for each in table.columns]
            assert headings == ["scenario", "round_robin", "least_connections", "random"]
            for row, each in enumerate((comparison, busy)):
                means = each.summary()[measure.name]
                for name in headings[1:]:
                    cell = column(table, name).cells[row]
                    value = means.get(name, math.nan)
                    assert cell.value == (None if math.isnan(value) else value)
                    assert ("(b)" in str(cell)) == (name == each.baseline)
        assert str(column(table, "random").cells[0]) == MISSING
        held = after(document, "Objective: ")
        for row, each in enumerate((comparison, busy)):
            for name in each.strategies:
                whole = str(column(held, name).cells[row]) == "2 of 2"
                assert whole == (name in each.holding)
        check_renderers(document)

    def test_the_text_is_the_same_again(self, document, comparison, busy):
        """No time of day or of the machine is in it, and what repeats it is."""
        known, comparison.wall_s = comparison.wall_s, 99.0
        again = matrix_report([comparison, busy], ["busy: mind this"], REPEAT)
        comparison.wall_s = known
        text = markdown(document)
        assert markdown(again) == text
        assert f"```shell\n{REPEAT}\n```" in text
        assert "- busy: mind this\n" in text
        assert re.search(
            r"^- small \(2 replications, seed 3\): \w+ ranks first by", text, re.MULTILINE
        )

    @pytest.mark.parametrize(
        ("share", "text"),
        [(0.0, ""), (1e-9, "▏"), (1 / 48, "▏"), (0.5, "███"), (0.9, "█████▍"), (1.0, "██████")],
    )
    def test_bars_are_as_long_as_their_share(self, share, text):
        """Six characters are the whole, and what is not nothing is seen."""
        assert bar(share) == text
