"""What the recorder keeps, and the shape of the tables that it becomes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fedsim.results.columns import BLOCK_ROWS, OUTCOMES, AttemptColumns, RequestColumns
from fedsim.results.recorder import Recorder
from tests.fake_world import FakeWorld, directory

REQUESTS = [
    "request_id",
    "stream",
    "tenant",
    "session",
    "user",
    "turn",
    "origin",
    "capability",
    "privacy",
    "arrived_s",
    "finished_s",
    "outcome",
    "node",
    "region",
    "attempts",
    "latency_s",
    "network_s",
    "queue_wait_s",
    "service_s",
    "ttft_s",
    "tpot_s",
    "prompt_tokens",
    "cached_tokens",
    "output_tokens",
    "preemptions",
    "cost_usd",
]
ATTEMPTS = [
    "request_id",
    "attempt",
    "gateway",
    "node",
    "region",
    "hedge",
    "started_s",
    "finished_s",
    "outcome",
    "queue_wait_s",
    "service_s",
]
NODES = [
    "time_s",
    "node",
    "pool",
    "region",
    "up",
    "running",
    "queued",
    "utilization",
    "kv_used_tokens",
]
EVENTS = ["time_s", "kind", "subject", "gateway", "before", "after", "detail"]
CATEGORIES = {
    "stream",
    "tenant",
    "origin",
    "capability",
    "privacy",
    "outcome",
    "node",
    "region",
    "gateway",
    "pool",
    "kind",
}


def arrive(recorder: Recorder, arrived_s: float, **changes: Any) -> int:
    """Report an arrival of the stream chat."""
    facts: dict[str, Any] = {
        "stream": 0,
        "index": 0,
        "tenant": -1,
        "origin": 0,
        "prompt_tokens": -1,
        "output_tokens": -1,
    }
    return recorder.request_arrived(arrived_s=arrived_s, **(facts | changes))


def finish(recorder: Recorder, row: int, finished_s: float, **changes: Any) -> None:
    """Report the success of a request on the first node."""
    facts: dict[str, Any] = {
        "outcome": "ok",
        "node": 0,
        "network_s": 0.1,
        "queue_wait_s": 0.0,
        "service_s": 0.5,
        "ttft_s": math.nan,
        "tpot_s": math.nan,
        "cost_usd": 0.01,
        "output_tokens": -1,
        "cached_tokens": -1,
        "preemptions": -1,
    }
    recorder.request_finished(row, finished_s, **(facts | changes))


class TestTables:
    """Names, order and types of the columns are a format."""

    @pytest.mark.parametrize(
        ("table", "columns"),
        [("requests", REQUESTS), ("attempts", ATTEMPTS), ("nodes", NODES), ("events", EVENTS)],
    )
    @pytest.mark.parametrize("duration_s", [0.0, 20.0])
    def test_columns(self, table: str, columns: list[str], duration_s: float) -> None:
        """Every table has its documented columns in order, also without a row."""
        frame = FakeWorld(duration_s=duration_s, outage_s=None).record().tables()[table]

        assert list(frame.columns) == columns
        for column in columns:
            is_category = isinstance(frame[column].dtype, pd.CategoricalDtype)
            assert is_category == (column in CATEGORIES), column

    def test_types_without_a_row_are_those_with_many(self) -> None:
        """An empty table has the types of a full one, so that code for one works on the other."""
        full = FakeWorld(duration_s=200.0).record().tables()
        empty = Recorder(directory()).tables()

        for name in ("requests", "attempts", "nodes", "events", "node_totals"):
            plain = full[name].dtypes.drop(["tenant", "kind"], errors="ignore")
            assert plain.equals(empty[name].dtypes.drop(["tenant", "kind"], errors="ignore")), name

    def test_categories_are_the_whole_directory(self) -> None:
        """A node that served nothing is a category all the same, in the directory's order."""
        names = directory()

        requests = Recorder(names).tables().requests

        assert list(requests["node"].cat.categories) == [node.name for node in names.nodes]
        assert list(requests["outcome"].cat.categories) == list(OUTCOMES)
        assert requests["privacy"].cat.ordered

    def test_access_gives_a_copy(self) -> None:
        """A user who changes a table changes neither the run nor what another one sees."""
        tables = FakeWorld(duration_s=20.0).record().tables()
        before = tables.requests["latency_s"].tolist()

        mine = tables.requests
        mine["latency_s"] = 0.0
        mine.loc[:, "arrived_s"] = -1.0

        assert tables.requests["latency_s"].tolist() == before
        assert (tables.requests["arrived_s"] >= 0.0).all()


