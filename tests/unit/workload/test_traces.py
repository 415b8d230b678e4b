"""Traces in the Azure format: what is read, and what is refused with which words."""

from __future__ import annotations

import gzip
import pickle

import numpy as np
import pytest

from fedsim.errors import FedsimError
from fedsim.workload.traces.errors import TraceError
from fedsim.workload.traces.reading import read_azure

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"
ROWS = [
    "2023-11-16 18:17:03.9799600,4808,10",
    "2023-11-16 18:17:04.0319600,3180,8",
    "2023-11-16 18:17:04.0319601,110,0",
]


@pytest.fixture
def write(tmp_path):
    """Return a function that writes lines or bytes to a file and returns its path."""

    def write(*lines, end="\n", last="\n", content=None):
        path = tmp_path / "trace.csv"
        path.write_bytes(content if content is not None else (end.join(lines) + last).encode())
        return path

    return write


def failure(path):
    """Return the error that reading *path* gives."""
    with pytest.raises(TraceError) as caught:
        read_azure(path)
    assert caught.value.file == str(path)
    return caught.value


class TestReading:
    def test_values(self, write):
        """Times count from the first row, exact to 100 ns; the sizes are the rows'."""
        trace = read_azure(write(HEADER, *ROWS))

        assert trace.times_s.tolist() == [0.0, 0.052, 0.0520001]
        assert trace.prompt_tokens.tolist() == [4808, 3180, 110]
        assert trace.output_tokens.tolist() == [10, 8, 0]
        assert trace.span_s == 0.0520001
        assert len(trace) == 3

    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    @pytest.mark.parametrize("last", ["", "\n", "\r\n", "\n\n"])
    @pytest.mark.parametrize("compressed", [False, True])
    def test_spellings(self, write, end, last, compressed):
        """LF or CRLF, with or without an end of the last line, compressed or not: all one."""
        content = (end.join([HEADER, *ROWS]) + last).encode()
        path = write(content=gzip.compress(content) if compressed else content)

        assert read_azure(path).times_s.tolist() == [0.0, 0.052, 0.0520001]

    @pytest.mark.parametrize(
        "stamp",
        [
            "2024-05-10 00:00:00.009930+00:00",
            "2024-05-10 00:00:00.009930",
            "2024-05-10T00:00:00.00993Z",
            "2024-05-10 00:00:00.009930000",
        ],
    )
    def test_timestamps(self, write, stamp):
        """The timestamps of 2023 and 2024 are read, with one to nine decimals."""
        trace = read_azure(write(HEADER, "2024-05-10 00:00:00,1,1", f"{stamp},1,1"))

        assert trace.times_s.tolist() == [0.0, 0.00993]

    def test_byte_order_mark(self, write):
        """The mark that a spreadsheet leaves at the start of a file is no part of the header."""
        assert len(read_azure(write(content=f"\ufeff{HEADER}\n{ROWS[0]}".encode()))) == 1

    def test_equal_times(self, write):
        """Requests of one instant keep the order of the file."""
        trace = read_azure(write(HEADER, ROWS[0], ROWS[0], ROWS[1]))

        assert trace.times_s.tolist() == [0.0, 0.0, 0.052]

    def test_across_midnight(self, write):
        """A trace may run over the end of a year."""
        rows = ["2023-12-31 23:59:59.5,1,1", "2024-01-01 00:00:00.25,1,1"]

        assert read_azure(write(HEADER, *rows)).times_s.tolist() == [0.0, 0.75]

    def test_can_be_pickled(self, write):
        """A worker process gets the same trace."""
        trace = read_azure(write(HEADER, *ROWS))
        copy = pickle.loads(pickle.dumps(trace))

        assert copy.times_s.tolist() == trace.times_s.tolist()


