"""Traces: every file is either read as it stands or refused with a position."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsim.workload import TraceError, read_azure

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
