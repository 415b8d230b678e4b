"""The percentile of the wait of a queue with one server, as an objective judges it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import fedsim
from tests.theory.replications import estimate

RATE, SERVICE_S, SHARE = 1.4, 0.5, 0.9


def test_percentile_of_the_wait_of_m_m_1(tmp_path: Path) -> None:
    """P(W > t) = ρ exp(-(μ - λ) t), Gross et al., Fundamentals of Queueing Theory, section 3.2."""
    load = RATE * SERVICE_S
    expected_s = math.log(load / (1.0 - SHARE)) / (1.0 / SERVICE_S - RATE)
    file = tmp_path / "mm1.yaml"
    service = {"distribution": "exponential", "mean": f"{SERVICE_S}s"}
    pool = {"region": "us", "slots": 1, "queue_limit": "unlimited", "service": service}
    off = ("health", "circuit_breaker", "timeout", "retries")
    text = {
        "duration": "40min",
        "warmup": "4min",
        "regions": {"us": {}},
        "network": {"within_region": "0ms"},
        "pools": {"one": pool},
        "workload": {"jobs": {"arrivals": {"process": "poisson", "rate": f"{RATE}/s"}}},
        "federation": {"strategy": "round_robin", **dict.fromkeys(off, "off")},
        "slo": {"queue_wait_p90": f"{expected_s}s"},
    }
    file.write_text(json.dumps(text))
    scenario = fedsim.load(file)

    values = [
        fedsim.simulate(scenario.changed(seed=seed)).verdicts()[0].value for seed in range(1, 13)
    ]

    assert abs(estimate(values).z(expected_s)) < 3.5
