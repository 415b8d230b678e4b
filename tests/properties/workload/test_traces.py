"""Traces: every file is either read as it stands or refused with a position."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsim.workload.traces.errors import TraceError
from fedsim.workload.traces.formats import FORMATS, Columns
from fedsim.workload.traces.reading import read_azure, read_trace

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"

rows = st.lists(
    st.tuples(
        st.integers(0, 3600 * 10**7), st.integers(0, 999_999_999), st.integers(0, 999_999_999)
    ),
    min_size=1,
    max_size=20,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Return a file that each example overwrites."""
    return tmp_path_factory.mktemp("traces") / "trace.csv"


def line_of(ticks, prompt, output):
    """Return the row of a request *ticks* of 100 ns after midnight."""
    seconds, fraction = divmod(ticks, 10**7)
    minutes, seconds = divmod(seconds, 60)
    time = f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}.{fraction:07d}"
    return f"2024-02-29 {time},{prompt},{output}"


@given(rows=rows)
def test_round_trip(path, rows):
    """What is written in the format is read back exactly."""
    rows = sorted(rows)
    path.write_text("\n".join([HEADER, *(line_of(*row) for row in rows)]))
    trace = read_azure(path)

    first = rows[0][0]
    assert trace.times_s.tolist() == [(ticks - first) * 100 / 1e9 for ticks, _, _ in rows]
    assert trace.prompt_tokens.tolist() == [prompt for _, prompt, _ in rows]
    assert trace.output_tokens.tolist() == [output for _, _, output in rows]


@given(
    rows=rows, broken=st.text(st.characters(exclude_categories=["Cs"]), max_size=30), data=st.data()
)
def test_any_other_line_is_named(path, rows, broken, data):
    """A line that is no row is refused by its number, whatever stands in it."""
    good = [HEADER, *(line_of(*row) for row in sorted(rows))]
    at = data.draw(st.integers(1, len(good) - 1))
    broken = broken.replace("\n", "").replace("\r", "")
    path.write_text("\n".join([*good[:at], broken, *good[at:]]), encoding="utf-8", newline="")

    with pytest.raises(TraceError) as caught:
        read_azure(path)
    assert caught.value.line == at + 1
    assert caught.value.message
    assert caught.value.remedy


@given(content=st.binary(max_size=200))
def test_any_bytes_are_refused(path, content):
    """No content whatever gives another error than a ``TraceError``."""
    path.write_bytes(content)

    with pytest.raises(TraceError):
        read_azure(path)


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(0, 10),
    st.just(10**400),
    st.just(-(2**63)),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.one_of(st.integers(), st.none(), st.text(max_size=2)), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)
objects = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("timestamp", "input_length", "output_length", "hash_ids", "time", "who"), values
    ),
)
lines = st.lists(
    st.one_of(objects.map(json.dumps), st.text(st.characters(codec="utf-8"), max_size=20)),
    max_size=4,
)


@pytest.mark.parametrize("form", [None, *FORMATS])
@given(content=st.one_of(st.binary(max_size=100), lines.map("\n".join).map(str.encode)))
def test_anything_is_read_or_refused(path, form, content):
    """No content whatever gives another error than a ``TraceError``, in any format."""
    path.write_bytes(content)
    columns = Columns("time", "input_length", "output_length", "who")

    for where in ({}, {"who": "1"}):
        with suppress(TraceError):
            assert len(read_trace(path, form, columns, where)) > 0


good = st.fixed_dictionaries(
    {
        "timestamp": st.integers(0, 10**6),
        "input_length": st.integers(0, 999_999_999),
        "output_length": st.integers(0, 999_999_999),
        "hash_ids": st.lists(st.integers(0, 2**63 - 1), max_size=4),
    }
)


@given(rows=st.lists(good, min_size=1, max_size=8), end=st.sampled_from(["", "\n", "\r\n", "\n\n"]))
def test_round_trip_of_blocks(path, rows, end):
    """What is written as JSON lines is read back exactly."""
    rows = sorted(rows, key=lambda row: row["timestamp"])
    path.write_text("\n".join(map(json.dumps, rows)) + end, encoding="utf-8")
    trace = read_trace(path, "mooncake")
    prompts = trace.prompts(slice(0, len(rows)))

    assert prompts is not None
    assert trace.prompt_tokens.tolist() == [row["input_length"] for row in rows]
    assert [list(each.blocks) for each in prompts] == [row["hash_ids"] for row in rows]


@given(rows=st.lists(good, min_size=1, max_size=5), wrong=objects, data=st.data())
def test_a_wrong_object_is_named(path, rows, wrong, data):
    """An object that lacks something is refused by its line, whatever else stands in it."""
    rows = sorted(rows, key=lambda row: row["timestamp"])
    gone = data.draw(st.sampled_from(sorted(rows[0])))
    at = data.draw(st.integers(1, len(rows)))
    broken = {name: value for name, value in (rows[0] | wrong).items() if name != gone}
    path.write_text("\n".join(map(json.dumps, [*rows[:at], broken, *rows[at:]])), encoding="utf-8")

    with pytest.raises(TraceError) as caught:
        read_trace(path, "mooncake")
    assert caught.value.line == at + 1
