"""The presets of scalers on numbers worked out by hand, or with the products' own code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from fedsim.world.scalers.aibrix import AibrixApa, ApaSignal
from fedsim.world.scalers.engine_load import DynamoLoad, WvaV1, WvaV2
from fedsim.world.scalers.keda import Keda, KedaSignal
from fedsim.world.scalers.knative import Knative, KnativeSignal
from fedsim.world.scalers.ratio import Hpa, HpaSignal
from fedsim.world.scalers.ray_serve import RayServe, RayServeSignal
from fedsim.world.scalers.schedule import Appointment, Schedule
from fedsim.world.scalers.skyserve import SkyServe, SkyServeSignal
from fedsim.world.scalers.stages import (
    DelayConfig,
    DownRate,
    RateConfig,
    StabiliseConfig,
    StagedScaler,
    Stages,
    UpRate,
)
from fedsim.world.scalers.view import Decision, NodeView, PoolView


def seen(
    time_s: float,
    ready: int,
    total: float | None,
    *,
    starting: int = 0,
    recent: float | None = None,
    bounds: tuple[int, int] = (1, 1000),
) -> PoolView:
    """Return a pool whose ready nodes share *total* of the signal evenly."""
    value = None if total is None or not ready else total / ready
    nodes = [NodeView(f"n-{number}", "ready", value) for number in range(ready)]
    nodes += [NodeView(f"s-{number}", "starting") for number in range(starting)]
    return PoolView(time_s, nodes, *bounds, total=total, recent=recent)


def followed(
    scaler: StagedScaler, demands: Sequence[float], every_s: float, nodes: int, most: int = 1000
) -> list[int]:
    """Return the nodes after each decision of a pool whose orders are ready at once."""
    found = []
    for tick, demand in enumerate(demands):
        view = seen(tick * every_s, nodes, demand, recent=demand, bounds=(1, most))
        nodes = scaler.desired(view).nodes
        found.append(nodes)
    return found


def hpa(target: float, **settings: object) -> StagedScaler:
    """Return a HorizontalPodAutoscaler."""
    return Hpa(signal=HpaSignal(of="utilization", target=target), **settings).scaler()  # type: ignore[arg-type]


class TestHpa:
    @pytest.mark.parametrize(
        ("ready", "mean", "target", "wanted"),
        [
            (50, 0.90, 0.75, 60),  # ceil(50 x 1.2)
            (3, 20 / 3, 1.0, 20),
            (4, 66.0, 60.0, 5),  # |1 - 1.1| is 0.10000000000000009 in doubles: it does scale
            (4, 65.0, 60.0, 4),  # within the tolerance of 10 %
            (4, 54.0, 60.0, 4),  # 0.9: |1 - 0.9| is 0.09999999999999998
            (4, 53.0, 60.0, 4),  # ceil(4 x 0.883)
            (4, 44.0, 60.0, 3),
            (10, 30.0, 60.0, 5),
        ],
    )
    def test_takes_the_ratio_of_ready_nodes(
        self, ready: int, mean: float, target: float, wanted: int
    ) -> None:
        """It takes the ratio of ready nodes."""
        rule = Hpa(signal=HpaSignal(of="utilization", target=target)).rule()
        assert rule.wanted(seen(0.0, ready, mean * ready)).nodes == wanted

    def test_counts_nodes_that_start_as_idle_when_it_would_grow(self) -> None:
        """It counts nodes that start as idle when it would grow."""
        rule = Hpa(signal=HpaSignal(target=10.0)).rule()
        assert rule.wanted(seen(0.0, 4, 120.0)).nodes == 12
        assert rule.wanted(seen(0.0, 4, 120.0, starting=4)).nodes == 12  # 15 each of 8
        assert (
            rule.wanted(seen(0.0, 4, 60.0, starting=2)).nodes == 6
        )  # within tolerance: 10 each of 6
        assert rule.wanted(seen(0.0, 4, 60.0, starting=4)).nodes == 8  # 7.5 each crosses the target
        assert (
            rule.wanted(seen(0.0, 4, 20.0, starting=4)).nodes == 2
        )  # shrinking goes by ready nodes
        assert rule.wanted(seen(0.0, 0, None, starting=4)).nodes == 4  # nothing is known

    def test_takes_an_arrival_rate_as_the_sum_of_the_pool(self) -> None:
        """It takes an arrival rate as the sum of the pool."""
        rule = Hpa(signal=HpaSignal(of="arrival_rate", target=10.0)).rule()
        assert rule.wanted(seen(0.0, 4, 45.0, starting=2)).nodes == 5
        assert rule.wanted(seen(0.0, 4, 43.0)).nodes == 4  # 1.075 of the target

    def test_grows_by_four_or_by_all_and_stays_five_minutes(self) -> None:
        """3 nodes, a demand for 20: 7, 14, 20 in ticks of 15 s; down 300 s after the last."""
        demands = [20.0] * 4 + [1.0] * 25
        nodes = followed(hpa(1.0), demands, 15.0, 3, most=20)
        assert nodes[:4] == [7, 14, 20, 20]
        last_high_s = 3 * 15.0
        down = next(tick for tick, count in enumerate(nodes) if count == 1)
        assert down * 15.0 == last_high_s + 300.0
        assert set(nodes[3:down]) == {20}

    def test_goes_by_the_smaller_of_several_recommendations_to_grow(self) -> None:
        """It goes by the smaller of several recommendations to grow."""
        scaler = hpa(1.0, stabilise=StabiliseConfig(up_s=60.0, down_s=0.0))
        assert followed(scaler, [3.0, 9.0, 9.0, 9.0, 6.0, 9.0], 15.0, 3) == [3, 3, 3, 3, 6, 6]

    @pytest.mark.parametrize(
        ("select", "nodes"), [("max", [7, 14, 28]), ("min", [6, 10, 14]), ("off", [3, 3, 3])]
    )
    def test_takes_one_of_its_rate_policies(self, select: str, nodes: list[int]) -> None:
        """It takes one of its rate policies."""
        rate = RateConfig(up=UpRate(select=select))  # type: ignore[arg-type]
        assert followed(hpa(1.0, rate=rate), [100.0] * 3, 15.0, 3) == nodes

    def test_counts_what_was_added_within_the_period_of_a_rate(self) -> None:
        """It counts what was added within the period of a rate."""
        rate = RateConfig(up=UpRate(nodes=4, share=None, within_s=60.0))
        assert followed(hpa(1.0, rate=rate), [100.0] * 6, 15.0, 3) == [7, 7, 7, 7, 11, 11]

    def test_shrinks_by_the_rate_it_is_given(self) -> None:
        """It shrinks by the rate it is given."""
        rate = RateConfig(down=DownRate(nodes=1, share=0.5, within_s=30.0, select="min"))
        scaler = hpa(1.0, rate=rate, stabilise=None)
        assert followed(scaler, [1.0] * 6, 15.0, 9) == [8, 8, 7, 7, 6, 6]

    def test_does_not_flap_in_the_middle_of_its_tolerance(self) -> None:
        """It does not flap in the middle of its tolerance."""
        demands = [8.0 * (1.0 + 0.05 * (-1) ** tick) for tick in range(100)]
        assert set(followed(hpa(1.0), demands, 15.0, 8)) == {8}


def knative() -> StagedScaler:
    """Return one with a container concurrency of 10, of which it aims at 70 %."""
    return Knative(signal=KnativeSignal(target=7.0)).scaler()


class TestKnative:
    def test_panics_and_holds_the_highest_for_the_stable_window(self) -> None:
        """It panics and holds the highest for the stable window."""
        scaler = knative()
        scaler.desired(seen(-100.0, 1, 0.0, recent=0.0))
        assert scaler.desired(seen(0.0, 2, 12.0, recent=12.0)).nodes == 2  # ceil(12 / 7)
        found = scaler.desired(seen(2.0, 2, 12.0, recent=30.0))  # 5 / 2 is over 2
        assert found == Decision(5, "panic: in_flight 30 for 7 a node: 5")
        held = [
            scaler.desired(seen(time_s, 5, 1.0, recent=0.0)).nodes for time_s in (4.0, 30.0, 62.0)
        ]
        assert held == [5, 5, 5]
        assert scaler.desired(seen(64.0, 5, 1.0, recent=0.0)).nodes == 2  # floor(5 / 2)

    def test_shrinks_by_half_a_tick(self) -> None:
        """It shrinks by half a tick."""
        scaler = knative()
        scaler.desired(seen(-100.0, 1, 0.0, recent=0.0))
        ticks = [(0.0, 8), (2.0, 4), (4.0, 2), (6.0, 1)]
        found = [
            scaler.desired(seen(time_s, n, 0.0, recent=0.0, bounds=(0, 9))).nodes
            for time_s, n in ticks
        ]
        assert found == [4, 2, 1, 0]

    def test_begins_in_a_panic_with_several_nodes(self) -> None:
        """It begins in a panic with several nodes."""
        scaler = knative()
        found = [
            scaler.desired(seen(time_s, 8, 0.0, recent=0.0)).nodes for time_s in (0.0, 60.0, 62.0)
        ]
        assert found == [8, 8, 4]


class TestRayServe:
    @pytest.mark.parametrize(
        ("ready", "ongoing", "factor", "wanted"),
        [
            (4, 14, 1.0, 7),
            (4, 5, 1.0, 3),
            (4, 14, 0.5, 6),
            (4, 5, 0.5, 3),
            (4, 0, 0.1, 3),
            (2, 4, 1.0, 2),
        ],
    )
    def test_takes_the_ongoing_requests_of_all(
        self, ready: int, ongoing: float, factor: float, wanted: int
    ) -> None:
        """It takes the ongoing requests of all."""
        rule = RayServe(signal=RayServeSignal(), up_factor=factor, down_factor=factor).rule()
        assert rule.wanted(seen(0.0, ready, ongoing)).nodes == wanted

    def test_changes_after_more_than_its_delay_of_like_decisions(self) -> None:
        """Up with decision 301, down with 6001; a contrary one starts over."""
        scaler = RayServe().scaler()
        nodes = followed(scaler, [14.0] * 301 + [5.0] * 6001, 0.1, 4)
        assert nodes[299:302] == [4, 7, 7]
        assert nodes[301 + 5999 : 301 + 6001] == [7, 3]
        nodes = followed(RayServe().scaler(), [14.0] * 300 + [8.0] + [14.0] * 300, 0.1, 4)
        assert set(nodes) == {4}


class TestSchedule:
    def test_repeats(self) -> None:
        """It repeats."""
        times = (Appointment(7.0, 12), Appointment(19.0, 4))
        rule = Schedule(times=times, period_s=24.0).rule()
        at = {0.0: 4, 6.9: 4, 7.0: 12, 18.9: 12, 19.0: 4, 30.9: 4, 31.0: 12}
        assert {time_s: rule.wanted(seen(time_s, 1, None)).nodes for time_s in at} == at

    @pytest.mark.parametrize("at_s", [(7.0, 7.0), (8.0, 7.0), (0.0, 24.0)])
    def test_wants_its_times_in_order_within_the_period(self, at_s: tuple[float, ...]) -> None:
        """It wants its times in order within the period."""
        with pytest.raises(ValueError, match="sort them"):
            Schedule(times=tuple(Appointment(each, 1) for each in at_s), period_s=24.0)


class _Wants:
    def __init__(self, nodes: Sequence[int]) -> None:
        self._nodes = list(nodes)

    def wanted(self, view: PoolView) -> Decision:
        return Decision(self._nodes.pop(0), "asked")


class TestKeda:
    def test_takes_its_part_of_the_metric_of_the_pool(self) -> None:
        """A queue of 45 for a target of 10: 5 nodes, whatever their states."""
        rule = Keda(signal=KedaSignal(target=10.0)).rule()
        assert rule.wanted(seen(0.0, 1, 45.0)).nodes == 5
        assert rule.wanted(seen(0.0, 1, 45.0, starting=4)).nodes == 5
        assert rule.wanted(seen(0.0, 4, 43.0)).nodes == 4  # within its tolerance


class TestSkyServe:
    def test_grows_after_five_minutes_and_shrinks_after_twenty(self) -> None:
        """25 requests a second for 10 a replica: 3, with decision 15 in 20 s; then 60 for 1."""
        scaler = SkyServe(signal=SkyServeSignal(target=10.0)).scaler()
        nodes = followed(scaler, [25.0] * 15 + [9.0] * 60, 20.0, 1)
        assert nodes[:15] == [1] * 14 + [3]
        assert nodes[15:] == [3] * 59 + [1]

    def test_one_contrary_sample_starts_over(self) -> None:
        """Fourteen decisions to grow are forgotten."""
        scaler = SkyServe(signal=SkyServeSignal(target=10.0)).scaler()
        assert set(followed(scaler, ([25.0] * 14 + [9.0]) * 3, 20.0, 1)) == {1}


class TestAibrix:
    @pytest.mark.parametrize(
        ("ready", "mean", "nodes"), [(4, 80.0, 7), (8, 10.0, 4), (4, 54.0, 4), (4, 200.0, 8)]
    )
    def test_is_bounded_by_twice_and_half(self, ready: int, mean: float, nodes: int) -> None:
        """Target 50: ceil(4 x 1.6); max(ceil(8 x 0.2), 8 / 2); within 10 %; at most twice."""
        scaler = AibrixApa(signal=ApaSignal(of="in_flight", target=50.0)).scaler()
        assert scaler.desired(seen(0.0, ready, mean * ready)).nodes == nodes

    def test_shrinks_five_minutes_after_a_change(self) -> None:
        """And grows at once."""
        scaler = AibrixApa(signal=ApaSignal(of="in_flight", target=1.0)).scaler()
        nodes = followed(scaler, [4.0, 2.0] + [2.0] * 20, 15.0, 2)
        assert nodes[:20] == [4] * 20
        assert nodes[20] == 2


def caches(*loads: tuple[float, float], starting: int = 0) -> PoolView:
    """Return a pool of nodes with a share of a cache of 100,000 tokens, and a queue."""
    nodes = [
        NodeView(f"n-{number}", "ready", None, None, queued, share, 1e5 * share, 1e5)
        for number, (share, queued) in enumerate(loads)
    ]
    return PoolView(0.0, [*nodes, *[NodeView("s", "starting")] * starting], 1, 100)


class TestWvaV1:
    @pytest.mark.parametrize(
        ("loads", "nodes"),
        [
            ([(0.65, 0), (0.72, 0)], 2),  # spare (0.15 + 0.08) / 2 = 0.115, and too much for one
            ([(0.65, 0), (0.75, 0)], 2),  # 0.10000000000000003 in doubles: no, though it is 0.1
            ([(0.66, 0), (0.75, 0)], 3),
            ([(0.85, 0), (0.9, 0)], 3),  # all saturated
            ([(0.3, 3), (0.3, 4)], 3),  # the queues have 1.5 to spare
            ([(0.85, 0), (0.1, 9), (0.2, 0)], 3),  # of one that is not saturated nothing is spread
            ([(0.3, 0), (0.3, 0)], 1),  # 0.6 on one leaves 0.2
            ([(0.4, 0), (0.4, 0)], 2),  # 0.8 would not
        ],
    )
    def test_changes_by_one(self, loads: list[tuple[float, float]], nodes: int) -> None:
        """It grows for want of room, and shrinks where the others can take it."""
        assert WvaV1().rule().wanted(caches(*loads)).nodes == nodes

    def test_waits_for_nodes_that_start(self) -> None:
        """One change at a time."""
        assert WvaV1().rule().wanted(caches((0.9, 9), starting=1)).nodes == 2

    def test_the_window_holds_a_change_back(self) -> None:
        """Four minutes of like recommendations, one a minute."""
        scaler, found = WvaV1().scaler(), []
        for tick in range(6):
            view = caches((0.9, 9))
            found.append(scaler.desired(replace(view, time_s=60.0 * tick)).nodes)
        assert found == [1, 1, 1, 1, 2, 2]


class TestWvaV2:
    def test_grows_and_shrinks_by_tokens(self) -> None:
        """3 nodes of 100,000 tokens hold 240,000: 210,000 need one more, 100,000 one less."""
        rule = WvaV2(prompt_tokens=1000.0).rule()
        assert rule.wanted(caches(*[(0.7, 0)] * 3)).nodes == 4
        assert rule.wanted(caches(*[(1 / 3, 0)] * 3)).nodes == 2
        assert rule.wanted(caches(*[(0.6, 0)] * 3)).nodes == 3
        assert rule.wanted(caches(*[(0.7, 0)] * 3, starting=1)).nodes == 4

    def test_waiting_requests_count(self) -> None:
        """Three waiting with 10,000 tokens each on nodes of 60,000: 210,000 again."""
        rule = WvaV2(prompt_tokens=10_000.0).rule()
        assert rule.wanted(caches(*[(0.6, 1)] * 3)).nodes == 4

    def test_what_a_node_had_with_a_queue_is_what_it_holds(self) -> None:
        """40,000 tokens with five waiting: it holds no more, now and later."""
        rule = WvaV2(prompt_tokens=1.0).rule()
        assert rule.wanted(caches((0.4, 5))).nodes == 2
        assert rule.wanted(caches((0.35, 0))).nodes == 2  # 35,000 of 40,000 is above 85 %


class TestDynamo:
    @pytest.mark.parametrize(
        ("loads", "mode", "nodes"),
        [
            ([(0.9, 2), (0.1, 0)], "throughput", 3),  # 110 % with two waiting
            ([(0.9, 0), (0.1, 0)], "throughput", 2),
            ([(0.5, 0), (0.59, 0)], "throughput", 1),
            ([(0.5, 0), (0.2, 0)], "latency", 3),
            ([(0.05, 0), (0.09, 0)], "latency", 1),
            ([(0.2, 0), (0.09, 0)], "latency", 2),
        ],
    )
    def test_any_above_or_all_below(
        self, loads: list[tuple[float, float]], mode: Any, nodes: int
    ) -> None:
        """One node more or less."""
        rule = DynamoLoad(prompt_tokens=10_000.0, mode=mode).rule()
        assert rule.wanted(caches(*loads)).nodes == nodes

    def test_does_nothing_while_a_change_is_under_way(self) -> None:
        """Neither while a node starts nor while one drains."""
        rule = DynamoLoad(prompt_tokens=1.0).rule()
        assert rule.wanted(caches((1.1, 0), starting=1)).nodes == 2
        assert rule.wanted(replace(caches((1.1, 0)), draining=1)).nodes == 1


class TestStages:
    def test_a_cool_down_holds_each_direction_for_its_time(self) -> None:
        """A cool down holds each direction for its time."""
        stages = Stages(every_s=10.0, cooldown_up_s=20.0, cooldown_down_s=40.0)
        scaler = StagedScaler(_Wants([2, 4, 4, 1, 1, 1, 1]), stages)
        assert followed(scaler, [0.0] * 7, 10.0, 1) == [2, 2, 4, 4, 4, 4, 1]

    def test_bounds_hold_whatever_a_rule_wants(self) -> None:
        """Bounds hold whatever a rule wants."""
        scaler = StagedScaler(_Wants([0, 50, 3]), Stages(every_s=1.0))
        assert followed(scaler, [0.0] * 3, 1.0, 2, most=9) == [1, 9, 3]

    def test_a_change_that_did_not_come_does_not_count(self) -> None:
        """A pool that is only advised is asked again, and its rates and cool-downs do not run."""
        stages = Stages(
            every_s=10.0, rate=RateConfig(up=UpRate(nodes=1, share=None, within_s=60.0)),
            cooldown_up_s=60.0,
        )  # fmt: skip
        scaler = StagedScaler(_Wants([9, 9, 9]), stages)
        assert [scaler.desired(seen(10.0 * tick, 2, 0.0)).nodes for tick in range(3)] == [3, 3, 3]

    def test_a_delay_counts_decisions_in_one_direction(self) -> None:
        """A delay counts decisions in one direction."""
        stages = Stages(every_s=20.0, delay=DelayConfig(up_s=60.0, down_s=40.0))
        scaler = StagedScaler(_Wants([2, 2, 1, 2, 2, 2, 1, 1]), stages)
        assert followed(scaler, [0.0] * 8, 20.0, 1) == [1, 1, 1, 1, 1, 2, 2, 1]

    def test_a_rate_without_a_bound_is_refused(self) -> None:
        """A rate without a bound is refused."""
        with pytest.raises(ValueError, match="bounds nothing"):
            UpRate(nodes=None, share=None)
