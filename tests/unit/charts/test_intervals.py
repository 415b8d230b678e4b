"""Intervals of faults and states, made from the events table."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from fedsim.charts.faults import (
    MOST_LANES,
    draw_lanes,
    fault_intervals,
    harmful,
    lanes,
    state_intervals,
)
from fedsim.charts.intervals import merged


def events(*rows: tuple[float, str, str, str, str, str]) -> pd.DataFrame:
    """Return an events table of time, kind, subject, gateway, before and after."""
    columns = ["time_s", "kind", "subject", "gateway", "before", "after"]
    return pd.DataFrame(list(rows), columns=pd.Index(columns))


def fault(
    time_s: float, subject: str, before: str, after: str
) -> tuple[float, str, str, str, str, str]:
    """Return the row of a fault."""
    return (time_s, "fault", subject, "", before, after)


class TestFaultIntervals:
    def test_begin_and_end(self) -> None:
        """A fault lasts from entering its state to leaving it, or to the end of the run."""
        table = fault_intervals(
            events(
                fault(1.0, "eu-west", "up", "down"),
                (2.0, "health", "n-0", "eu-west/0", "healthy", "unhealthy"),
                fault(3.0, "n-0", "normal", "slow x5"),
                fault(4.0, "eu-west", "down", "up"),
            ),
            10.0,
        )

        assert table.to_dict("split")["data"] == [
            ["eu-west", "down", 1.0, 4.0],
            ["n-0", "slow x5", 3.0, 10.0],
        ]

    def test_two_kinds_at_once(self) -> None:
        """A node that is slow and fails requests has two faults, each with its own end."""
        table = fault_intervals(
            events(
                fault(1.0, "n-0", "normal", "slow x2"),
                fault(2.0, "n-0", "normal", "errors 30%"),
                fault(3.0, "n-0", "slow x2", "normal"),
                fault(5.0, "n-0", "errors 30%", "normal"),
            ),
            10.0,
        )

        assert table[["label", "start_s", "end_s"]].to_dict("split")["data"] == [
            ["slow x2", 1.0, 3.0],
            ["errors 30%", 2.0, 5.0],
        ]

    def test_struck_twice_at_once(self) -> None:
        """A node that is down for two reasons is down until both are over."""
        table = fault_intervals(
            events(
                fault(1.0, "n-0", "up", "down"),
                fault(2.0, "n-0", "up", "down"),
                fault(3.0, "n-0", "down", "up"),
                fault(4.0, "n-0", "down", "up"),
            ),
            10.0,
        )

        assert table[["start_s", "end_s"]].to_dict("split")["data"] == [[1.0, 4.0]]

    def test_none(self) -> None:
        """No event makes no interval, in columns of the right types."""
        table = fault_intervals(events(), 10.0)

        assert table.empty
        assert table["start_s"].dtype == float


class TestStateIntervals:
    def test_each_gateway_has_its_own_view(self) -> None:
        """A view lasts until the same gateway changes it; the last one lasts to the end."""
        table = state_intervals(
            events(
                (1.0, "breaker", "n-0", "a/0", "closed", "open"),
                (2.0, "breaker", "n-0", "b/0", "closed", "open"),
                (2.5, "health", "n-0", "a/0", "healthy", "unhealthy"),
                (3.0, "breaker", "n-0", "a/0", "open", "half_open"),
            ),
            "breaker",
            10.0,
        )

        assert table.to_dict("split")["data"] == [
            ["a/0", "n-0", "open", 1.0, 3.0],
            ["b/0", "n-0", "open", 2.0, 10.0],
            ["a/0", "n-0", "half_open", 3.0, 10.0],
        ]


class TestLanes:
    def test_merged(self) -> None:
        """Spans that touch or overlap become one."""
        assert merged([(5.0, 6.0), (1.0, 3.0), (2.0, 4.0), (4.0, 4.5)]) == [(1.0, 4.5), (5.0, 6.0)]

    def test_many_subjects_share_the_last_lane(self) -> None:
        """However many nodes crash, the strip stays low, and those longest down are named."""
        rows = [fault(float(n), f"n-{n}", "up", "down") for n in range(40)]
        rows += [fault(2.0 * n + 40.0, f"n-{n}", "down", "up") for n in range(40)]
        faults = fault_intervals(events(*rows), 1000.0)

        found = lanes(faults)

        assert len(found) == MOST_LANES
        assert [name for name, _ in found] == [f"n-{n}" for n in range(33, 40)] + ["33 others"]
        assert sum(len(part) for _, part in found) == 40
        axes = Figure().add_subplot()
        draw_lanes(axes, faults)
        assert len(axes.get_yticks()) == MOST_LANES


def test_a_deployment_that_rolls_harms_nobody_by_itself() -> None:
    """That a deployment rolls through a pool is no trouble; that a node of it is down is."""
    table = fault_intervals(
        events(
            fault(1.0, "pool", "normal", "rolling"),
            fault(1.0, "pool-0", "up", "draining"),
            fault(2.0, "pool-0", "draining", "down"),
            fault(3.0, "pool-0", "down", "up"),
            fault(4.0, "pool", "rolling", "normal"),
        ),
        10.0,
    )

    assert len(table) == 3
    assert harmful(table)["label"].tolist() == ["draining", "down"]
