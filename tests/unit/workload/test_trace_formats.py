"""Traces of every format: what is read of them, and what is refused with which words."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fedsim.workload.details import Prompt
from fedsim.workload.traces.errors import TraceError
from fedsim.workload.traces.formats import Columns, recognised
from fedsim.workload.traces.reading import read_trace

BURST = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type"
BURST_ROWS = ["5,ChatGPT,472,18,490,Conversation log", "45,GPT-4,1087,0,1087,API log"]
OWN = {"ts": 0.5, "in": 7, "out": 3, "who": "acme", "site": 4, "model": "large"}
COLUMNS = Columns("ts", "in", "out", "who", "site")


@pytest.fixture
def write(tmp_path):
    """Return a function that writes lines to a file and returns its path."""

    def write(*lines, compressed=False):
        content = "".join(f"{line}\n" for line in lines).encode()
        path = tmp_path / "trace"
        path.write_bytes(gzip.compress(content) if compressed else content)
        return path

    return write


def failure(path, *arguments):
    """Return the error that reading *path* gives."""
    with pytest.raises(TraceError) as caught:
        read_trace(path, *arguments)
    return caught.value


class TestBurstGpt:
    def test_failures_are_left_out_and_counted(self, write):
        """A row without response tokens is a failed request."""
        trace = read_trace(write(BURST, *BURST_ROWS, "118.5,ChatGPT,417,276,693,API log"))

        assert trace.times_s.tolist() == [0.0, 113.5]
        assert trace.prompt_tokens.tolist() == [472, 417]
        assert trace.output_tokens.tolist() == [18, 276]
        assert trace.failures == 1

    def test_newer_files(self, write):
        """Newer files have a session and an elapsed time, which may be empty."""
        rows = ["5,7,,ChatGPT,472,18,490,Conversation log", "6,,1.5,GPT-4,3,4,7,API log"]
        header = BURST.replace("Timestamp", "Timestamp,Session ID,Elapsed time")
        trace = read_trace(write(header, *rows))

        assert trace.prompt_tokens.tolist() == [472, 3]

    def test_where(self, write):
        """Rows of one model can be picked; failures of others are not counted."""
        path = write(BURST, *BURST_ROWS)
        trace = read_trace(path, where={"Model": "ChatGPT"})

        assert (len(trace), trace.failures) == (1, 0)
        assert "No row of the trace is left." in str(failure(path, None, Columns(), {"Model": "x"}))

    def test_broken(self, write):
        """The first wrong line is named, and with it what is wrong."""
        error = failure(write(BURST, *BURST_ROWS, "60,GPT-4,1,many,2,API log", "x"))

        assert error.line == 4
        assert error.message == "Response tokens is 'many', not a whole number of tokens."


class TestBlocks:
    ROWS = (
        {"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [0, 1]},
        {"timestamp": 27, "input_length": 10, "output_length": 0, "hash_ids": []},
        {"timestamp": 3000, "input_length": 512, "output_length": 6, "hash_ids": [2**62]},
    )

    @pytest.mark.parametrize("compressed", [False, True])
    def test_mooncake(self, write, compressed):
        """Times are in milliseconds; prompts consist of blocks of 512 tokens."""
        path = write(*map(json.dumps, self.ROWS), compressed=compressed)
        trace = read_trace(path)

        assert recognised(str(path)) == "mooncake"
        assert trace.times_s.tolist() == [0.0, 0.027, 3.0]
        assert trace.prompts(slice(0, 2)) == [Prompt((0, 1), 512), Prompt((), 512)]
        assert trace.prompts(slice(2, 9)) == [Prompt((2**62,), 512)]

    def test_bailian(self, write):
        """Times are in seconds, blocks of 16 tokens."""
        more = {"chat_id": 1, "parent_chat_id": -1, "type": "text", "turn": 1}
        path = write(*(json.dumps(more | row) for row in self.ROWS))
        trace = read_trace(path)

        assert recognised(str(path)) == "bailian"
        assert trace.times_s.tolist() == [0.0, 27.0, 3000.0]
        assert trace.blocks is not None
        assert trace.blocks.block_tokens == 16

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("", "The line is empty."),
            ("{", "The line '{' is not a JSON object."),
            ("[1]", "The line '[1]' is not a JSON object."),
            ('{"timestamp": 1}', "The row has no input_length."),
            (json.dumps(ROWS[0] | {"input_length": 1.5}), "input_length is 1.5, not a whole"),
            (json.dumps(ROWS[0] | {"input_length": True}), "input_length is True, not a whole"),
            (json.dumps(ROWS[0] | {"output_length": -1}), "output_length is -1, not a whole"),
            (json.dumps(ROWS[0] | {"timestamp": "now"}), "timestamp is 'now', not a time."),
            (json.dumps(ROWS[0] | {"timestamp": None}), "timestamp is None, not a time."),
            (json.dumps(ROWS[0] | {"timestamp": -1}), "out of order: -1 is earlier than 3000"),
            (json.dumps(ROWS[0] | {"timestamp": 4000, "hash_ids": [-1]}), "hash_ids is not a list"),
            (json.dumps(ROWS[0] | {"timestamp": 4000, "hash_ids": [None]}), "hash_ids is not a"),
            (json.dumps(ROWS[0] | {"timestamp": 4000, "hash_ids": None}), "hash_ids is not a list"),
            (json.dumps(ROWS[0]) + json.dumps(ROWS[0]), "is not a JSON object."),
        ],
    )
    def test_broken(self, write, row, message):
        """The first wrong line is named, and with it what is wrong."""
        last = json.dumps(self.ROWS[-1])
        error = failure(write(*map(json.dumps, self.ROWS), row, last), "mooncake")

        assert error.line == 4
        assert message in error.message

    def test_long_files_are_read_in_parts(self, write, monkeypatch):
        """Where a part of a file ends, no row is lost or cut."""
        monkeypatch.setattr("fedsim.workload.traces.jsonl_files._CHUNK_BYTES", 100)
        rows = [self.ROWS[0] | {"timestamp": n, "hash_ids": list(range(n % 7))} for n in range(50)]
        trace = read_trace(write(*map(json.dumps, rows)))

        assert (trace.times_s * 1000).round().tolist() == list(range(50))
        prompts = trace.prompts(slice(0, 50))
        assert prompts is not None
        assert [list(each.blocks) for each in prompts] == [row["hash_ids"] for row in rows]


class TestOwn:
    LATER = OWN | {"ts": 2.0, "who": "globex", "site": 5}

    def check(self, trace):
        """Check that *trace* has what ``OWN`` and ``LATER`` say."""
        assert trace.times_s.tolist() == [0.0, 1.5]
        assert trace.prompt_tokens.tolist() == [7, 7]
        assert trace.tenants.names == ("acme", "globex")
        assert trace.tenants.codes.tolist() == [0, 1]
        assert trace.origins.names == ("4", "5")

    def test_csv(self, write):
        """Columns are found by their names; fields may be quoted."""
        path = write("who,in,ts,site,model,out", '"acme",7,0.5,4,large,3', 'globex,7,2e0,5,"a,b",3')

        self.check(read_trace(path, "csv", COLUMNS))

    def test_jsonl(self, write):
        """Numbers serve as names."""
        path = write(json.dumps(OWN), json.dumps(self.LATER))

        self.check(read_trace(path, None, COLUMNS))
        assert len(read_trace(path, None, COLUMNS, {"site": "5"})) == 1

    @pytest.mark.parametrize("kind", [pa.float64(), pa.timestamp("ms"), pa.string()])
    def test_parquet(self, tmp_path, kind):
        """Times may be numbers, timestamps, or texts of either."""
        table = pa.Table.from_pylist([OWN, self.LATER])
        times = pa.array([500, 2000], pa.int64())
        if kind == pa.float64():
            column = pa.array([0.5, 2.0])
        elif kind == pa.string():
            column = pa.array(["2024-01-01 00:00:00.5", "2024-01-01T00:00:02Z"])
        else:
            column = times.cast(kind)
        path = tmp_path / "trace"
        pq.write_table(table.set_column(0, "ts", column), path)

        self.check(read_trace(path, None, COLUMNS))

    def test_a_row_may_be_chosen_by_its_time(self, write):
        """A column by which rows are chosen is read as what it is all the same."""
        path = write("time,prompt_tokens,output_tokens", "5,1,2", "6,3,4")

        assert read_trace(path, where={"time": "6"}).prompt_tokens.tolist() == [3]

    def test_the_name_says_what_the_content_does_not(self, tmp_path):
        """A file of JSON lines whose first line is none is not called a CSV file."""
        path = tmp_path / "trace.jsonl"
        path.write_text("[1]\n")

        assert recognised(str(path)) == "jsonl"
        assert failure(path).message == "The line '[1]' is not a JSON object."

    def test_dates(self, write):
        """Times may be dates and times of day."""
        path = write("time,prompt_tokens,output_tokens", "2024-01-01T00:00:01Z,1,2")

        assert len(read_trace(path)) == 1
        error = failure(
            write("time,prompt_tokens,output_tokens", "2024-01-01T00:00:01Z,1,2", "5,1,2")
        )
        assert (error.line, error.remedy) == (3, "Write it as 2023-11-16 18:17:03.9799600, in UTC.")

    @pytest.mark.parametrize(
        ("name", "times"),
        [
            ("ts_ms", [0, 500, 24_500]),
            ("ts_us", [7_000_000, 7_500_000, 31_500_000]),
            ("ts", [1_767_225_600_000, 1_767_225_600_500, 1_767_225_624_500]),
            ("ts", [1_767_225_600_000_000, 1_767_225_600_500_000, 1_767_225_624_500_000]),
            ("ts", [1_767_225_600 * 10**9, 17_672_256_005 * 10**8, 17_672_256_245 * 10**8]),
            ("ts", [1_767_225_600, 1_767_225_600.5, 1_767_225_624.5]),
            ("ts", [0.0, 0.5, 24.5]),
        ],
    )
    def test_the_unit_of_times_is_told(self, write, tmp_path, name, times):
        """By the name of their column, or since 1970 by their size, in every format."""
        columns = Columns(name, "in", "out")
        rows = [{name: time, "in": 7, "out": 3} for time in times]
        csv = write(f"{name},in,out", *(f"{time},7,3" for time in times))
        assert read_trace(csv, None, columns).times_s == pytest.approx([0.0, 0.5, 24.5], abs=1e-6)
        jsonl = write(*map(json.dumps, rows))
        assert read_trace(jsonl, None, columns).times_s == pytest.approx([0, 0.5, 24.5], abs=1e-6)
        path = tmp_path / "trace.parquet"
        pq.write_table(pa.Table.from_pylist(rows), path)
        assert read_trace(path, None, columns).times_s == pytest.approx([0, 0.5, 24.5], abs=1e-6)

    def test_a_line_that_is_no_object(self, tmp_path):
        """It is named, also where a part of the file begins with it.

        A part that begins with null ends a process inside of arrow, so this runs in another one.
        """
        row = json.dumps({"ts": 0.5, "in": 7, "out": 3})
        lasts = ["null", "null\n", " null", "null\nnull", "[]", "1"]
        cases = [(last, kept) for last in lasts for kept in (0, 1)]
        paths = [tmp_path / f"trace-{number}.jsonl" for number in range(len(cases))]
        for path, (last, kept) in zip(paths, cases, strict=True):
            path.write_text(f"{row}\n" + f"{row}\n" * kept + last)
        script = f"""