class TestRequests:
    def test_rows_stand_in_the_order_of_arrival(self) -> None:
        """A request that finishes first keeps its place after one that arrived earlier."""
        recorder = Recorder(directory())
        first = arrive(recorder, 1.0, index=0)
        second = arrive(recorder, 2.0, index=1, stream=1)
        finish(recorder, second, 2.5)
        finish(recorder, first, 9.0, outcome="timeout", node=-1)

        requests = recorder.tables().requests

        assert requests["request_id"].tolist() == ["chat-0", "code-1"]
        assert requests["latency_s"].tolist() == [8.0, 0.5]
        assert requests["outcome"].tolist() == ["timeout", "ok"]
        assert requests["region"].tolist()[1] == "us-east"

    def test_unfinished(self) -> None:
        """What never ended is there, says so, and has missing values where nothing is known."""
        recorder = Recorder(directory())
        arrive(recorder, 1.0)

        row = recorder.tables().requests.iloc[0]

        assert row["outcome"] == "unfinished"
        missing = ["finished_s", "latency_s", "network_s", "queue_wait_s", "service_s", "ttft_s"]
        missing += ["tpot_s", "cached_tokens", "preemptions"]
        missing += ["node", "region", "tenant", "prompt_tokens", "output_tokens", "cost_usd"]
        assert row[missing].isna().all()
        assert row["attempts"] == 0

    def test_more_than_a_block(self) -> None:
        """Room is made for any number of rows, and none of it shows in the tables."""
        recorder = Recorder(directory())
        count = 2 * BLOCK_ROWS + 3
        for index in range(count):
            row = arrive(recorder, float(index), index=index)
            recorder.attempt_started(row, 1, 0, 0, False, float(index))

        tables = recorder.tables()

        assert len(tables.requests) == len(tables.attempts) == count
        assert tables.requests["request_id"].iloc[-1] == f"chat-{count - 1}"
        assert tables.attempts["request_id"].iloc[-1] == f"chat-{count - 1}"

    def test_tenants_are_named_by_stream_and_number(self) -> None:
        """Two streams' tenants of one number differ; only those seen are categories."""
        recorder = Recorder(directory())
        for stream, tenant in ((1, 3), (0, 7), (0, 3), (0, -1)):
            arrive(recorder, 1.0, stream=stream, tenant=tenant)

        tenants = recorder.tables().requests["tenant"]

        assert tenants.tolist()[:3] == ["code-tenant-3", "chat-tenant-7", "chat-tenant-3"]
        assert tenants.isna().tolist() == [False, False, False, True]
        seen = ["chat-tenant-3", "chat-tenant-7", "code-tenant-3"]
        assert list(tenants.cat.categories) == seen

    def test_output_tokens_of_the_answer_replace_those_asked_for(self) -> None:
        """A known number at the end wins over the one at arrival; an unknown one does not."""
        recorder = Recorder(directory())
        rows = [arrive(recorder, 1.0, output_tokens=100) for _ in range(2)]
        finish(recorder, rows[0], 2.0, output_tokens=60)
        finish(recorder, rows[1], 2.0, output_tokens=-1)

        assert recorder.tables().requests["output_tokens"].tolist() == [60, 100]

    def test_a_plug_ins_own_outcome(self) -> None:
        """An error kind that nobody announced becomes a category of its own."""
        recorder = Recorder(directory())
        finish(recorder, arrive(recorder, 1.0), 2.0, outcome="too_sleepy")

        assert recorder.tables().requests["outcome"].tolist() == ["too_sleepy"]


class TestAttempts:
    def test_attempts_are_counted_and_keep_their_order(self) -> None:
        """A request's attempts are those reported for it, hedges too, in the order of starts."""
        recorder = Recorder(directory())
        rows = [arrive(recorder, 1.0, index=index) for index in range(2)]
        one = recorder.attempt_started(rows[1], 1, 0, 4, False, 1.0)
        two = recorder.attempt_started(rows[1], 2, 0, 5, True, 1.2)
        recorder.attempt_finished(two, 1.9, "ok", 0.0, 0.6)
        recorder.attempt_finished(one, 2.0, "cancelled", math.nan, math.nan)

        tables = recorder.tables()

        assert tables.requests["attempts"].tolist() == [0, 2]
        assert tables.attempts["outcome"].tolist() == ["cancelled", "ok"]
        assert tables.attempts["hedge"].tolist() == [False, True]
        assert tables.attempts["region"].tolist() == ["eu-west", "eu-west"]
        assert tables.request_rows.tolist() == [1, 1]


class TestEvents:
    def test_an_empty_text_is_missing(self) -> None:
        """A fault has no gateway, and a warning neither before nor after."""
        recorder = Recorder(directory())
        recorder.event(1.0, "fault", "eu-west", "", "up", "down", "outage")
        recorder.event(2.0, "plugin", "my:Router", "us-east/0", "", "", "waited past a deadline")

        events = recorder.tables().events

        assert events["gateway"].isna().tolist() == [True, False]
        assert events["before"].isna().tolist() == [False, True]
        assert events["kind"].tolist() == ["fault", "plugin"]

    def test_rows_stand_in_the_order_of_time(self) -> None:
        """What is reported late, as of an earlier time, stands where it belongs."""
        recorder = Recorder(directory())
        recorder.event(1.0, "fault", "eu-west", "", "up", "down", "outage")
        recorder.event(9.0, "fault", "eu-west", "", "down", "up", "outage")
        recorder.event(5.0, "breaker", "eu-1", "us-east/0", "open", "half_open", "time passed")
        recorder.event(9.0, "breaker", "eu-1", "us-east/0", "half_open", "open", "a probe failed")

        events = recorder.tables().events

        assert events["time_s"].tolist() == [1.0, 5.0, 9.0, 9.0]
        assert events["kind"].tolist() == ["fault", "breaker", "fault", "breaker"]


class TestCost:
    def test_bytes_a_request(self) -> None:
        """The columns of a request with one attempt hold at most 139 bytes."""
        recorder = Recorder(directory())
        request, attempt = recorder.requests, recorder.attempts
        assert isinstance(request, RequestColumns)
        assert isinstance(attempt, AttemptColumns)

        held = sum(
            getattr(columns, name).itemsize
            for columns in (request, attempt)
            for name in columns.__dataclass_fields__
        )

        assert held <= 139

    def test_floats_are_not_copied(self) -> None:
        """A table's columns of floats are the recorder's own memory."""
        recorder = FakeWorld(duration_s=20.0).record()

        requests = recorder.tables().requests

        for name in ("arrived_s", "finished_s", "queue_wait_s", "cost_usd"):
            column = np.asarray(getattr(recorder.requests, name))
            assert np.shares_memory(column, requests[name].to_numpy()), name
