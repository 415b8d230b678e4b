"""Offered load against slots."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsim.errors import Problem
from fedsim.scenario.capacity import capability_table, capacity_problems, capacity_table
from tests.unit.scenario.writing import SMALLEST, loaded, write

TWO_POOLS = """\
duration: 10min
regions: {us: {}}
pools:
  fast: {region: us, slots: 10, capabilities: [generate, code], service: {base: 1s}}
  slow: {region: us, slots: 10, capabilities: [generate], service: {base: 2s}}
workload:
  chat: {arrivals: {process: poisson, rate: 6/s}}
  code: {capability: code, arrivals: {process: poisson, rate: 3/s}}
"""


def test_load_is_rate_times_mean_service_time(tmp_path: Path):
    """Two requests a second of one second each keep two of eight slots busy."""
    (row,) = capacity_table(loaded(tmp_path, SMALLEST))

    assert (row.pool, row.region, row.nodes, row.slots) == ("chat", "us", 1, 8)
    assert row.offered_erlangs == pytest.approx(2.0)
    assert row.utilization == pytest.approx(0.25)


def test_load_is_spread_evenly_over_slots(tmp_path: Path):
    """Each slot gets the same share of a stream, and a slow one is busier for it."""
    fast, slow = capacity_table(loaded(tmp_path, TWO_POOLS))

    assert fast.offered_erlangs == pytest.approx(3 * 1.0 + 3 * 1.0)
    assert slow.offered_erlangs == pytest.approx(3 * 2.0)


def test_capability_counts_all_that_its_pools_could_serve(tmp_path: Path):
    """A capability alone has ten slots of one second and ten of two: 15 requests a second."""
    generate, code = capability_table(loaded(tmp_path, TWO_POOLS))

    assert (generate.capability, generate.slots) == ("generate", 20)
    assert generate.utilization == pytest.approx(6 / 15)
    assert code.utilization == pytest.approx(3 / 10)


def test_sustainable_load_is_no_problem(tmp_path: Path):
    """A load below capacity gives no problem."""
    assert capacity_problems(loaded(tmp_path, TWO_POOLS)) == []


def test_uneven_spread_that_would_do_is_no_problem(tmp_path: Path):
    """What an even spread overloads, but a better one does not, can be served."""
    scenario = loaded(tmp_path, TWO_POOLS, {"workload.chat.arrivals.rate": "11/s"})

    assert max(row.utilization for row in capacity_table(scenario)) > 1.0
    assert capacity_problems(scenario) == []


def test_overload_names_load_slots_and_position(tmp_path: Path):
    """A load that no routing could serve says how much too much it is, and where it comes from."""
    scenario = loaded(tmp_path, SMALLEST.replace("2/s", "10/s"))

    assert capacity_problems(scenario) == [
        Problem(
            "The load of generate can never be served: it asks for 10.0 erlangs (slots busy on "
            "average), and the pools that may serve it have 8 slots with every node up, a "
            "utilization of 125%.",
            "Lower the rate, or add nodes, slots or a pool.",
            "workload.chat.arrivals",
            str(tmp_path / "scenario.yaml"),
            4,
            29,
        )
    ]


def test_overload_by_several_capabilities_together(tmp_path: Path):
    """Two capabilities that each fit alone can be too much for the pools that they share."""
    overrides: dict[str, object] = {
        "workload.chat.arrivals.rate": "10/s",
        "workload.code.arrivals.rate": "6/s",
    }
    (problem,) = capacity_problems(loaded(tmp_path, TWO_POOLS, overrides))

    assert problem.message.startswith("The load of generate and code together can never be served")


def test_pools_that_may_not_hold_the_data_do_not_count(tmp_path: Path):
    """Privacy leaves only some of the slots, unless the policy is off."""
    overrides: dict[str, object] = {
        "regions.lab": {"privacy": "restricted"},
        "network.between": {"us/lab": "5ms"},
        "pools.lab": {"region": "lab", "slots": 2, "service": {"base": "1s"}},
        "workload.chat.qos.privacy": "restricted",
    }
    (problem,) = capacity_problems(loaded(tmp_path, TWO_POOLS, overrides))

    assert "have 2 slots" in problem.message
    assert not capacity_problems(
        loaded(tmp_path, TWO_POOLS, {**overrides, "federation.policies": {}})
    )


def test_trace_counts_as_its_mean_over_the_run(tmp_path: Path):
    """Only the rows that arrive within the duration count."""
    rows = "".join(f"2023-11-16 18:{minute:02}:00.0000000,10,1\n" for minute in range(20))
    write(tmp_path, "TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows, "trace.csv")
    arrivals = {"process": "trace", "file": "trace.csv"}
    (row,) = capacity_table(loaded(tmp_path, SMALLEST, {"workload.chat.arrivals": arrivals}))

    assert row.offered_erlangs == pytest.approx(10 / 600)


def test_infinite_mean_can_never_be_served(tmp_path: Path):
    """A service time without a mean overloads any number of slots."""
    service = {"distribution": "pareto", "median": "1s", "p99": "100s"}
    (problem,) = capacity_problems(loaded(tmp_path, SMALLEST, {"pools.chat.service": service}))

    assert "inf erlangs" in problem.message
