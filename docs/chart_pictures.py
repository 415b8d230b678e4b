"""Draw every chart of ``docs/charts.md``, and write that page: ``python docs/chart_pictures.py``.

Runs and their comparison are of ``scenarios/three-regions.yaml``, cut to three minutes; engines are
those of ``scenarios/engine-chat.yaml``. The same scenario and seed give the same pictures.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import fedsim
from docs.blocks import between

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
PAGE = ROOT / "docs" / "charts.md"
DPI = 62

SHORT = {
    "duration": "3min",
    "warmup": "30s",
    "faults": [
        {"kind": "slowdown", "node": "us-cheap-0", "at": "40s", "lasts": "30s", "factor": 4},
        {"kind": "outage", "region": "eu-west", "at": "80s", "lasts": "40s"},
    ],
}
"""What the charts show: a slow node, then an outage."""

STRATEGIES = ["round_robin", "least_connections", "least_latency", "consistent_hash"]


class Entry(NamedTuple):
    """A chart of the page.

    Attributes:
        call: How it is drawn.
        says: What it is evidence for, and how to read it.
    """

    call: str
    says: str


ENTRIES = {
    "One run": (
        Entry(
            "run.plot.latency()",
            "How long successful requests take. The line is the share that takes longer; it ends "
            "where ten requests do. Compare success rates first: failed requests are not in it.",
        ),
        Entry(
            "engines.plot.ttft()",
            "The same of the time to first token, with its objective, where nodes are engines.",
        ),
        Entry("engines.plot.tpot()", "The same of the time per output token after the first."),
        Entry(
            "run.plot.timeline()",
            "What happened when. The upper percentile is of bins in which ten requests lie beyond "
            "it, so its bins are wider.",
        ),
        Entry("run.plot.outcomes()", "How requests failed, and when, by kind."),
        Entry(
            "run.plot.regions()",
            "Whom a fault hurts: the share of each region's requests that was served within the "
            "objective.",
        ),
        Entry("run.plot.flows()", "Who serves whom: spill-over and cross-region traffic."),
        Entry(
            "run.plot.attempts()",
            "Whether retries and hedges add load, and the slots that work in vain.",
        ),
        Entry("run.plot.utilization()", "Where the load went; in grey: the warm-up."),
        Entry(
            "engines.plot.utilization()",
            "Of engines, how full their batches and key-value caches are: an engine is in steps "
            "nearly all the time.",
        ),
        Entry(
            "run.plot.states()",
            "How fast gateways noticed what was wrong, and whether they were right.",
        ),
    ),
    "A comparison": (
        Entry(
            "comparison.plot.ranking()",
            "Which strategies are best, and which are not shown to differ from the best.",
        ),
        Entry(
            'comparison.plot.differences("latency_p99_s")',
            "Who is better than the baseline, by how much and how surely, on the same requests.",
        ),
        Entry(
            "comparison.plot.latency()",
            "Tails by strategy: dots are the table's percentiles, means over the replications with "
            "their intervals; the line is the first replication.",
        ),
        Entry("comparison.plot.cost()", "What goodput costs, and who is beaten in both."),
    ),
}

BEGIN = "<!-- charts: written by `python docs/chart_pictures.py` -->"
END = "<!-- end of charts -->"


def picture(call: str) -> str:
    """Return the name of a chart's picture."""
    what, _, method = call.split("(", maxsplit=1)[0].split(".")
    return f"chart-{what}-{method.replace('_', '-')}.png"


def rewritten(page: str) -> str:
    """Return the page with an entry for each chart."""
    parts: list[str] = []
    for heading, entries in ENTRIES.items():
        parts.append(f"## {heading}\n")
        for each in entries:
            parts += [f"### `{each.call}`\n", f"{each.says}\n"]
            words = each.says.split(". ")[0].rstrip(".")
            parts.append(f"![{words}](pictures/{picture(each.call)})\n")
    return between(page, BEGIN, END, "\n".join(parts))


def main() -> None:
    """Run what the charts show, draw them, and write the page."""
    scenario = fedsim.load(ROOT / "scenarios" / "three-regions.yaml", SHORT)
    names: dict[str, Any] = {
        "comparison": fedsim.compare(scenario, strategies=STRATEGIES, replications=3),
        "engines": fedsim.simulate(
            fedsim.load(
                ROOT / "scenarios" / "engine-chat.yaml",
                {"duration": "5min", "slo.ttft_p99": "1s", "slo.tpot_p99": "50ms"},
            )
        ),
    }
    names["run"] = names["comparison"].run("consistent_hash")
    for entries in ENTRIES.values():
        for each in entries:
            draw: Callable[[], Any] = eval(f"lambda: {each.call}", names)  # of this file alone
            draw().savefig(PICTURES / picture(each.call), dpi=DPI, metadata={"Software": None})
            print(f"docs/pictures/{picture(each.call)}")
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
