"""ServeGen's clients: what is read, what is played, and what stands for missing lengths."""

from __future__ import annotations

import dataclasses
import gzip
import json
import math

import numpy as np
import pytest
from scipy.special import gammainc

from fedsim.workload.length_tables import LEVELS, ClientLengths, LengthTables
from fedsim.workload.servegen import ClientRates, ServeGen
from fedsim.workload.servegen_files import read_lengths, read_rates
from fedsim.workload.traces.errors import TraceError
from fedsim.workload.traffic import Traffic
from tests.theory.workload.uniformity import P_LEAST, ks_p
from tests.unit.scenario.writing import CLIENT_LENGTHS, CLIENT_RATES
from tests.unit.workload.test_traffic import collect

Z_MOST = 3.5
HOURS = 12
WINDOWS = 6 * HOURS


def clients(*gaps):
    """Return clients of 2 requests per second with gaps of these (family, shape)."""
    shape = (WINDOWS, len(gaps))
    return ClientRates(
        names=tuple(f"client-{number}" for number in range(len(gaps))),
        rates_rps=np.full(shape, 2.0),
        weibull=np.tile([family == "Weibull" for family, _ in gaps], (WINDOWS, 1)),
        shapes=np.tile([shape for _, shape in gaps], (WINDOWS, 1)),
    )


RATES = clients(("Gamma", 1.0), ("Gamma", 0.1), ("Weibull", 0.4), ("Gamma", 9.0))
FLAT = np.tile(np.array([[100.0], [1000.0], [10.0]]), (1, len(LEVELS)))
LENGTHS = ClientLengths(
    np.array([[0, 1, -1, -1], [2, -1, -1, -1]]),
    LengthTables(FLAT, FLAT[:, 0]),
    LengthTables(FLAT + 1.0, FLAT[:, 0] + 1.0),
)
PROCESS = ServeGen(RATES, LENGTHS)


def traffic_of(process):
    """Return a stream of these clients."""
    return Traffic("chat", (("us", 1.0),), process)


