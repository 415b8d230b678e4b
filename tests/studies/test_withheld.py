"""What is not worth believing is withheld everywhere alike: tables, knees, charts and JSON."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import fedsim
from fedsim.document import markdown
from fedsim.report.sweep import sweep_report
from fedsim.studies.believed import SATURATED
from tests.studies.test_coverage import mm1

RATE = "workload.chat.arrivals.rate"
P99 = "latency_p99_s"
RATES = ["0.5/s", "8/s", "30/s"]
"""Too few requests for a 99th percentile, enough, and three times what the node can serve."""


class Breaks:
    """A router that raises."""

    def __init__(self, context):
        self.context = context

    async def route(self, request):
        """Raise at the first request."""
        raise KeyError(request.request_id)


@pytest.fixture(scope="module")
def scenario() -> fedsim.Scenario:
    """Return M/M/1 with an objective."""
    times = {"duration": "60s", "warmup": "5s", "drain": "1s"}
    found = mm1("withheld", 8.0, **times, slo={"latency_p99": "5s"})
    return found.changed({"pools.chat.queue_limit": "unlimited"})


@pytest.fixture(scope="module")
def sweep(scenario: fedsim.Scenario) -> fedsim.Sweep:
    """Return a sweep over the rates."""
    return fedsim.sweep(scenario, grid={RATE: RATES}, replications=3, workers=1)


def test_tables_and_json_say_why(sweep: fedsim.Sweep, tmp_path):
    """Estimates are NaN in tables and null in JSON, with the reason."""
    table = sweep.estimates()
    assert table[P99].isna().tolist() == [True, False, True]
    assert table[f"{P99}_low"].isna().tolist() == [True, False, True]
    assert table["latency_mean_s"].notna().all()
    rows = sweep.withheld
    few, saturated = rows[rows["measure"] == P99].to_dict("records")
    assert (few[RATE], saturated[RATE]) == (0.5, 30.0)
    assert few["reason"].startswith("it needs 1,000 successful requests over all replications, and")
    assert saturated["reason"] == SATURATED
    data = json.loads((sweep.save(tmp_path / "s", charts=False) / "summary.json").read_text())
    assert [row[P99] is None for row in data["estimates"]] == [True, False, True]
    assert [row["reason"] for row in data["withheld"] if row["measure"] == P99] == [
        few["reason"],
        SATURATED,
    ]
    chosen = sweep.estimates("stream")
    assert chosen[P99].isna().tolist() == [True, False, True]


def test_knees_leave_out_what_is_not_known(sweep: fedsim.Sweep):
    """Too few requests say nothing of a limit; a saturated point misses it."""
    (row,) = sweep.knee(P99).to_dict("records")
    assert (row["held"], row["knee"], row["holds"], row["misses"]) == ("below", 8.0, 8.0, 30.0)
    assert row["left_out"] == 1
    assert "up to 8.00" in markdown(sweep_report(sweep))
    assert "(1 point not measured)" in markdown(sweep_report(sweep))


def test_charts_say_what_they_do_not_show(sweep: fedsim.Sweep):
    """A chart has the points that the table has, and says how many it lacks."""
    chart = sweep.plot.curves(P99)
    drawn = [np.asarray(line.get_xdata()).tolist() for line in chart.axes[0].lines]
    assert [8.0] in drawn
    assert all(rate not in each for each in drawn for rate in (0.5, 30.0))
    assert any("2 of 3 points withheld" in text.get_text() for text in chart.texts)


def test_where_all_runs_failed_nothing_was_measured(scenario: fedsim.Scenario):
    """A knee is then not nowhere: there is nothing to judge."""
    found = fedsim.sweep(
        scenario,
        grid={"federation.router": [Breaks], RATE: ["1/s", "2/s"]},
        replications=1,
        workers=1,
    )
    (row,) = found.knee(P99).to_dict("records")
    assert (row["held"], row["left_out"]) == ("not measured", 2)
    assert math.isnan(row["knee"])
    text = markdown(sweep_report(found))
    assert "not measured at any point" in text
    assert "nowhere" not in text


def test_a_saturated_strategy_has_no_percentiles(scenario: fedsim.Scenario):
    """Neither in the summary, nor in differences and charts, nor does it rank before others."""
    found = fedsim.compare(
        scenario.changed({RATE: "30/s", "duration": "20s"}),
        strategies=["round_robin", "random"],
        replications=4,
        workers=1,
    )
    assert set(found.saturated) == {"round_robin", "random"}
    assert found.summary()[P99].isna().all()
    assert found.differences(P99)["verdict"].tolist() == ["not measured"]
    assert set(found.withheld["reason"]) == {SATURATED}
    assert P99 not in found.plot.measures
    texts = [text.get_text() for text in found.plot.ranking(P99).texts]
    assert any("withheld: round_robin, random" in text for text in texts)
