"""Write ``traces/synthetic_code.csv.gz``: a small SYNTHETIC trace in the Azure format.

No row of it was ever a request. It is drawn here so that its statistics are near those published
for the code trace of the Azure LLM inference traces 2023 (Patel et al., "Splitwise", ISCA 2024;
https://github.com/Azure/AzurePublicDataset): 2.57 requests per second, gaps with a coefficient of
variation of 3 (which the real ones have when pauses of more than ten seconds are left out), and
the sizes in ``PROMPT_TOKENS`` and ``OUTPUT_TOKENS``. What it does not have: pauses of minutes, and
any dependence of one request on another.

Run it as ``python scenarios/make_demo_trace.py``. It gives the same file every time.
"""

import gzip
import math
import random
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

TRACE = Path(__file__).parent / "traces" / "synthetic_code.csv.gz"
SEED = 20231116
REQUESTS = 3000
RATE_RPS = 2.57
GAP_CV = 3.0
START = datetime(2023, 11, 16, 18, 0, 0)
TICKS_PER_S = 10_000_000  # the format counts in 100 ns

# Share of the requests, and the tokens below which it lies. The published points are the median,
# the 90th and the 99th percentile and the greatest; the least is chosen here.
PROMPT_TOKENS = [(0.0, 70), (0.5, 1469), (0.9, 5188), (0.99, 7436), (1.0, 7437)]
OUTPUT_TOKENS = [(0.0, 6), (0.5, 13), (0.9, 55), (0.99, 252), (1.0, 1899)]

# Bends the curve between two points, 1 for none, so that the means are the published 2048 and 28.
PROMPT_BEND = 0.995
OUTPUT_BEND = 2.1


def shuffled_shares(rng, count):
    """Return the middles of *count* equal parts of (0, 1) in random order.

    So the trace has the statistics that it is drawn from, and not only a sample of them.
    """
    shares = [(part + 0.5) / count for part in range(count)]
    rng.shuffle(shares)
    return shares


def gap_s(share, mean_s, cv):
    """Return a quantile of the hyperexponential distribution with balanced means, by bisection."""
    slow = (1.0 - math.sqrt((cv**2 - 1.0) / (cv**2 + 1.0))) / 2.0
    slow_s, fast_s = mean_s / (2.0 * slow), mean_s / (2.0 * (1.0 - slow))
    low_s, high_s = 0.0, 50.0 * slow_s
    for _ in range(60):
        middle_s = (low_s + high_s) / 2.0
        above = slow * math.exp(-middle_s / slow_s) + (1.0 - slow) * math.exp(-middle_s / fast_s)
        if above > 1.0 - share:
            low_s = middle_s
        else:
            high_s = middle_s
    return high_s


def tokens(share, points, bend):
    """Return a quantile of the distribution through *points*, geometric between two of them."""
    for (left, least), (right, most) in pairwise(points):
        if share <= right:
            way = ((share - left) / (right - left)) ** bend
            return round(least * (most / least) ** way)
    raise ValueError(share)


def rows():
    """Return the lines of the trace, header first."""
    rng = random.Random(SEED)
    gaps = [gap_s(share, 1.0 / RATE_RPS, GAP_CV) for share in shuffled_shares(rng, REQUESTS)]
    prompts = [tokens(s, PROMPT_TOKENS, PROMPT_BEND) for s in shuffled_shares(rng, REQUESTS)]
    outputs = [tokens(s, OUTPUT_TOKENS, OUTPUT_BEND) for s in shuffled_shares(rng, REQUESTS)]
    lines, ticks = ["TIMESTAMP,ContextTokens,GeneratedTokens"], 0
    for gap, prompt, output in zip(gaps, prompts, outputs, strict=True):
        ticks += round(gap * TICKS_PER_S)
        seconds, fraction = divmod(ticks, TICKS_PER_S)
        lines.append(f"{START + timedelta(seconds=seconds)}.{fraction:07d},{prompt},{output}")
    return lines


def content():
    """Return the bytes of the CSV file, uncompressed."""
    return ("\n".join(rows()) + "\n").encode()


def main():
    """Write the trace; without a time stamp and a name in it the same bytes every time."""
    TRACE.parent.mkdir(exist_ok=True)
    TRACE.write_bytes(gzip.compress(content(), mtime=0))
    print(f"{TRACE}: {REQUESTS} synthetic requests")


if __name__ == "__main__":
    main()