import sys
from fedsim.errors import FedsimError
from fedsim.workload.traces.formats import Columns
from fedsim.workload.traces.reading import read_trace
import fedsim.workload.traces.jsonl_files as files
files._CHUNK_BYTES = {len(row) + 1}
for path in sys.argv[1:]:
    try:
        read_trace(path, "jsonl", Columns("ts", "in", "out"))
    except FedsimError as error:
        print(error)
    else:
        print(path, "was read")
"""
        done = subprocess.run(
            [sys.executable, "-c", script, *map(str, paths)],
            capture_output=True,
            text=True,
            check=True,
        )

        messages = done.stdout.splitlines()
        assert len(messages) == len(cases)
        for message, path, (_, kept) in zip(messages, paths, cases, strict=True):
            assert f"{path.name}:{2 + kept}: The line" in message
            assert "is not a JSON object" in message

    def test_columns_without_any_value(self, tmp_path):
        """A Parquet column of nulls alone is named with its first row."""
        path = tmp_path / "trace.parquet"
        whole = {"ts": [0.0, 1.0], "in": [7, 7], "out": [3, 3]}
        for name in whole:
            columns = {key: pa.array(value) for key, value in whole.items()}
            pq.write_table(pa.table(columns | {name: pa.nulls(2)}), path)
            error = failure(path, None, Columns("ts", "in", "out"))
            assert (error.line, error.message.split()[0]) == (1, name)

    def test_a_missing_column_is_named(self, write, tmp_path):
        """Where a column is missing, those that there are are listed."""
        assert "out of a, b." in failure(write("a,b", "1,2")).remedy
        pq.write_table(pa.table({"a": [1]}), tmp_path / "p")
        assert "out of a." in failure(tmp_path / "p").remedy

    def test_a_broken_parquet_row_is_named(self, tmp_path):
        """Rows count from 1."""
        table = {"time": [0.0, 1.0], "prompt_tokens": [1, -1], "output_tokens": [1, 1]}
        pq.write_table(pa.table(table), tmp_path / "p")
        error = failure(tmp_path / "p")

        assert (error.line, error.message) == (
            2,
            "prompt_tokens is -1, not a whole number of tokens.",
        )
        (tmp_path / "p").write_bytes(b"PAR1 and no more")
        assert "cannot be read" in failure(tmp_path / "p").message

    def test_an_empty_name_is_refused(self, write):
        """A request without a tenant is not one of a nameless tenant."""
        error = failure(write("ts,in,out,who,site", "1,2,3,acme,x", "2,2,3,,x"), None, COLUMNS)

        assert (error.line, error.message) == (3, "who is ''.")


def test_many_rows(write):
    """Rows over several parts of a file are all read, in order."""
    count = 300_000
    times = np.arange(count) / 8
    path = write(
        "time,prompt_tokens,output_tokens",
        *(f"{at},{n % 999},{n}" for n, at in enumerate(times.tolist())),
    )
    trace = read_trace(path)

    assert np.array_equal(trace.times_s, times)
    assert np.array_equal(trace.output_tokens, np.arange(count))
