"""What failed because nodes were lost."""

from __future__ import annotations

import fedsim
from fedsim.results.interruption import Interruption, interruption

SCENARIO = {
    "duration": "20s",
    "warmup": "12s",
    "regions": {"us": {}},
    "pools": {
        "chat": {
            "region": "us",
            "slots": 8,
            "service": {"distribution": "constant", "value": "900ms"},
        }
    },
    "workload": {"chat": {"arrivals": {"process": "constant", "rate": "2/s"}}},
    "federation": {"retries": "off"},
    "faults": [{"kind": "outage", "region": "us", "at": "10s", "lasts": "60s"}],
}


def test_counts_what_was_there_or_came_before_it_settled():
    """Requests under way at the loss fail, and so do those of two seconds after it."""
    run = fedsim.simulate(fedsim.load(SCENARIO), seed=1)
    table = run.requests
    late = (table["arrived_s"] < 12.0) & (table["finished_s"] >= 10.0)
    failed = table[late & (table["outcome"] != "ok")]
    found = interruption(run.tables, 10.0, 12.0)
    assert 4 <= found.requests <= 7
    assert found.requests == len(failed)
    assert found.longest_s == (failed["finished_s"] - failed["arrived_s"]).max()


def test_nothing_fails_without_a_loss():
    """A calm run."""
    run = fedsim.simulate(fedsim.load({**SCENARIO, "faults": []}), seed=1)
    assert interruption(run.tables, 10.0, 12.0) == Interruption(0, 0.0)
