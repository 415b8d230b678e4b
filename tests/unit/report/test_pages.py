"""Reports as pages: whole, small, the same each time, and without anything from elsewhere."""

from __future__ import annotations

import re

import pytest

import fedsim
from fedsim.document import Block, Document, Heading, Sentence, Table, words
from fedsim.errors import ResultsError, ScenarioError
from fedsim.report.html.page import Drawn, Made, Page, rendered
from fedsim.results.run import Run
from fedsim.results.rundir import REPORT
from fedsim.results.slo import Slo
from fedsim.studies.store import write_derived
from tests import small_scenario
from tests.reading import Reader, answer_of, check_page


@pytest.fixture(scope="module")
def scenario(tmp_path_factory):
    """The small scenario."""
    return fedsim.load(small_scenario.write(tmp_path_factory.mktemp("pages")))


@pytest.fixture(scope="module")
def run(scenario):
    """A run of it."""
    return fedsim.simulate(scenario)


class TestRun:
    """The page of a run."""

    def test_is_whole_and_the_same_twice(self, run, tmp_path):
        """The answer comes first; tables, charts, command, versions and scenario are there."""
        file = run.report(tmp_path)
        text = file.read_text(encoding="utf-8")
        read = check_page(text)

        assert file == tmp_path / "report.html"
        assert answer_of(text).startswith("The objective was held (2 of 2 bounds). ")
        assert read.headings[0] == "small: least_latency, seed 3"
        assert {"By region of origin", "Objective", "Charts"} <= set(read.headings)
        assert read.tags.count("svg") == len(run.plot.names())
        assert "fedsim run scenario.yaml --seed 3" in read.texts
        assert run.digest in read.texts
        assert fedsim.__version__ in read.texts
        assert run.scenario_yaml in read.texts
        assert run.report(tmp_path).read_text(encoding="utf-8") == text

    def test_says_which_bound_was_missed_and_by_how_much(self, run, tmp_path):
        """The answer has limit and value; what would turn it has the distance."""
        p99_s = run.summary()["latency_p99_s"].iloc[0]
        run.slo, slo = Slo({"latency_p99": p99_s / 2.0, "success_rate": 0.01}), run.slo
        try:
            text = run.report(tmp_path).read_text(encoding="utf-8")
        finally:
            run.slo = slo

        assert answer_of(text).startswith(
            f"The objective was missed: latency p99 ≤ {p99_s / 2.0:g} s, but it was {p99_s:.3f} s"
        )
        said = Reader(text).texts
        assert any("is missed by 100 % of the limit" in each for each in said)
        assert any(each.startswith("The tightest bound that was held is success") for each in said)

    def test_a_saved_run_has_the_same_page(self, run, tmp_path):
        """The versions are those that made it, not those that read it."""
        run.save(tmp_path / "run", charts=False)
        manifest = tmp_path / "run" / "manifest.json"
        made = manifest.read_text().replace(
            f'"fedsim": "{fedsim.__version__}"', '"fedsim": "0.0.9"'
        )
        manifest.write_text(made)
        text = Run.load(tmp_path / "run").report(tmp_path / "a.html").read_text()

        assert "0.0.9" in Reader(text).texts
        live = run.report(tmp_path / "b.html").read_text()
        assert text.replace("0.0.9", fedsim.__version__) == live

    def test_a_scenario_that_cannot_be_read_is_a_warning(self, scenario, tmp_path):
        """Objects that were given in Python are in no file; the page says what is left out."""

        class First:
            def __init__(self, context):
                self.catalog = context.catalog

            async def route(self, request):
                from fedsim.federation.contracts import RouteTarget

                node, region = (await self.catalog.find_by_capability(request.capability))[0]
                return RouteTarget(node, region)

        made = fedsim.simulate(scenario.changed({"duration": "8s", "warmup": "1s"}), router=First)
        text = made.report(tmp_path).read_text(encoding="utf-8")

        read = check_page(text)
        assert any("cannot be read here" in each for each in read.texts)
        assert any("objects were given in Python: federation.router was" in e for e in read.texts)

    def test_notebooks_show_the_answer_and_the_main_table(self, run):
        """No charts, no page: a sentence, a table, and its note."""
        read = Reader(run._repr_html_())

        assert read.headings == ["small: least_latency, seed 3"]
        assert read.tags.count("table") == 1
        assert any(each.startswith("The objective was held") for each in read.texts)

    def test_a_page_that_cannot_be_written_is_an_error(self, run, tmp_path):
        """It says which file, and what to do."""
        with pytest.raises(ResultsError, match=r"cannot write .*no/such\.html: there is no folder"):
            run.report(tmp_path / "no" / "such.html")

    def test_what_is_no_page_stays(self, run, tmp_path):
        """Neither the manifest of a run nor a scenario is replaced."""
        run.save(tmp_path / "run", charts=False)
        other = tmp_path / "run" / "manifest.json"
        before = other.read_bytes()
        with pytest.raises(ResultsError, match="is not a page that fedsim wrote; choose another"):
            run.report(other)

        assert other.read_bytes() == before

    def test_a_damaged_scenario_is_an_error(self, run, tmp_path):
        """It names the file and what is wrong in it."""
        run.save(tmp_path / "run", charts=False)
        scenario = tmp_path / "run" / "scenario.yaml"
        scenario.write_bytes(scenario.read_bytes() + b"# \x07\n")
        with pytest.raises(ScenarioError, match=r"scenario.yaml:\d+:3: The character U\+0007"):
            Run.load(tmp_path / "run").report(tmp_path)

        scenario.write_bytes(b"\xff")
        with pytest.raises(ResultsError, match="is not a whole run directory: 'utf-8'"):
            Run.load(tmp_path / "run")
        assert [each.name for each in tmp_path.iterdir()] == ["run"]