class TestArrivals:
    @pytest.mark.parametrize("block_size", [7, 300, 4096])
    def test_block_size(self, block_size):
        """The size of the blocks changes nothing, across windows too."""
        short = dataclasses.replace(PROCESS, speed=60.0, rate_factor=1 / 60)

        assert collect(traffic_of(short), until_s=40.0, block_size=block_size) == collect(
            traffic_of(short), until_s=40.0
        )

    @pytest.mark.parametrize("client", range(4))
    def test_counts(self, client):
        """A window has its rate's requests on average, however bursty they are."""
        block = collect(traffic_of(PROCESS), until_s=3600.0 * HOURS)
        times_s = np.array(block.times_s)[np.array(block.tenants) == client]
        counts = np.bincount((times_s // 600.0).astype(int), minlength=WINDOWS)
        error = counts.std(ddof=1) / math.sqrt(WINDOWS)

        assert abs(counts.mean() - 1200.0) < Z_MOST * error

    @pytest.mark.parametrize(
        ("client", "below"),
        [
            (0, lambda gaps: gammainc(1.0, gaps)),
            (1, lambda gaps: gammainc(0.1, gaps * 0.1)),
            (2, lambda gaps: -np.expm1(-((gaps * math.gamma(3.5)) ** 0.4))),
            (3, lambda gaps: gammainc(9.0, gaps * 9.0)),
        ],
    )
    def test_gaps(self, client, below):
        """The gaps inside a window have the family and shape that were fitted."""
        fast = dataclasses.replace(PROCESS, rate_factor=40.0, to_s=600.0)
        block = collect(traffic_of(fast), until_s=600.0)
        times_s = np.array(block.times_s)[np.array(block.tenants) == client]
        gaps = np.diff(times_s) * 80.0
        # The shortest gaps of a bursty client drown in the rounding of the times.
        long, least = gaps[gaps > 1e-6], below(1e-6)

        assert len(long) > 20_000
        assert ks_p((below(long) - least) / (1.0 - least)) > P_LEAST

    def test_clients_are_independent(self):
        """Another client less leaves the times of the others."""
        fewer = ClientRates(
            RATES.names[1:], RATES.rates_rps[:, 1:], RATES.weibull[:, 1:], RATES.shapes[:, 1:]
        )
        before = collect(traffic_of(PROCESS))
        after = collect(traffic_of(ServeGen(fewer, None)))
        rows = zip(before.times_s, before.tenants, strict=True)

        assert after.times_s == [time_s for time_s, tenant in rows if tenant > 0]

    def test_rates(self):
        """Speed and factor multiply the rate; the mean counts what is played."""
        fast = dataclasses.replace(PROCESS, speed=2.0, rate_factor=0.25)

        assert PROCESS.mean_rps(60.0) == PROCESS.peak_rps(60.0) == 8.0
        assert fast.mean_rps(60.0) == fast.peak_rps(60.0) == 4.0
        assert fast.mean_rps(3600.0 * HOURS) == 2.0

    def test_part(self):
        """From and to cut the data, and the run begins there."""
        rates = dataclasses.replace(RATES, rates_rps=RATES.rates_rps * np.arange(WINDOWS)[:, None])
        part = ServeGen(rates, None, from_s=1200.0, to_s=2400.0)
        block = collect(traffic_of(part), until_s=9000.0)

        assert part.mean_rps(1200.0) == 20.0
        assert part.peak_rps(600.0) == 16.0
        assert part.peak_rps(601.0) == 24.0
        assert 1100.0 < max(block.times_s) < 1200.0
        with pytest.raises(ValueError, match="the data has no window between 60000 s and None s"):
            ServeGen(rates, None, from_s=60000.0)


class TestLengths:
    def test_own_and_others(self):
        """A client has its own lengths, or those of the others by their rates."""
        block = collect(traffic_of(PROCESS), until_s=600.0)
        prompts = np.array(block.prompt_tokens)
        tenants = np.array(block.tenants)
        others = prompts[tenants >= 2]

        assert set(prompts[tenants == 0].tolist()) == {100}
        assert set(prompts[tenants == 1].tolist()) == {1000}
        assert abs(np.mean(others == 100) - 0.5) < Z_MOST * 0.5 / math.sqrt(len(others))
        assert set(block.output_tokens) == {101, 1001}

    def test_windows_of_six_hours(self):
        """After six hours the next table counts."""
        later = dataclasses.replace(PROCESS, from_s=21600.0)

        assert set(collect(traffic_of(later)).prompt_tokens) == {10}

    def test_mean(self):
        """The mean is that of the tables by the requests that they serve."""
        means = PROCESS.mean_sizes

        assert means.prompt_tokens == pytest.approx((100 + 1000) / 4 + 10 / 2)
        assert means.output_tokens == pytest.approx(means.prompt_tokens + 1.0)
        assert traffic_of(PROCESS).has_tokens
        assert not traffic_of(dataclasses.replace(PROCESS, lengths=None)).has_tokens

    def test_tables(self):
        """What is drawn has the quantiles of its table, and its mean."""
        steps = np.cumsum(1e6 * np.arange(16.0))[None]
        for mean in (31e6, 33e6, 35e6):
            tables = LengthTables(steps, np.array([mean]))
            uniforms = (np.arange(200_000) + 0.5) / 200_000
            rows = np.zeros(len(uniforms), dtype=np.int64)
            drawn = tables.counts(rows, uniforms, tables.powers)

            assert drawn.mean() == pytest.approx(mean, rel=1e-3)
            for level, quantile in zip(LEVELS[1:-1], steps[0, 1:-1], strict=True):
                assert np.mean(drawn <= quantile) == pytest.approx(level, abs=1e-3)

    def test_tables_of_one_value(self):
        """A table that never varies gives its value."""
        tables = LengthTables(FLAT, FLAT[:, 0])
        rows = np.array([0, 1, 2])

        assert tables.counts(rows, rows / 3, tables.powers).tolist() == [100, 1000, 10]


class TestFiles:
    def test_rates(self, tmp_path):
        """Rows become windows of clients, in the order of their numbers."""
        path = tmp_path / "rates.csv.gz"
        path.write_bytes(gzip.compress(CLIENT_RATES.encode()))
        numbers, rates = read_rates(path, "m-large")

        assert numbers == [3, 8]
        assert rates.names == ("client-3", "client-8")
        assert rates.rates_rps.tolist() == [[2.0, 0.0], [4.0, 1.0]]
        assert rates.weibull.tolist() == [[False, False], [False, True]]
        assert rates.shapes[1, 1] == 0.5

    def test_lengths(self, tmp_path):
        """Rows become tables; clients and windows without one have none."""
        path = tmp_path / "lengths.jsonl"
        path.write_text(json.dumps(CLIENT_LENGTHS) + "\n")
        lengths = read_lengths(path, "m-large", [3, 8], 2)

        assert lengths.rows.tolist() == [[0, -1]]
        assert lengths.prompt.quantiles.tolist() == [CLIENT_LENGTHS["input_tokens"]["q"]]
        assert lengths.output.means.tolist() == [17.5]

    def test_pictures_count_as_input(self, tmp_path):
        """Text and pictures of a request together are its prompt."""
        q = CLIENT_LENGTHS["input_tokens"]
        row = {**CLIENT_LENGTHS, "text_tokens": q, "image_tokens": q}
        del row["input_tokens"]
        path = tmp_path / "lengths.jsonl"
        path.write_text(json.dumps(row))

        lengths = read_lengths(path, "m-large", [3], 1)
        assert lengths.prompt.quantiles.tolist() == [[2 * tokens for tokens in q["q"]]]
        assert lengths.prompt.means.tolist() == [350.0]

    @pytest.mark.parametrize(
        ("before", "after", "message"),
        [
            ("category", "kategory", r":1: The header is 'kategory,.*', not category,model"),
            ("0,2.0,1.0,Gamma", "0,2.0,1.0", r":2: The row has 8 fields instead of 9\."),
            ("Weibull", "Pareto", r":4: The family of gaps 'Pareto' is not known\."),
            ("3,600", "3,601", r":3: The time 601 is not that of a window of 600 s\."),
            ("4.0,1.0", "four,1.0", r":3: could not convert string to float: 'four'\."),
            ("Gamma,1.0,0.5", "Gamma,0,0.5", r":2: The rate 2.0 or the shape 0 cannot be one\."),
            ("m-large", "m-vast", r"There is no model 'm-large'\. Write one of m-small, m-vast\."),
        ],
    )
    def test_broken_rates(self, tmp_path, before, after, message):
        """A broken row is named with its line."""
        path = tmp_path / "rates.csv"
        path.write_text(CLIENT_RATES.replace(before, after))

        with pytest.raises(TraceError, match=message):
            read_rates(path, "m-large")

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ('{"model": "m-large"', ":1: The row is not a table of lengths: JSONDecodeError"),
            ('{"model": "m-large"}', ":1: The row is not a table of lengths: KeyError 'client'"),
            (
                json.dumps({**CLIENT_LENGTHS, "output_tokens": {"q": [1, 2]}}),
                ":1: .* q must be 16 quantiles that do not fall",
            ),
            ("", "The file is empty."),
            (
                json.dumps({**CLIENT_LENGTHS, "model": "m-tiny"}),
                "No client of the model 'm-large' has lengths. Leave out lengths",
            ),
        ],
    )
    def test_broken_lengths(self, tmp_path, row, message):
        """A broken table is named with its line."""
        path = tmp_path / "lengths.jsonl"
        path.write_text(row)

        with pytest.raises(TraceError, match=message):
            read_lengths(path, "m-large", [3], 2)

    def test_unreadable(self, tmp_path):
        """A file that is missing or damaged is named."""
        damaged = tmp_path / "damaged.gz"
        damaged.write_bytes(gzip.compress(b"x" * 1000)[:20])

        with pytest.raises(TraceError, match=r"nowhere\.csv: The file does not exist\."):
            read_rates(tmp_path / "nowhere.csv", "m-large")
        with pytest.raises(TraceError, match=r"damaged\.gz: The compressed file is cut off"):
            read_rates(damaged, "m-large")
