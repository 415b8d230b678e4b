"""Whatever the world reports, the tables say it, files keep it, and summaries add up."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsim.charts.intervals import merged
from fedsim.results.conservation import littles_law
from fedsim.results.digest import digest
from fedsim.results.run import Run
from fedsim.results.slo import Slo
from fedsim.results.summary import GROUPINGS
from fedsim.results.tables import NAMES as TABLES
from tests.properties.results.histories import NAMES, History, histories, record


def run_of(items: list[History]) -> Run:
    """Return a run of these histories, with half of the time as warm-up."""
    return Run(
        record(items),
        directory=NAMES,
        name="random",
        scenario_yaml="",
        seed=0,
        strategy="none",
        warmup_s=50.0,
        duration_s=100.0,
        slo=Slo({"latency_p99": 30.0}),
    )


@given(histories)
def test_every_request_is_in_the_table(items: list[History]) -> None:
    """Each row says what was reported of its request, and only what was never known is missing."""
    requests = run_of(items).requests

    assert len(requests) == len(items)
    rows = requests.astype(object).where(requests.notna(), None).to_dict("records")
    for index, (row, item) in enumerate(zip(rows, items, strict=True)):
        stream = NAMES.streams[item.stream]
        ended = item.sojourn_s is not None and item.outcome != "unfinished"
        node = NAMES.nodes[item.attempts[-1][1]] if item.attempts and ended else None
        assert row["request_id"] == f"{stream.name}-{index}"
        assert row["tenant"] == (stream.tenant_id(item.tenant) if item.tenant >= 0 else None)
        assert row["privacy"] == stream.privacy.name.lower()
        assert row["outcome"] == (item.outcome if ended else "unfinished")
        assert row["node"] == (node.name if node else None)
        assert row["region"] == (node.region if node else None)
        assert row["attempts"] == len(item.attempts)
        assert row["prompt_tokens"] == (item.tokens if item.tokens >= 0 else None)
        assert (row["finished_s"] is None) == (not ended)


@given(histories)
@settings(max_examples=25)
def test_files_keep_everything(items: list[History]) -> None:
    """A run read again has the same tables, types, digest and summaries."""
    run = run_of(items)

    with tempfile.TemporaryDirectory() as folder:
        loaded = Run.load(run.save(Path(folder) / "run", charts=False))
        for table in TABLES:
            pd.testing.assert_frame_equal(loaded.tables[table], run.tables[table])
        assert loaded.digest == run.digest
        pd.testing.assert_frame_equal(loaded.summary("stream"), run.summary("stream"))


@given(histories)
@settings(max_examples=50)
def test_groups_add_up(items: list[History]) -> None:
    """However they are grouped, requests, goodput and violations add up to the run's."""
    run = run_of(items)
    whole = run.summary().loc["all"]

    for by in GROUPINGS:
        table = run.summary(by)
        for measure in ("requests", "goodput_rps", "throughput_rps", "privacy_violations"):
            assert table[measure].sum() == pytest.approx(whole[measure]), (by, measure)


@given(histories)
@settings(max_examples=50)
def test_measures_are_in_their_range(items: list[History]) -> None:
    """Shares lie in [0, 1], goodput is at most throughput, percentiles ascend."""
    row = run_of(items).summary().loc["all"]

    for share in ("success_rate", "goodput_share", "cross_region_share", "utilization_mean"):
        assert pd.isna(row[share]) or 0.0 <= row[share] <= 1.0
    assert row["goodput_rps"] <= row["throughput_rps"]
    assert 1.0 <= row["imbalance"] <= 2.0
    percentiles = [row[f"latency_{name}_s"] for name in ("p50", "p90", "p95", "p99", "p999")]
    assert pd.isna(percentiles[0]) or percentiles == sorted(percentiles)


@given(histories)
@settings(max_examples=50)
def test_littles_law(items: list[History]) -> None:
    """The area under the number in system is the sum of sojourns, exactly, whatever the end."""
    run = run_of(items)

    for end_s in (100.0, 150.0, 250.0):
        assert littles_law(run.requests, end_s).holds


@given(histories, st.integers(0, 24))
@settings(max_examples=50)
def test_digest_tells_histories_apart(items: list[History], place: int) -> None:
    """A run with a request less has another digest, the same run the same."""
    before = digest(record(items).tables())

    assert digest(record(items).tables()) == before
    if place < len(items):
        assert digest(record(items[:place] + items[place + 1 :]).tables()) != before


_spans = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 10)).map(lambda span: (span[0], sum(span)))
)


@given(_spans)
def test_merged_spans_cover_the_same_time(spans: list[tuple[int, int]]) -> None:
    """The union covers exactly what any span covers, in order and without overlaps."""
    union = merged(spans)

    for (_, end), (start, _) in pairwise(union):
        assert end < start
    for instant in np.arange(0.25, 61.0, 0.5).tolist():
        inside = any(start <= instant <= end for start, end in spans)
        assert inside == any(start <= instant <= end for start, end in union)
