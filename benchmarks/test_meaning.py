"""What a request of the benchmark world means: its events, its results, its counterparts.

Nothing here asserts a time.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.meaning import (
    SMALL,
    check_counterparts,
    check_path,
    run_counted,
    tables,
)
from benchmarks.parts import STEPS, STRATEGIES, WITHOUT_POLICY
from benchmarks.programs import CIW_MISSING, run_ciw, run_fedsim
from benchmarks.run import BEGIN, END, write_page
from benchmarks.sections import Report
from benchmarks.tables import Table
from benchmarks.world import LOAD, SLOTS, Benchmark, Size, Variant, build, world_config
from fedsim.workload.mean_sizes import MeanSizes

Counted = tuple[Benchmark, Counter[str]]

FEW = Size(nodes=16, requests=500)


@pytest.fixture(scope="module")
def fast() -> Benchmark:
    """Return the benchmark world, run by fedsim's own loop."""
    benchmark = build(SMALL)
    benchmark.world.run()
    return benchmark


@pytest.fixture(scope="module")
def counted() -> Counted:
    """Return the same world, run by SimPy's own step, and its entries of the queue by class."""
    benchmark = build(SMALL)
    return benchmark, run_counted(benchmark)


def test_a_request_takes_four_entries(fast: Benchmark, counted: Counted) -> None:
    """A request costs its arrival, two legs and its service, exactly."""
    requests = tables(fast)["requests"]

    assert len(requests) > 1_900
    check_path(counted[1], len(requests))


def test_background_does_not_grow_with_requests(fast: Benchmark, counted: Counted) -> None:
    """All other entries are few and belong to probes, samples, deadlines, start and end."""
    counts = counted[1]
    end_s = fast.world.env.now
    probes = len(fast.world.nodes) * len(fast.world.gateways) * (end_s / 10.0 + 2.0)

    assert set(counts) <= {
        "Event", "Initialize", "Job", "Signal", "Source", "Task", "Timeout", "_Lane",
    }  # fmt: skip
    assert counts["Task"] <= 3 * probes
    assert counts["_Lane"] <= 0.01 * counts["Source"]
    assert counts["Timeout"] == int(end_s)


def test_simpy_step_gives_the_same_tables(fast: Benchmark, counted: Counted) -> None:
    """The run loop of fedsim and SimPy's stock step process the same entries to the same tables."""
    made, expected = tables(fast), tables(counted[0])
    processed = next(fast.world.env._eid) - len(fast.world.env._queue)

    assert processed == counted[1].total()
    for name, table in made.items():
        assert table.equals(expected[name]), name


def test_simpy_programs_agree(fast: Benchmark) -> None:
    """The SimPy programs serve the same requests on the same nodes at the same times."""
    check_counterparts(tables(fast)["requests"])


def test_the_world_is_loaded_as_it_says() -> None:
    """The offered load of the benchmark world is 70 % of its slots, at either size."""
    for nodes in (16, 1024):
        config = world_config(Size(nodes, requests=20))
        stream, pool = config.streams[0], config.pools[0]
        assert pool.service is not None
        offered = stream.traffic.mean_rps(1.0) * pool.service.mean_s(MeanSizes())

        assert sum(each.count for each in config.pools) == nodes
        assert offered == pytest.approx(LOAD * nodes * SLOTS)


@pytest.mark.parametrize("name", STEPS)
def test_parts_leave_the_choice_alone(name: str) -> None:
    """With parts of the federation left out, requests still go where they went."""
    variant = STEPS[name]
    if variant.observer is not None:
        assert run_fedsim(FEW, variant).requests != run_fedsim(FEW).requests
        return
    chosen = run_fedsim(FEW, variant).tables[0]["node"]

    assert chosen.equals(run_fedsim(FEW).tables[0]["node"])


@pytest.mark.parametrize("variant", [*STRATEGIES.values(), *WITHOUT_POLICY.values()])
def test_variants_serve_all(variant: Variant) -> None:
    """Every strategy, and the world without any one policy, serves every request."""
    requests = run_fedsim(FEW, variant).tables[0]

    assert (requests["outcome"] == "ok").all()


@pytest.mark.skipif(CIW_MISSING, reason="Ciw comes with the extra bench")
def test_ciw_meets_the_same_services(fast: Benchmark) -> None:
    """Ciw serves each request for the same time, and never lets it wait longer in the mean.

    It knows of all requests everywhere, where a gateway knows its own alone.
    """
    requests = tables(fast)["requests"]
    records = run_ciw(SMALL).tables[0].sort_values("id_number")

    assert records["service_time"].to_numpy() == pytest.approx(requests["service_s"].to_numpy())
    assert records["waiting_time"].mean() <= requests["queue_wait_s"].mean()


def test_a_page_is_rewritten_between_its_markers(tmp_path: Path) -> None:
    """Writing the figures keeps the page around them, and can be repeated."""
    page = tmp_path / "page.md"
    page.write_text(f"Before.\n\n{BEGIN}\nold\n{END}\n\nAfter.\n")
    report = Report([Table("Rates", ["program", "rate"], [["a", "1"]], "A note.")])

    write_page(page, report, "this machine")
    once = page.read_text()
    write_page(page, report, "this machine")

    assert page.read_text() == once
    assert once.startswith("Before.")
    assert once.endswith("After.\n")
    assert "old" not in once
    assert "| a | 1 |" in once


def test_a_page_without_markers_is_refused(tmp_path: Path) -> None:
    """A page that has no place for the figures is left as it is, and the error says why."""
    page = tmp_path / "page.md"
    page.write_text("Nothing here.\n")

    with pytest.raises(ValueError, match="lacks the markers"):
        write_page(page, Report(), "this machine")
    assert page.read_text() == "Nothing here.\n"
