"""What the recorder keeps, and the shape of the tables that it becomes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from fedsim.results.columns import TABLES
from fedsim.results.kinds import OUTCOMES
from fedsim.results.recorder import Recorder
from fedsim.results.rows import BLOCK_ROWS
from tests.fake_world import FakeWorld, directory

CODES = "category"
DTYPES = {
    "requests": {
        "request_id": "str",
        "stream": CODES,
        "tenant": CODES,
        "session": "Int32",
        "user": "Int32",
        "turn": "Int32",
        "origin": CODES,
        "capability": CODES,
        "privacy": CODES,
        "arrived_s": "float64",
        "finished_s": "float64",
        "outcome": CODES,
        "node": CODES,
        "region": CODES,
        "attempts": "int32",
        "latency_s": "float64",
        "network_s": "float64",
        "queue_wait_s": "float64",
        "service_s": "float64",
        "ttft_s": "float64",
        "tpot_s": "float64",
        "prompt_tokens": "Int32",
        "cached_tokens": "Int32",
        "output_tokens": "Int32",
        "preemptions": "Int32",
        "cost_usd": "float64",
    },
    "attempts": {
        "request_id": "str",
        "attempt": "int32",
        "gateway": CODES,
        "node": CODES,
        "region": CODES,
        "hedge": "bool",
        "started_s": "float64",
        "finished_s": "float64",
        "outcome": CODES,
        "queue_wait_s": "float64",
        "service_s": "float64",
    },
    "nodes": {
        "time_s": "float64",
        "node": CODES,
        "pool": CODES,
        "region": CODES,
        "up": "bool",
        "running": "int32",
        "queued": "int32",
        "utilization": "float64",
        "kv_used_tokens": "Int32",
    },
    "events": {
        "time_s": "float64",
        "kind": CODES,
        "subject": "str",
        "gateway": CODES,
        "before": "str",
        "after": "str",
        "detail": "str",
    },
    "node_totals": {
        "node": CODES,
        "pool": CODES,
        "region": CODES,
        "slots": "int64",
        "cost_usd_per_hour": "float64",
        "up_s": "float64",
        "busy_slot_s": "float64",
        "wasted_slot_s": "float64",
        "window_busy_slot_s": "float64",
        "window_busy_s": "float64",
        "paid_s": "float64",
        "window_paid_s": "float64",
        "window_up_s": "float64",
    },
    "decisions": {
        "request_id": "str",
        "attempt": "int32",
        "time_s": "float64",
        "gateway": CODES,
        "outcome": CODES,
        "node": CODES,
        "region": CODES,
        "chosen": "bool",
        "eligible": "boolean",
        "rejection_reason": "str",
        "latency_score": "float64",
        "throughput_score": "float64",
        "cost_score": "float64",
        "locality_score": "float64",
        "health_score": "float64",
        "total_score": "float64",
        "estimated_latency_s": "float64",
        "health": "str",
        "circuit": "str",
        "in_flight": "Int32",
        "reported_depth": "Int32",
        "reported_age_s": "float64",
        "actual_depth": "int32",
    },
}
"""Names, order and types as scripts and saved runs rely on them."""


def arrive(recorder: Recorder, arrived_s: float, **changes: Any) -> int:
    """Report an arrival of the stream chat."""
    facts: dict[str, Any] = {
        "stream": 0,
        "index": 0,
        "origin": 0,
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
        "cost_usd": 0.01,
    }
    recorder.request_finished(row, finished_s=finished_s, **(facts | changes))


def start(recorder: Recorder, row: int, started_s: float, **changes: Any) -> int:
    """Report the start of an attempt of a request on the first node."""
    facts: dict[str, Any] = {"attempt": 1, "gateway": 0, "node": 0, "hedge": False}
    return recorder.attempt_started(request=row, started_s=started_s, **(facts | changes))


def consider(recorder: Recorder, row: int, **changes: Any) -> None:
    """Report that a gateway considered the first node for a request."""
    facts: dict[str, Any] = {
        "attempt": 1,
        "time_s": 1.0,
        "gateway": 0,
        "outcome": "ok",
        "node": 0,
        "chosen": True,
        "actual_depth": 0,
    }
    recorder.candidate_considered(request=row, **(facts | changes))


def shape(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the name and the dtype of each column."""
    return [
        (str(name), CODES if isinstance(dtype, pd.CategoricalDtype) else str(dtype))
        for name, dtype in frame.dtypes.items()
    ]


class TestTables:
    """Names, order and types of the columns are a format."""

    @pytest.mark.parametrize("duration_s", [0.0, 20.0])
    @pytest.mark.parametrize("table", [name for name in DTYPES if name != "decisions"])
    def test_columns(self, table: str, duration_s: float) -> None:
        """Every table has these columns in this order, also without a row."""
        frame = FakeWorld(duration_s=duration_s, outage_s=None).record().tables()[table]

        assert shape(frame) == list(DTYPES[table].items())

    def test_decisions(self) -> None:
        """The table of decisions, which is there only where one was reported, has its columns."""
        recorder = Recorder(directory())
        consider(recorder, arrive(recorder, 1.0))

        assert shape(recorder.tables()["decisions"]) == list(DTYPES["decisions"].items())

    def test_all_that_is_declared(self) -> None:
        """No table is declared that this page does not know."""
        declared = {
            name: [(column.name, column.kind.dtype) for column in table.shown]
            for name, table in TABLES.items()
        }

        assert declared == {name: list(dtypes.items()) for name, dtypes in DTYPES.items()}

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
            start(recorder, row, float(index))

        tables = recorder.tables()

        assert len(tables.requests) == len(tables.attempts) == count
        assert tables.requests["request_id"].iloc[-1] == f"chat-{count - 1}"
        assert tables.attempts["request_id"].iloc[-1] == f"chat-{count - 1}"

    def test_tenants_are_named_by_stream_and_number(self) -> None:
        """Two streams' tenants of one number differ; only those seen are categories."""
        recorder = Recorder(directory())
        for stream, tenant in ((1, 3), (0, 7), (0, 3), (0, -1)):
            arrive(recorder, 1.0, stream=stream, tenant_number=tenant)

        tenants = recorder.tables().requests["tenant"]

        assert tenants.tolist()[:3] == ["code-tenant-3", "chat-tenant-7", "chat-tenant-3"]
        assert tenants.isna().tolist() == [False, False, False, True]
        seen = ["chat-tenant-3", "chat-tenant-7", "code-tenant-3"]
        assert list(tenants.cat.categories) == seen

    def test_a_plug_ins_own_outcome(self) -> None:
        """An error kind that fedsim does not know becomes a category of its own."""
        recorder = Recorder(directory())
        finish(recorder, arrive(recorder, 1.0), 2.0, outcome="too_sleepy")

        assert recorder.tables().requests["outcome"].tolist() == ["too_sleepy"]


