"""Every measure against figures worked out by hand; the formulas stand in docs/measures.md."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fedsim.errors import ResultsError
from fedsim.federation.contracts import PrivacyLevel
from fedsim.results.measures import MEASURES
from fedsim.results.recorder import Recorder
from fedsim.results.slo import Slo
from fedsim.results.summary import GROUPINGS, Summary
from fedsim.world.observer import Directory, NodeInfo, StreamInfo
from tests.fake_world import FakeWorld

NAMES = Directory(
    streams=(
        StreamInfo("chat", "generate", PrivacyLevel.CONFIDENTIAL, max_latency_s=1.5, model="large"),
        StreamInfo("code", "code", PrivacyLevel.PUBLIC),
    ),
    regions=("west", "east"),
    region_privacy=(PrivacyLevel.RESTRICTED, PrivacyLevel.INTERNAL),
    gateways=("west/0", "east/0"),
    nodes=(
        NodeInfo("w-0", "w", "west", 2, 4.0, "large"),
        NodeInfo("w-1", "w", "west", 2, 4.0, "large"),
        NodeInfo("e-0", "e", "east", 1, 10.0, "small"),
    ),
)
NAN = math.nan

# stream, origin, arrived_s, latency_s, outcome, node, queue_wait_s, ttft_s, attempts
REQUESTS: list[tuple[int, int, float, float, str, int, float, float, int]] = [
    (0, 0, 5.0, 1.0, "ok", 0, 0.0, 0.2, 1),  # before the window
    (0, 0, 10.0, 1.0, "ok", 0, 0.2, 0.1, 1),
    (0, 1, 20.0, 2.0, "ok", 0, 0.6, 0.3, 2),  # later than its own limit
    (1, 1, 30.0, 3.0, "ok", 2, 0.1, NAN, 1),
    (1, 0, 40.0, 6.0, "ok", 1, 0.1, NAN, 1),  # later than the objective
    (0, 0, 50.0, 9.0, "timeout", 1, NAN, NAN, 3),
    (0, 1, 60.0, 0.0, "no_capacity", -1, NAN, NAN, 0),
    (0, 1, 99.0, 1.2, "ok", 2, 0.0, 0.2, 1),  # finishes after the window
    (0, 0, 110.0, 1.0, "ok", 0, 0.0, 0.2, 1),  # after the window
]


def record() -> Recorder:
    """Return a recorder that has seen ``REQUESTS`` in a window from 10 s to 110 s."""
    recorder = Recorder(NAMES)
    for index, (stream, origin, arrived_s, *_) in enumerate(REQUESTS):
        recorder.request_arrived(
            stream=stream, index=index, origin=origin, arrived_s=arrived_s, prompt_tokens=100
        )
    for row, request in enumerate(REQUESTS):
        _, origin, arrived_s, latency_s, outcome, node, wait_s, ttft_s, attempts = request
        finished_s = arrived_s + latency_s
        for attempt in range(1, attempts + 1):
            last = attempt == attempts
            end = outcome if last else "node_unreachable"
            attempt_row = recorder.attempt_started(
                request=row,
                attempt=attempt,
                gateway=origin,
                node=node,
                hedge=attempt == 3,
                started_s=arrived_s,
            )
            recorder.attempt_finished(
                attempt_row,
                finished_s=finished_s,
                outcome=end,
                queue_wait_s=wait_s,
                service_s=0.5 if end == "ok" else NAN,
            )
        recorder.request_finished(
            row,
            finished_s=finished_s,
            outcome=outcome,
            node=node,
            network_s=0.0,
            queue_wait_s=wait_s,
            service_s=0.5,
            ttft_s=ttft_s,
            tpot_s=ttft_s / 10.0,
            cost_usd=0.01,
            cached_tokens=10 * row if node == 2 else -1,
            preemptions=row % 4 if node == 2 else -1,
        )
    report_totals(recorder, 0, 100.0, 90.0, 6.0, 60.0)
    report_totals(recorder, 1, 100.0, 30.0, 0.0, 20.0)
    report_totals(recorder, 2, 100.0, 30.0, 9.0, 20.0)
    return recorder


def report_totals(
    recorder: Recorder, node: int, up_s: float, busy_s: float, wasted_s: float, window_s: float
) -> None:
    """Report what a node did in a run, in seconds and slot-seconds."""
    recorder.node_totals(
        node,
        up_s=up_s,
        busy_slot_s=busy_s,
        wasted_slot_s=wasted_s,
        window_busy_slot_s=window_s,
        window_busy_s=window_s / NAMES.nodes[node].slots,
        paid_s=up_s,
        window_paid_s=up_s,
        window_up_s=0.9 * up_s,
    )


def summary(by: str | None = None, **changes: Any) -> pd.DataFrame:
    """Return the summary of ``record``."""
    facts: dict[str, Any] = {
        "warmup_s": 10.0,
        "duration_s": 110.0,
        "slo": Slo({"latency_p50": 1.0, "latency_p99": 5.0}),
    }
    return Summary(record().tables(), NAMES, **(facts | changes)).table(by)


EXPECTED = {
    "requests": 7,
    "success_rate": 5 / 7,
    "throughput_rps": 5 / 100,
    "goodput_rps": 3 / 100,  # at 10 s, 30 s and 99 s
    "goodput_share": 3 / 7,
    "latency_mean_s": (1.0 + 2.0 + 3.0 + 6.0 + 1.2) / 5,
    "latency_p50_s": 2.0,
    "latency_p90_s": 3.0 + 0.6 * 3.0,  # position 3.6 of 1, 1.2, 2, 3, 6
    "latency_p95_s": 3.0 + 0.8 * 3.0,
    "latency_p99_s": 3.0 + 0.96 * 3.0,
    "latency_p999_s": 3.0 + 0.996 * 3.0,
    "ttft_p50_s": 0.2,
    "ttft_p90_s": 0.28,
    "ttft_p95_s": 0.29,
    "ttft_p99_s": 0.298,
    "ttft_p999_s": 0.2998,
    "tpot_p50_s": 0.02,
    "tpot_p90_s": 0.028,
    "tpot_p95_s": 0.029,
    "tpot_p99_s": 0.0298,
    "tpot_p999_s": 0.02998,
    "cache_hit_share": (30 + 70) / 200,  # those of 30 s and 99 s, on the node that knows
    "preemptions_per_request": (3 + 3) / 2,  # the same two
    "queue_wait_mean_s": (0.2 + 0.6 + 0.1 + 0.1 + 0.0) / 5,
    "queue_wait_p50_s": 0.1,
    "queue_wait_p90_s": 0.2 + 0.6 * 0.4,  # position 3.6 of 0, 0.1, 0.1, 0.2, 0.6
    "queue_wait_p95_s": 0.2 + 0.8 * 0.4,
    "queue_wait_p99_s": 0.2 + 0.96 * 0.4,
    "queue_wait_p999_s": 0.2 + 0.996 * 0.4,
    "attempts_per_request": (1 + 2 + 1 + 1 + 3 + 0 + 1) / 7,
    "hedges_per_request": 1 / 7,  # the third attempt at 50 s
    "turned_away_share": 1 / 7,  # the one at 60 s
    "cross_region_share": 1 / 5,  # the one at 20 s
    "privacy_violations": 1,  # a confidential request of 99 s served in east
    "model_violations": 1,  # the same, whose model is another
    "utilization_mean": 100 / (5 * 100),
    "imbalance": (60 * 2 + 20 * 1) / 100,
    "wasted_share": 15 / 150,
    "nodes_paid_mean": 3.0,
    "nodes_up_mean": 2.7,
    "cost_usd_per_hour": 18.0,
    "cost_usd_per_1k_ok": 1000 * 18.0 * (100 / 3600) / 5,
}


class TestFormulas:
    @pytest.mark.parametrize("measure", MEASURES)
    def test_measure(self, measure: str) -> None:
        """The measure is what its formula gives for seven requests."""
        assert summary().loc["all", measure] == pytest.approx(EXPECTED[measure], rel=1e-12)

    def test_columns(self) -> None:
        """A summary has every measure, in order, and nothing else."""
        assert list(summary().columns) == list(MEASURES) == list(EXPECTED)

    def test_without_an_objective(self) -> None:
        """Where neither stream nor scenario sets a limit, every success is good."""
        assert summary(slo=None).loc["all", "goodput_share"] == pytest.approx(4 / 7)

    def test_nothing_arrived(self) -> None:
        """Shares, means and percentiles of no request are missing, counts are 0."""
        row = summary(warmup_s=61.0, duration_s=62.0).loc["all"]

        assert row["requests"] == row["throughput_rps"] == row["privacy_violations"] == 0
        empty = ["success_rate", "goodput_share", "latency_p99_s", "attempts_per_request"]
        assert row[[*empty, "cross_region_share", "cost_usd_per_1k_ok"]].isna().all()

    def test_a_node_without_a_price(self) -> None:
        """The cost of a fleet is missing rather than too low when a price is not known."""
        nodes = (*NAMES.nodes[:2], replace(NAMES.nodes[2], cost_usd_per_hour=None))
        recorder = Recorder(replace(NAMES, nodes=nodes))
        for node in range(3):
            report_totals(recorder, node, 1.0, 1.0, 0.0, 1.0)

        found = Summary(recorder.tables(), NAMES, warmup_s=0.0, duration_s=1.0)
        row = found.table().loc["all"]

        assert pd.isna(row["cost_usd_per_hour"])
        assert row["utilization_mean"] == pytest.approx(3 / 5)

    def test_an_attempt_that_failed_in_a_forbidden_region_counts(self) -> None:
        """Data that a node worked on has left its bounds, whether or not an answer came."""
        recorder = record()
        row = recorder.request_arrived(stream=0, index=99, origin=0, arrived_s=100.0)
        for attempt, service_s in ((1, 0.3), (2, NAN)):
            attempt_row = recorder.attempt_started(
                request=row, attempt=attempt, gateway=0, node=2, hedge=False, started_s=100.0
            )
            recorder.attempt_finished(
                attempt_row,
                finished_s=101.0,
                outcome="timeout",
                queue_wait_s=0.0,
                service_s=service_s,
            )

        found = Summary(recorder.tables(), NAMES, warmup_s=10.0, duration_s=110.0)
        table = found.table("region")

        assert table["privacy_violations"].tolist()[:2] == [0, 2]


class TestGroups:
    @pytest.mark.parametrize("by", GROUPINGS)
    def test_groups_add_up(self, by: str) -> None:
        """Counts of the groups add up to those of the run, with a last row for the rest."""
        run = FakeWorld(duration_s=150.0, outage_s=(60.0, 90.0)).run()

        table, whole = run.summary(by), run.summary().loc["all"]

        assert table.index.name == by
        for measure in ("requests", "throughput_rps", "goodput_rps", "privacy_violations"):
            assert table[measure].sum() == pytest.approx(whole[measure]), measure

    def test_by_region(self) -> None:
        """A region's requests are those that it served, its nodes its own."""
        table = summary("region")

        assert table["requests"].tolist() == [4, 2, 1]
        assert table.loc["west", "success_rate"] == pytest.approx(3 / 4)
        assert table.loc["west", "imbalance"] == pytest.approx(60 * 2 / 80)
        assert table.loc["east", "cost_usd_per_hour"] == 10.0
        assert table.loc["east", "privacy_violations"] == 1
        assert pd.isna(table.index[-1])

    def test_by_origin(self) -> None:
        """Nodes belong to no origin, so their measures are missing there."""
        table = summary("origin")

        assert table["requests"].tolist() == [3, 4]
        assert table["utilization_mean"].isna().all()
        assert table["cost_usd_per_1k_ok"].isna().all()
        assert table.loc["east", "privacy_violations"] == 1

    def test_idle_groups_are_rows(self) -> None:
        """A node that served nothing stands in the table with 0 requests."""
        table = summary("node", warmup_s=10.0, duration_s=12.0)

        assert table["requests"].to_dict() == {"w-0": 1, "w-1": 0, "e-0": 0}

    def test_unknown_group(self) -> None:
        """An unknown grouping is refused, with the known ones named."""
        with pytest.raises(ResultsError, match=r"'colour'; choose one of origin, stream, region"):
            summary("colour")


class TestAgainstNumpy:
    def test_percentiles(self) -> None:
        """Percentiles are numpy's linear ones over the successful requests of the window."""
        run = FakeWorld(duration_s=100.0).run()
        ok = run.in_window[run.in_window["outcome"] == "ok"]["latency_s"].to_numpy()

        row = run.summary().loc["all"]

        assert row["latency_p95_s"] == np.quantile(ok, 0.95)
        assert row["latency_p999_s"] == np.quantile(ok, 0.999)