class TestRefusals:
    @pytest.mark.parametrize(
        ("row", "message", "remedy"),
        [
            ("2023-11-16 18:17:05,1", "has 2 fields instead of 3", f"Write {HEADER}"),
            ("2023-11-16 18:17:05,1,2,3", "has 4 fields instead of 3", "or remove the row"),
            ("", "The line is empty.", "Remove it."),
            (
                "16.11.2023 18:17,1,2",
                "The timestamp '16.11.2023 18:17' is not in",
                "Write it as 2023-",
            ),
            ("now,1,2", "The timestamp 'now' is not in", "in UTC"),
            ("2023-11-16 18:17:05+02:00,1,2", "+02:00' is not in the format", "in UTC"),
            ("2023-11-31 18:17:05,1,2", "2023-11-31 18:17:05 does not exist", "Correct it"),
            ("2023-11-16 25:17:05,1,2", "2023-11-16 25:17:05 does not exist", "Correct it"),
            ("9999-11-16 18:17:05,1,2", "is not in the format", "Write it as"),
            ("2023-11-16 18:17:05,,2", "ContextTokens is '', not a whole", "from 0 to 999999999"),
            ("2023-11-16 18:17:05,1.5,2", "ContextTokens is '1.5', not a whole number", "from 0"),
            ("2023-11-16 18:17:05,1,-2", "GeneratedTokens is '-2', not a whole number", "from 0"),
            ("2023-11-16 18:17:05,1, 2", "GeneratedTokens is ' 2', not a whole", "without blanks"),
            ("2023-11-16 18:17:05,1,12345678901", "'12345678901'", "from 0 to 999999999"),
            ("2023-11-16 18:17:05,٣,2", "ContextTokens is '٣'", "from 0 to 999999999"),
            (
                "2023-11-16 18:17:04.0319600,1,2",
                "out of order: 2023-11-16 18:17:04.0319600 is earlier than "
                "2023-11-16 18:17:04.0319601 in the line before",
                "Sort the rows by TIMESTAMP.",
            ),
        ],
    )
    def test_broken_row(self, write, row, message, remedy):
        """A row that cannot be right is named by its line, with what is wrong and what to do."""
        later = "2023-11-16 18:17:06,1,2"
        error = failure(write(HEADER, *ROWS, row, later))

        assert error.line == 5
        assert message in error.message
        assert remedy in error.remedy
        assert str(error) == f"{error.file}:5: {error.message} {error.remedy}"

    def test_first_of_two(self, write):
        """Of two broken rows the first is named."""
        assert failure(write(HEADER, "x,1,1", "y,1,1")).line == 2
        impossible = "2023-02-30 00:00:00,1,1"
        assert failure(write(HEADER, ROWS[0], impossible, impossible)).line == 3

    def test_long_row_is_cut(self, write):
        """A line without end is not repeated in full."""
        assert len(failure(write(HEADER, "x" * 10_000)).message) < 200

    @pytest.mark.parametrize("header", ["timestamp,input_length,output_length", ROWS[0], "PAR1"])
    def test_wrong_header(self, write, header):
        """Another format is recognised by its header."""
        error = failure(write(header, *ROWS))

        assert error.line == 1
        assert error.message == f"The header is {header!r}, not {HEADER}."
        assert "name the format of this file" in error.remedy

    def test_no_rows(self, write):
        """A header alone is no trace."""
        error = failure(write(HEADER))

        assert (error.line, error.message) == (1, "The file has a header and no rows.")

    @pytest.mark.parametrize("content", [b"", b"\n", gzip.compress(b"", mtime=0)])
    def test_empty(self, write, content):
        """An empty file is called empty."""
        error = failure(write(content=content))

        assert error.line is None
        assert error.message == "The file is empty."
        assert HEADER in error.remedy

    def test_missing(self, tmp_path):
        """A file that is not there is named without a line."""
        error = failure(tmp_path / "absent.csv.gz")

        assert str(error) == (
            f"{tmp_path / 'absent.csv.gz'}: The file does not exist. "
            "Correct the name, or the folder that it is relative to."
        )

    def test_folder(self, tmp_path):
        """A folder is not a trace."""
        assert "The file cannot be read: Is a directory" in failure(tmp_path).message

    def test_damaged(self, write):
        """A compressed file that was cut off, or changed, is called damaged."""
        whole = gzip.compress("\n".join([HEADER, *ROWS]).encode())
        changed = whole[:20] + bytes([whole[20] ^ 0xFF]) + whole[21:]
        for content in (whole[:-10], whole[:-3] + b"abc", changed, b"\x1f\x8babc"):
            error = failure(write(content=content))

            assert "damaged" in error.message
            assert error.remedy == "Fetch it again."

    def test_binary(self, write):
        """A file that is no text is refused as such."""
        error = failure(write(content=b"\xff\xfe\x00\x01"))

        assert error.message == "The file is not a text file."

    def test_is_a_value_error_of_fedsim(self, tmp_path):
        """A caller can catch it as either, and a worker process can send it back."""
        error = failure(tmp_path / "absent")

        assert isinstance(error, ValueError)
        assert isinstance(error, FedsimError)
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("file", "rows", "span_s", "rate_rps", "prompt_mean", "output_mean"),
    [
        ("azure_llm_2023_conv.csv.gz", 19_366, 3_502, 5.53, 1155, 211),
        ("azure_llm_2023_code.csv.gz", 8_819, 3_436, 2.57, 2048, 28),
    ],
)
def test_published(data_dir, file, rows, span_s, rate_rps, prompt_mean, output_mean):
    """The published traces have the statistics that are published with them."""
    trace = read_azure(data_dir / "traces" / file)

    assert len(trace) == rows
    assert trace.span_s == pytest.approx(span_s, abs=0.5)
    assert rows / trace.span_s == pytest.approx(rate_rps, abs=0.005)
    assert np.mean(trace.prompt_tokens) == pytest.approx(prompt_mean, abs=0.5)
    assert np.mean(trace.output_tokens) == pytest.approx(output_mean, abs=0.5)
