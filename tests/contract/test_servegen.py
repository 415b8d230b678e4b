"""ServeGen's published statistics come out of what is read of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fedsim.kernel.streams import Streams
from fedsim.workload.servegen import ServeGen
from fedsim.workload.servegen_files import read_lengths, read_rates
from fedsim.workload.traffic import Traffic
from tests.chosen import others_slow

# clients, mean, least and most requests per second in ten minutes, peak over trough of the hours of
# the day, shares of the largest 1, 5 and 10 clients, mean tokens of prompts and answers of the
# clients with lengths, share of the traffic without. Windows in which nobody sent are left out.
PUBLISHED = {
    "m-large": (162, 196, 48, 583, 1.45, (16, 43, 63), 914, 155, 37),
    "m-mid": (108, 1868, 0.9, 3445, 1.29, (52, 67, 79), 307, 51, 29),
    "m-small": (43, 1196, 391, 3880, 2.05, (30, 77, 93), 120, 15, 57),
    "deepseek-r1": (73, 16.0, 4.3, 42.5, 4.91, (29, 53, 68), 1268, 1527, 0),
    "mm-image": (35, 9.5, 4.9, 13.3, 2.28, (14, 56, 83), 1222, 130, 0),
}


@pytest.fixture(scope="module")
def folder(data_dir: Path) -> Path:
    """Return the folder of the two files, or skip."""
    folder = data_dir / "traces" / "servegen"
    if not folder.exists():
        pytest.skip("the client statistics are not here")
    return folder


@pytest.mark.parametrize("model", PUBLISHED)
def test_statistics(folder: Path, model: str) -> None:
    """Rates, days, heavy clients and mean lengths are those of the published table."""
    clients, mean, least, most, day, tops, prompt, output, missing = PUBLISHED[model]
    numbers, rates = read_rates(folder / "client_rates.csv.gz", model)
    lengths = read_lengths(folder / "client_lengths.jsonl.gz", model, numbers, len(rates.rates_rps))
    totals = rates.rates_rps.sum(axis=1)
    sent = np.flatnonzero(totals)
    hours = [totals[sent[sent // 6 % 24 == hour]].mean() for hour in range(24)]
    shares = np.sort(rates.rates_rps.sum(axis=0))[::-1] / totals.sum()

    assert len(rates.names) == clients
    assert totals[sent].mean() == pytest.approx(mean, rel=0.005)
    assert totals[sent].min() == pytest.approx(least, rel=0.06)
    assert totals.max() == pytest.approx(most, rel=0.005)
    assert max(hours) / min(hours) == pytest.approx(day, abs=0.006)
    assert [100 * shares[:count].sum() for count in (1, 5, 10)] == pytest.approx(tops, abs=0.6)

    tables = lengths.rows[np.arange(len(totals)) // 36]
    known = rates.rates_rps[tables >= 0]
    rows = tables[tables >= 0]
    assert 100 * (1 - known.sum() / totals.sum()) == pytest.approx(missing, abs=0.6)
    for expected, each in ((prompt, lengths.prompt), (output, lengths.output)):
        assert known @ each.means[rows] / known.sum() == pytest.approx(expected, abs=0.5)


@pytest.mark.parametrize("model", others_slow(["deepseek-r1", "mm-image"], ["mm-image"]))
def test_lengths_have_the_published_means(folder: Path, model: str) -> None:
    """What is drawn from a day has the mean lengths of the published tables."""
    numbers, rates = read_rates(folder / "client_rates.csv.gz", model)
    lengths = read_lengths(folder / "client_lengths.jsonl.gz", model, numbers, len(rates.rates_rps))
    process = ServeGen(rates, lengths, rate_factor=0.3)
    blocks = list(Traffic("chat", (("us", 1.0),), process).blocks(Streams(1), 86400.0))
    for part in ("prompt_tokens", "output_tokens"):
        drawn = np.concatenate([getattr(block, part) for block in blocks])
        assert drawn.mean() == pytest.approx(getattr(process.mean_sizes, part), rel=0.03)


def test_counts_match_the_rates(folder: Path) -> None:
    """Two hours of drawn traffic have each heavy client's requests, within intervals."""
    numbers, rates = read_rates(folder / "client_rates.csv.gz", "deepseek-r1")
    lengths = read_lengths(
        folder / "client_lengths.jsonl.gz", "deepseek-r1", numbers, len(rates.rates_rps)
    )
    process = ServeGen(rates, lengths, from_s=9 * 3600.0)
    traffic = Traffic("chat", (("us", 1.0),), process)
    runs = []
    for seed in range(8):
        counts = np.zeros(len(numbers))
        for block in traffic.blocks(Streams(seed), 7200.0):
            counts += np.bincount(block.tenants, minlength=len(numbers))
        runs.append(counts)
    expected = rates.rates_rps[54:66].sum(axis=0) * 600.0
    heavy = expected > 500.0
    errors = np.std(runs, axis=0, ddof=1)[heavy] / np.sqrt(len(runs))
    z = (np.mean(runs, axis=0)[heavy] - expected[heavy]) / errors

    assert heavy.sum() > 10
    # Student's t with 7 degrees of freedom exceeds 8 once in 10,000.
    assert np.abs(z).max() < 8.0
    assert process.mean_rps(7200.0) * 7200.0 == pytest.approx(expected.sum())