class TestStudies:
    """The pages of studies."""

    def test_of_a_comparison(self, scenario, tmp_path):
        """The best strategy comes first; the command compares the same strategies."""
        compared = fedsim.compare(scenario, replications=2, workers=1)
        text = compared.report(tmp_path).read_text(encoding="utf-8")
        read = check_page(text)

        first = compared.ranking()[0]
        assert first in answer_of(text)
        assert "a goodput of " in answer_of(text)
        assert compared.strategies == ("round_robin", "least_connections")
        command = next(each for each in read.texts if each.startswith("fedsim compare"))
        assert command.endswith("--replications 2 --baseline round_robin --seed 3")
        assert any(each.startswith("More replications: ") for each in read.texts)
        assert compared.report(tmp_path).read_text(encoding="utf-8") == text
        assert Reader(compared._repr_html_()).tags.count("table") == 1

    def test_of_strategies_that_do_not_differ(self, scenario, tmp_path):
        """Equal runs are no victory: the answer says that none is shown to be best."""
        quiet = {"workload.chat.arrivals.rate": "0.5/s", "faults": []}
        compared = fedsim.compare(scenario.changed(quiet), replications=2, workers=1)

        text = answer_of(compared.report(tmp_path).read_text(encoding="utf-8"))
        assert text.startswith("No strategy is shown to be best. round_robin comes first with ")

    def test_of_a_sweep(self, scenario, tmp_path):
        """The answer is how far the objective is held; other values are what may change it."""
        rates = {"workload.chat.arrivals.rate": ["5/s", "60/s"]}
        swept = fedsim.sweep(scenario, grid=rates, replications=2, workers=1)
        text = swept.report(tmp_path).read_text(encoding="utf-8")
        read = check_page(text)

        assert answer_of(text).startswith("Success ≥ 50 % is held for rate up to ")
        assert any(
            each.startswith("Other values of rate than 5.00 to 60.0 ") for each in read.texts
        )
        assert any(each.startswith("fedsim sweep scenario.yaml --set ") for each in read.texts)
        assert Reader(swept._repr_html_()).tags.count("table") == 1

    def test_of_a_sweep_without_limits(self, scenario, tmp_path):
        """Without an objective the answer is where goodput is highest, and where lowest."""
        given = scenario.changed({"slo": None, "duration": "10s"})
        swept = fedsim.sweep(
            given,
            grid={"federation.strategy": ["round_robin", "random"]},
            replications=2,
            workers=1,
        )

        text = answer_of(swept.report(tmp_path).read_text(encoding="utf-8"))
        assert re.match(r"Goodput is .* % at (every point|strategy \w+, the highest, and )", text)

    def test_a_study_made_again_has_no_old_page(self, tmp_path):
        """The page of an earlier state is removed with the other files that are derived."""
        page = tmp_path / REPORT
        page.write_text("old")
        write_derived(tmp_path, {}, {})

        assert not page.exists()


