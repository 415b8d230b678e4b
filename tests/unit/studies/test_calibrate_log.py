"""Logs are read by the names that their columns have, and what is wrong is said with its line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedsim.studies.calibrate import LogError, parse_columns, read_log
from fedsim.studies.calibrate.log import LEAST_REQUESTS

COUNT = 80


def rows() -> pd.DataFrame:
    """Return requests with absolute times in seconds."""
    number = np.arange(COUNT)
    arrived = 100.0 + number
    return pd.DataFrame(
        {
            "arrived": arrived,
            "first_token": arrived + 0.25,
            "last_token": arrived + 1.25,
            "input_tokens": 100 + number,
            "completion_tokens": np.full(COUNT, 11),
        }
    )


def written(folder: Path, table: pd.DataFrame, name: str = "log.csv") -> Path:
    """Write a table in the format that its name says."""
    path = folder / name
    if ".csv" in name:
        table.to_csv(path, index=False)
    elif name.endswith(".parquet"):
        table.to_parquet(path)
    else:
        text = "\n".join(json.dumps(record) for record in table.to_dict("records"))
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


class TestReading:
    """What is read."""

    @pytest.mark.parametrize("name", ["log.csv", "log.csv.gz", "log.jsonl.gz", "log.parquet"])
    def test_formats_give_the_same(self, tmp_path, name):
        """CSV, JSON lines and Parquet hold the same requests, compressed or not."""
        log = read_log(written(tmp_path, rows(), name))

        assert len(log) == COUNT
        assert log.arrived_s[0] == 0.0
        assert log.ttft_s == pytest.approx(0.25)
        assert log.tpot_s == pytest.approx(0.1)
        assert log.prompt_tokens[3] == 103
        assert log.nodes == ("",)

    @pytest.mark.parametrize(
        "columns",
        [
            {"ttft_ms": 250.0, "e2e_latency": 1.25},
            {"time_to_first_token": 0.25, "TPOT (ms)": 100.0},
            {"ttft_us": 250_000.0, "latency_ms": 1250.0},
        ],
    )
    def test_units_are_in_the_names(self, tmp_path, columns):
        """A name's ending is its unit, and durations stand in for times."""
        table = rows().drop(columns=["first_token", "last_token"]).assign(**columns)
        mapped = parse_columns(["tpot=TPOT (ms):ms"] if "TPOT (ms)" in columns else [])
        log = read_log(written(tmp_path, table), mapped)

        assert log.ttft_s == pytest.approx(0.25)
        assert log.latency_s == pytest.approx(1.25)

    def test_units_are_in_the_sizes(self, tmp_path):
        """Times that can only be milliseconds since 1970 are these, whatever their name."""
        table = rows()
        for name in ("arrived", "first_token", "last_token"):
            table[name] = 1000.0 * (table[name] + 1_767_225_600)
        log = read_log(written(tmp_path, table))

        assert log.ttft_s == pytest.approx(0.25, abs=1e-5)
        assert log.latency_s == pytest.approx(1.25, abs=1e-5)

    def test_timestamps_are_times_too(self, tmp_path):
        """Dates with times, with a Z or without, are told from numbers."""
        table = rows()
        for name in ("arrived", "first_token", "last_token"):
            moments = pd.to_datetime(table[name], unit="s")
            table[name] = [f"{moment.isoformat()}Z" for moment in moments]

        assert read_log(written(tmp_path, table)).ttft_s == pytest.approx(0.25)

    def test_requests_are_put_in_the_order_of_their_arrival(self, tmp_path):
        """A log is usually in the order in which requests end."""
        log = read_log(written(tmp_path, rows().sample(frac=1.0, random_state=1)))

        assert (np.diff(log.arrived_s) > 0).all()
        assert log.prompt_tokens[3] == 103

    def test_requests_without_tokens_are_left_out_and_told(self, tmp_path):
        """A request that failed has no first token."""
        table = rows()
        table.loc[[3, 5], "first_token"] = np.nan
        table.loc[7, "completion_tokens"] = 0
        log = read_log(written(tmp_path, table))

        assert len(log) == COUNT - 3
        assert log.left_out[0].startswith("3 rows are left out")

    @pytest.mark.parametrize(
        ("column", "bad"),
        [
            ("status", "500"),
            ("status", "cancelled"),
            ("success", "False"),
            ("error", "connection reset"),
            ("failed", "true"),
            ("finish_reason", "abort"),
        ],
    )
    def test_requests_that_failed_are_left_out_and_told(self, tmp_path, column, bad):
        """What stands in a failed row is not looked at, be it a time, a word or nothing."""
        good = {"status": "200", "success": "True", "finish_reason": "stop"}.get(column, "")
        table = rows().astype(object).assign(**{column: good})
        table.loc[[3, 5], column] = bad
        table.loc[3, ["first_token", "last_token"]] = 103.01
        table.loc[5, "first_token"] = "-"
        log = read_log(written(tmp_path, table))

        assert len(log) == COUNT - 2
        assert log.left_out[0].startswith("2 rows are left out as failed")

    def test_texts_of_several_lines_are_no_rows(self, tmp_path):
        """A quoted text may have line ends and empty lines, and rows are known by their first."""
        table = rows().astype(object).assign(answer='She said "no".\n\nThen, she left.')
        assert len(read_log(written(tmp_path, table))) == COUNT
        table.loc[4, "arrived"] = "soon"

        with pytest.raises(LogError, match=r"log.csv:14: arrived is 'soon'"):
            read_log(written(tmp_path, table))

    @pytest.mark.parametrize("name", ["log.csv", "log.jsonl.gz", "log.parquet"])
    def test_a_file_is_known_by_its_content(self, tmp_path, name):
        """Whatever its name."""
        log = read_log(written(tmp_path, rows(), name).rename(tmp_path / "requests.log"))

        assert (len(log), log.name) == (COUNT, "requests.log")

    @pytest.mark.parametrize("name", ["requests.parquet", "requests.csv"])
    def test_a_run_of_fedsim_is_seen_from_the_node(self, tmp_path, name):
        """Half of the network time lies before the node, the other half after it."""
        number = np.arange(COUNT, dtype=np.float64)
        table = pd.DataFrame(
            {
                "arrived_s": number,
                "finished_s": number + 1.5,
                "outcome": np.where(number == 4, "timeout", "ok"),
                "attempts": np.where(number == 9, 2, 1),
                "latency_s": 1.5,
                "network_s": 0.1,
                "queue_wait_s": 0.2,
                "ttft_s": 0.5,
                "prompt_tokens": 100,
                "output_tokens": 11,
                "node": "chat-0",
            }
        )
        log = read_log(written(tmp_path, table, name))

        assert len(log) == COUNT - 2
        assert log.ttft_s == pytest.approx(0.4)
        assert log.latency_s == pytest.approx(1.4)
        assert log.nodes == ("chat-0",)