class TestAttempts:
    def test_attempts_are_counted_and_keep_their_order(self) -> None:
        """A request's attempts are those reported for it, hedges too, in the order of starts."""
        recorder = Recorder(directory())
        rows = [arrive(recorder, 1.0, index=index) for index in range(2)]
        one = start(recorder, rows[1], 1.0, node=4)
        two = start(recorder, rows[1], 1.2, attempt=2, node=5, hedge=True)
        recorder.attempt_finished(
            two, finished_s=1.9, outcome="ok", queue_wait_s=0.0, service_s=0.6
        )
        recorder.attempt_finished(one, finished_s=2.0, outcome="cancelled")

        tables = recorder.tables()

        assert tables.requests["attempts"].tolist() == [0, 2]
        assert tables.attempts["outcome"].tolist() == ["cancelled", "ok"]
        assert tables.attempts["hedge"].tolist() == [False, True]
        assert tables.attempts["region"].tolist() == ["eu-west", "eu-west"]
        assert tables.request_rows.tolist() == [1, 1]


class TestEvents:
    def report(self, recorder: Recorder, *values: Any) -> None:
        """Report an event: its time, kind, subject, gateway, before, after and detail."""
        names = DTYPES["events"]
        recorder.event(**dict(zip(names, values, strict=True)))

    def test_an_empty_text_is_missing(self) -> None:
        """A fault has no gateway, and a warning neither before nor after."""
        recorder = Recorder(directory())
        self.report(recorder, 1.0, "fault", "eu-west", "", "up", "down", "outage")
        recorder.event(time_s=2.0, kind="plugin", subject="my:Router", gateway="us-east/0")

        events = recorder.tables().events

        assert events["gateway"].isna().tolist() == [True, False]
        assert events["before"].isna().tolist() == [False, True]
        assert events["detail"].isna().tolist() == [False, True]
        assert events["kind"].tolist() == ["fault", "plugin"]

    def test_rows_stand_in_the_order_of_time(self) -> None:
        """What is reported late, as of an earlier time, stands where it belongs."""
        recorder = Recorder(directory())
        self.report(recorder, 1.0, "fault", "eu-west", "", "up", "down", "outage")
        self.report(recorder, 9.0, "fault", "eu-west", "", "down", "up", "outage")
        self.report(recorder, 5.0, "breaker", "eu-1", "us-east/0", "open", "half_open", "in time")
        self.report(recorder, 9.0, "breaker", "eu-1", "us-east/0", "half_open", "open", "probe")

        events = recorder.tables().events

        assert events["time_s"].tolist() == [1.0, 5.0, 9.0, 9.0]
        assert events["kind"].tolist() == ["fault", "breaker", "fault", "breaker"]


class TestNodeTotals:
    def test_a_node_that_was_never_reported(self) -> None:
        """Every node of the directory has a row, with missing values where nothing is known."""
        recorder = Recorder(directory())
        recorder.node_totals(1, up_s=5.0)

        totals = recorder.tables().node_totals

        assert totals["node"].tolist() == [node.name for node in directory().nodes]
        assert totals["up_s"].isna().tolist()[:3] == [True, False, True]
        assert totals["busy_slot_s"].isna().all()


class TestReports:
    """What a reporter may leave out, and what not."""

    def test_a_value_of_no_column(self) -> None:
        """A name that no column has is a mistake, not a value that is lost."""
        recorder = Recorder(directory())

        with pytest.raises(TypeError, match="hops"):
            arrive(recorder, 1.0, hops=3)

    def test_what_a_row_cannot_be_without(self) -> None:
        """A row needs its time, and its end an outcome."""
        recorder = Recorder(directory())

        with pytest.raises(TypeError, match="arrived_s"):
            recorder.request_arrived(stream=0, index=0, origin=0)
        with pytest.raises(TypeError, match="outcome"):
            recorder.request_finished(arrive(recorder, 1.0), finished_s=2.0)


class TestCost:
    def test_bytes_a_request(self) -> None:
        """The columns of a request with one attempt hold at most 139 bytes."""
        recorder = Recorder(directory())

        held = sum(
            values.itemsize
            for table in ("requests", "attempts")
            for values in recorder.rows[table].arrays.values()
        )

        assert held <= 139

    def test_floats_are_not_copied(self) -> None:
        """A table's columns of floats are the recorder's own memory."""
        recorder = FakeWorld(duration_s=20.0).record()

        requests = recorder.tables().requests

        for name in ("arrived_s", "finished_s", "queue_wait_s", "cost_usd"):
            column = np.asarray(recorder.rows["requests"].arrays[name])
            assert np.shares_memory(column, requests[name].to_numpy()), name
