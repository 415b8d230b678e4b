"""Traffic that is multiplied, whatever the process."""

from __future__ import annotations

from typing import Any

import pytest

import fedsim
from fedsim.scenario.scaled_traffic import scaled_traffic

SCENARIO: dict[str, Any] = {
    "duration": "10min",
    "regions": {"us": {}},
    "pools": {"chat": {"region": "us", "service": {"distribution": "constant", "value": "1s"}}},
}
THINK = {"distribution": "constant", "value": "1s"}


@pytest.mark.parametrize(
    "arrivals",
    [
        {"process": "poisson", "rate": "90/min"},
        {"process": "gamma", "rate": "2/s", "cv": 3},
        {"process": "constant", "rate": "2/s", "shape": [{"curve": "diurnal"}]},
        {"process": "mmpp", "rates": ["1/s", "9/s"], "sojourns": ["60s", "10s"]},
        {"process": "diurnal", "rate": "2/s", "period": "10min"},
        {"process": "steps", "steps": [{"at": "0s", "rate": "1/s"}, {"at": "5min", "rate": "3/s"}]},
        {"process": "spike", "rate": "2/s", "at": "1min", "lasts": "1min", "factor": 3},
    ],
)
def test_multiplies_the_mean_and_the_peak(arrivals):
    """Times stay where they are."""
    scenario = fedsim.load(SCENARIO | {"workload": {"chat": {"arrivals": arrivals}}})
    more = scenario.changed(scaled_traffic(scenario, 1.25))
    before, after = (each.world.streams[0].traffic for each in (scenario, more))
    assert after.mean_rps(600.0) == pytest.approx(1.25 * before.mean_rps(600.0))
    assert after.peak_rps(600.0) == pytest.approx(1.25 * before.peak_rps(600.0))


def test_users_of_a_closed_loop_and_tenants():
    """Whole users, and each tenant's own arrivals."""
    loop = {"process": "closed_loop", "users": 10, "think": THINK}
    tenant = {"arrivals": {"process": "poisson", "rate": "2/s"}}
    workload = {"loop": {"arrivals": loop}, "shared": {"tenants": {"acme": tenant}}}
    scenario = fedsim.load(SCENARIO | {"workload": workload})
    changes = scaled_traffic(scenario, 1.2)
    assert changes["workload.loop.arrivals"]["users"] == 12
    assert changes["workload.shared.tenants.acme.arrivals"]["rate"] == "2.4/s"
    assert scaled_traffic(scenario, 1.0) == {}