class TestErrors:
    """What is wrong is named."""

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"arrived": "soon"}, r"log.csv:6: arrived is 'soon', not a time."),
            ({"first_token": 1.0}, r"log.csv:6: The first token comes before the arrival."),
            ({"last_token": 104.1}, r"log.csv:6: The last token comes before the first."),
            ({"input_tokens": 0}, r"log.csv:6: The prompt tokens are not a whole number"),
            ({"completion_tokens": 1.5}, r"log.csv:6: The output tokens are not a whole"),
            ({"completion_tokens": 49, "last_token": 104.25}, r"log.csv:6: All .* come at once"),
            ({"completion_tokens": "many"}, r"log.csv:6: completion_tokens is 'many', not a num"),
        ],
    )
    def test_a_broken_row_is_named_with_its_line(self, tmp_path, change, message):
        """The fifth request stands in line 6."""
        table = rows().astype(object)
        for name, value in change.items():
            table.loc[4, name] = value

        with pytest.raises(LogError, match=message):
            read_log(written(tmp_path, table))

    def test_a_log_of_failures_alone_is_refused(self, tmp_path):
        """The message has what the rows say, and how to name another column."""
        path = written(tmp_path, rows().assign(status="broken"))

        with pytest.raises(LogError, match=r"All 80 rows .*\(broken\).*--columns status="):
            read_log(path)

    def test_a_missing_column_names_those_there_are(self, tmp_path):
        """The remedy is the option that maps columns."""
        table = rows().rename(columns={"first_token": "began"})

        with pytest.raises(
            LogError, match=r"No column is first_token or ttft\. .*--columns.*began"
        ):
            read_log(written(tmp_path, table))
        mapped = parse_columns(["first_token=began"])
        assert len(read_log(written(tmp_path, table), mapped)) == COUNT

    def test_too_few_requests_are_refused(self, tmp_path):
        """A handful determines nothing."""
        with pytest.raises(LogError, match=f"It has 20 requests .* needs {LEAST_REQUESTS}"):
            read_log(written(tmp_path, rows().head(20)))

    def test_a_row_with_a_field_too_few_is_named(self, tmp_path):
        """Rows are not guessed at."""
        path = written(tmp_path, rows())
        path.write_text(path.read_text() + "1,2,3\n")

        with pytest.raises(
            LogError, match=r"log.csv:82: The row '1,2,3' has 3 fields instead of 5"
        ):
            read_log(path)

    def test_a_table_without_rows_is_refused(self, tmp_path):
        """In every format."""
        for name in ("log.csv", "log.parquet"):
            with pytest.raises(LogError, match="no rows"):
                read_log(written(tmp_path, rows().head(0), name))

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("log.csv", "arrival\n1\n\n2\n", "log.csv:3: The line is empty. Remove it."),
            ("gone.csv", None, "does not exist"),
            ("log.txt", "a", "log.txt:1: The file has a header and no rows"),
            ("log.csv", "", "The file is empty"),
            ("log.jsonl", "[1]\n", r"log.jsonl:1: The line '\[1\]' is not a JSON object"),
            ("log.parquet", "no", "The file cannot be read"),
        ],
    )
    def test_a_file_that_is_no_log_is_refused(self, tmp_path, name, content, message):
        """Missing, unknown, empty and broken files each have their message."""
        if content is not None:
            (tmp_path / name).write_text(content)

        with pytest.raises(LogError, match=message):
            read_log(tmp_path / name)

    @pytest.mark.parametrize("text", ["arrival", "when=t", "ttft=t:hours"])
    def test_a_mapping_that_is_none_is_refused(self, text):
        """The message has the form, the fields or the units."""
        with pytest.raises(ValueError, match="Write"):
            parse_columns([text])