def test_a_scenario_shows_itself(scenario):
    """Name, description, times and pools."""
    read = Reader(scenario.changed({"description": "<b>Small</b>"})._repr_html_())

    assert read.headings == ["small"]
    assert "<b>Small</b>" in read.texts
    assert "east-chat" in read.texts


def page(report, charts=()):
    """Return a page of a report."""
    made = Made("seed: 1\n", "fedsim run scenario.yaml", {}, {"fedsim": "1"})
    return Page("Yes.", report, charts, made, ["Nothing."])


def test_hostile_names_stay_texts():
    """Markup in any text of a report is no element of its page."""
    hostile = "</title></script><script>alert('x')</script><img src=http://x.example/>"
    table = Table((words(hostile, [hostile]),), hostile)
    read = check_page(rendered(page(Document((Heading(hostile, 1), Heading(hostile), table)))))

    assert read.tags.count("script") == 1
    assert "img" not in read.tags
    assert read.texts.count(hostile) >= 5


def test_a_large_report_is_cut_to_size():
    """A table of 100,000 rows and 10,000 sentences fit, and both say what is left out."""
    table = Table((words("name", [f"row {n}" for n in range(100_000)]),), "summary.json")
    items = [Sentence(f"item {n}", item=True) for n in range(10_000)]
    read = check_page(rendered(page(Document((Heading("Large", 1), table, *items)))))

    assert any("of 100,000 rows; summary.json has all." in each for each in read.texts)
    assert "and 9,900 more" in read.texts


def test_a_report_of_many_lists_and_marks_is_cut_to_size():
    """Lists, wide tables, long texts and a scenario that grows by escaping fit together."""
    blocks: list[Block] = [Heading("Large", 1)]
    for part in range(60):
        blocks.append(Heading(f"Part {part}"))
        blocks += [Sentence(f"item {n} {'&' * 200}", item=True) for n in range(100)]
        blocks.append(Table(tuple(words(f"c{n}", ["<" * 50] * 40) for n in range(6))))
    made = Made("'&' " * 300_000, "fedsim run scenario.yaml", {}, {"fedsim": "1"})
    read = check_page(rendered(Page("Yes.", Document(tuple(blocks)), (), made, ["Nothing."])))

    assert len([each for each in read.headings if each.startswith("Part ")]) == 60
    assert any(each.endswith("cut here: scenario.yaml has all") for each in read.texts)


def test_charts_without_room_are_named():
    """What would make a page too large is left out, and the page says where it is."""
    from fedsim.charts.figure import new_chart

    drawn = [Drawn(f"chart-{number}", lambda: new_chart("Much", "", 3.0)) for number in range(2)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fedsim.charts.svg.svg", lambda *_: f"<svg>{'<g></g>' * 1_000}</svg>")
        text = rendered(page(Document((Heading("Many", 1),)), drawn))

    read = check_page(text)
    assert read.tags.count("svg") == 1
    assert "charts/chart-1.png: left out, as it would make this page too large" in read.texts
