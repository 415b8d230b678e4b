"""Worked numbers from the own tests of Envoy, gRPC and NGINX hold for strategies of their names.

One row a number: what it is called here, the test that it stands in, what is expected, and how it
is found. ``SOURCES`` names files and commits by the first letter of a row.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest

from fedsim.federation.contracts import NodeId
from fedsim.federation.outliers import (
    FailureShareConfig,
    OutlierConfig,
    OutlierDetector,
    SuccessRateConfig,
    success_rate_threshold,
)
from fedsim.federation.slow_start import SlowStartConfig, slow_start_share
from fedsim.federation.strategies.hash_tables import MaglevSettings, maglev_table
from fedsim.federation.strategies.localities import (
    EnvoyLoadAwareLocalitySettings,
    effective_weight,
    load_aware_shares,
)
from fedsim.federation.strategies.priorities import health_of, loads, loads_in_panic
from fedsim.federation.strategies.schedules import STARTS, Schedule, SmoothTurns
from fedsim.federation.strategies.zones import zone_plan
from tests.unit.federation.stand_ins import Dice, HandClock, deployment
from tests.unit.federation.strategy_scene import StrategyScene

SOURCES = {
    "P": "envoy 247ad9167bb0, load_balancer_impl_base_test.cc",
    "E": "envoy 10f2a5bd8dae, edf_scheduler_test.cc; 0d2acde2e8d7, round_robin_lb_test.cc",
    "L": "envoy 0a31a547fa09, least_request_lb_test.cc",
    "W": "envoy 7924be2c83c1, locality_wrr_test.cc",
    "A": "envoy 0d2acde2e8d7, round_robin_lb_test.cc",
    "G": "envoy 02717d7c9884, load_aware_locality_lb_test.cc",
    "M": "envoy 08417eb62f1e, maglev_lb_test.cc",
    "O": "envoy 00bd11e3a4c2, outlier_detection_impl_test.cc",
    "S": "envoy 0d2acde2e8d7, round_robin_lb_test.cc; 0a31a547fa09, least_request_lb_test.cc",
    "R": "grpc-go, internal/xds/balancer/outlierdetection/balancer_test.go",
    "N": "nginx 52327e0627f4, message: smooth weighted round-robin balancing",
}


class Fact(NamedTuple):
    """A number of another system's."""

    name: str
    test: str
    expected: Any
    found: Callable[[], Any]


class Drawn(NamedTuple):
    """How often each of some things was drawn."""

    counts: Counter[str]

    def is_in(self, percent: dict[str, float]) -> bool:
        """Return whether all are as often as *percent* says, within 3.5 standard errors."""
        total = self.counts.total()
        shares = {name: value / 100.0 for name, value in percent.items()}
        errors = {name: (share * (1.0 - share) / total) ** 0.5 for name, share in shares.items()}
        return set(self.counts) <= set(shares) and all(
            abs(self.counts[name] / total - share) <= 3.5 * errors[name]
            for name, share in shares.items()
        )


# Priority levels. A level is (healthy, degraded, all).


def levels(*healths: tuple[int, int, int], factor: int = 140) -> list[list[int]]:
    """Return percentages for the healthy and the degraded nodes of levels."""
    healthy = [health_of(level[0], level[2], factor) for level in healths]
    degraded = [health_of(level[1], level[2], factor) for level in healths]
    return list(loads(healthy, degraded))


def in_panic(*healths: tuple[int, int], count: int = 20_000) -> Drawn:
    """Return which levels a gateway with panic mode draws; each of their nodes must be used."""
    nodes = [
        deployment(f"{level}{number}", priority=priority)
        for priority, (level, (_, total)) in enumerate(zip("abc", healths, strict=False))
        for number in range(total)
    ]
    scene = StrategyScene(*nodes, strategy="envoy_priority", rng=random.Random(21), panic=0.5)
    for level, (healthy, total) in zip("abc", healths, strict=False):
        scene.lose(*(f"{level}{number}" for number in range(healthy, total)))
    chosen = Counter(scene.choose() for _ in range(count))
    assert len(chosen) == len(nodes)
    found: Counter[str] = Counter()
    for node, times in chosen.items():
        found[node[0]] += times
    return Drawn(found)


PRIORITIES = [
    Fact("P1", "OverProvisioningFactor", [[70, 30], [0, 0]], lambda: levels((2, 0, 4), (2, 0, 4))),
    Fact(
        "P2",
        "OverProvisioningFactor",
        [[50, 50], [0, 0]],
        lambda: levels((2, 0, 4), (2, 0, 4), factor=100),
    ),
    Fact("P3", "GentleFailover", [[70, 30], [0, 0]], lambda: levels((1, 0, 2), (1, 0, 2))),
    Fact("P4", "GentleFailover", [[35, 65], [0, 0]], lambda: levels((1, 0, 4), (2, 0, 2))),
    Fact("P5", "GentleFailover", [[50, 50], [0, 0]], lambda: levels((1, 0, 4), (1, 0, 4))),
    Fact("P6", "ExtraLevels", [[35, 35, 30], [0, 0, 0]], lambda: levels(*[(1, 0, 4)] * 3)),
    Fact("P7", "ExtraLevels", [[34, 33, 33], [0, 0, 0]], lambda: levels(*[(1, 0, 5)] * 3)),
    Fact(
        "P8",
        "ExtraLevels",
        [[0, 0, 100], [0, 0, 0]],
        lambda: levels((0, 0, 5), (0, 0, 5), (4, 0, 5)),
    ),
    Fact(
        "P9",
        "ExtraLevels",
        [[0, 56, 44], [0, 0, 0]],
        lambda: levels((0, 5, 5), (2, 2, 5), (2, 0, 5)),
    ),
    Fact(
        "P10",
        "ExtraLevels",
        [[0, 0, 28], [28, 44, 0]],
        lambda: levels((0, 1, 5), (0, 5, 5), (1, 0, 5)),
    ),
    Fact(
        "P11",
        "ExtraLevels",
        [[0, 0, 0], [0, 67, 33]],
        lambda: levels((0, 0, 5), (0, 2, 5), (0, 1, 5)),
    ),
    Fact("P12", "ExtraLevels", [37, 42, 21], lambda: loads_in_panic([5, 6, 3])),
    Fact(
        "P12", "ExtraLevels", {"a": 37, "b": 42, "c": 21}, lambda: in_panic((0, 5), (2, 6), (1, 3))
    ),
    Fact("P13", "GentleFailover", {"a": 50, "b": 50}, lambda: in_panic((1, 4), (1, 4))),
    Fact(
        "P14", "ExtraLevels", {"a": 34, "b": 33, "c": 33}, lambda: in_panic((0, 5), (0, 5), (2, 5))
    ),
]


# Schedules.


def order(
    count: int, *weights: float, kind: type[Schedule] | type[SmoothTurns] = Schedule
) -> list[int]:
    """Return the first picks of a schedule that begins at the beginning."""
    schedule = kind(range(len(weights)), weights.__getitem__, Dice(0.0))
    return [schedule.pick() for _ in range(count)]


def first_picks(*weights: int) -> list[int]:
    """Return how often each node is first, over one start at each place of the cycle."""
    starts = (Dice(start / STARTS) for start in range(sum(weights)))
    first = Counter(
        Schedule(range(len(weights)), weights.__getitem__, rng).pick() for rng in starts
    )
    return [first[node] for node in range(len(weights))]


def picked(count: int, *weights: float) -> list[int]:
    """Return how often a schedule picks each node."""
    found = Counter(order(count, *weights))
    return [found[node] for node in range(len(weights))]


SCHEDULES = [
    Fact("E1", "RoundRobin Weighted", [1, 0, 1, 1, 0, 1], lambda: order(6, 1, 2)),
    Fact("E2", "EdfScheduler Weighted", list(range(1, 129)), lambda: picked(8256, *range(1, 129))),
    Fact("E3", "EdfScheduler Unweighted", [*range(128)] * 2, lambda: order(256, *[1] * 128)),
    Fact("E4", "FirstPickDistribution", [25, 75], lambda: first_picks(25, 75)),
    Fact("E5", "FirstPickDistribution", [1, 99], lambda: first_picks(1, 99)),
    Fact("E6", "FirstPickDistribution", [50, 50], lambda: first_picks(50, 50)),
    Fact("E7", "FirstPickDistribution", [1, 20, 79], lambda: first_picks(1, 20, 79)),
    Fact("E8", "WeightedInitializationPicksAllHosts", [6, 3, 1], lambda: first_picks(6, 3, 1)),
]


# Least request.


def least_request(draws: Sequence[float], in_flight: Sequence[int], **settings: Any) -> str:
    """Return the node that these draws choose."""
    nodes = [f"n{number}" for number in range(len(in_flight))]
    scene = StrategyScene(
        *nodes, strategy="envoy_least_request", settings=settings, rng=Dice(*draws)
    )
    scene.load(**dict(zip(nodes, in_flight, strict=True)))
    return scene.choose()


def by_weight(
    bias: float | None, *stages: tuple[int, int, int], weights: Sequence[int]
) -> list[str]:
    """Return what two nodes with weights are chosen, stage by stage.

    Args:
        bias: The bias of requests in flight, None for none given.
        stages: Requests in flight to each of the nodes, and how many requests come then.
        weights: The nodes' weights.
    """
    nodes = [deployment(f"{number}", weight=weight) for number, weight in enumerate(weights)]
    settings = {} if bias is None else {"active_request_bias": bias}
    scene = StrategyScene(*nodes, strategy="envoy_least_request", settings=settings, rng=Dice(0.0))
    found = []
    for first, second, count in stages:
        scene.load(**{"0": first, "1": second})
        found.append("".join(scene.choose() for _ in range(count)))
    return found


def full_scan(*in_flight: int) -> Drawn:
    """Return which nodes a full scan takes."""
    nodes = [f"n{number}" for number in range(len(in_flight))]
    scene = StrategyScene(
        *nodes,
        strategy="envoy_least_request",
        settings={"full_scan": True},
        rng=random.Random(22),
    )
    scene.load(**dict(zip(nodes, in_flight, strict=True)))
    return Drawn(Counter(scene.choose() for _ in range(6_000)))


STAGES = ((0, 0, 6), (0, 1, 5), (1, 0, 10))

LEAST_REQUEST = [
    Fact("L1", "WeightImbalance", "101101", lambda: by_weight(None, *STAGES, weights=(1, 2))[0]),
    Fact("L2", "WeightImbalance", "10101", lambda: by_weight(None, *STAGES, weights=(1, 2))[1]),
    Fact(
        "L3", "WeightImbalance", "0111011110", lambda: by_weight(None, *STAGES, weights=(1, 2))[2]
    ),
    Fact("L4", "CustomBias", ["101101"], lambda: by_weight(0.0, (0, 1, 6), weights=(1, 2))),
    Fact("L5", "Normal", "n0", lambda: least_request([0.0, 0.5], [1, 2])),
    Fact("L6", "Normal", "n1", lambda: least_request([0.0, 0.5], [2, 1])),
    Fact(
        "L7",
        "PNC",
        "n3",
        lambda: least_request([0.75, 0.0, 0.75, 0.5, 0.25], [4, 3, 2, 1], choices=5),
    ),
    Fact("L8", "PNC", "n0", lambda: least_request([0.0], [4, 3, 2, 1], choices=5)),
    Fact("L9", "FullScan", {"n3": 100}, lambda: full_scan(4, 3, 2, 1, 5)),
    Fact(
        "L10",
        "FullScan",
        {"n2": 100 / 3, "n3": 100 / 3, "n4": 100 / 3},
        lambda: full_scan(3, 3, 1, 1, 1),
    ),
    Fact(
        "L11",
        "EqualWeightsWithActiveRequestBias",
        pytest.approx(200, abs=2),
        lambda: by_weight(1.0, (1, 0, 300), weights=(1, 1))[0].count("1"),
    ),
]


# Weighted localities.


def localities(first: int, second: int, of: int = 5, weights: Sequence[int] = (1, 2)) -> list[int]:
    """Return the shares in percent of two regions with so many nodes left, the second of one."""
    scene = StrategyScene(
        *(deployment(f"x{number}", "x", weight=weights[0] / of) for number in range(of)),
        deployment("y", "y", weight=weights[1]),
        strategy="envoy_locality_weighted",
        rng=Dice(0.0),
    )
    scene.lose(*(f"x{number}" for number in range(first, of)), *(["y"] if not second else []))
    chosen = Counter(scene.choose()[0] for _ in range(100))
    return [chosen["x"], chosen["y"]]


def overprovisioned(factor: int) -> list[int]:
    """Return the shares in percent of two equal regions, the first with half of its nodes lost."""
    return picked(100, effective_weight(1.0, 1, 2, factor), effective_weight(1.0, 1, 1, factor))


def region_order(*weights: int) -> list[int]:
    """Return the first six picks of regions with one node each."""
    nodes = [
        deployment(f"{number}", f"r{number}", weight=each) for number, each in enumerate(weights)
    ]
    scene = StrategyScene(*nodes, strategy="envoy_locality_weighted", rng=Dice(0.0))
    return [int(scene.choose()) for _ in range(6)]


def first_regions(*weights: int) -> list[int]:
    """Return how often each region is first, over one start at each place of the cycle."""
    nodes = [
        deployment(f"{number}", f"r{number}", weight=each) for number, each in enumerate(weights)
    ]
    chosen = Counter(
        StrategyScene(*nodes, strategy="envoy_locality_weighted", rng=Dice(start / STARTS)).choose()
        for start in range(sum(weights))
    )
    return [chosen[f"{number}"] for number in range(len(weights))]


LOCALITIES = [
    Fact("W1", "WeightedLocalities", [1, 0, 1, 1, 0, 1], lambda: region_order(1, 2)),
    Fact("W2", "UnweightedLocalities", [0, 1, 2, 0, 1, 2], lambda: region_order(1, 1, 1)),
    Fact("W3", "UnhealthyFailover", [33, 67], lambda: localities(5, 1)),
    Fact("W4", "UnhealthyFailover", [33, 67], lambda: localities(4, 1)),
    Fact("W5", "UnhealthyFailover", [29, 71], lambda: localities(3, 1)),
    Fact("W6", "UnhealthyFailover", [22, 78], lambda: localities(2, 1)),
    Fact("W7", "UnhealthyFailover", [12, 88], lambda: localities(1, 1)),
    Fact("W8", "UnhealthyFailover", [0, 100], lambda: localities(0, 1)),
    Fact("W9", "LocalityPickChanges", [33, 67], lambda: overprovisioned(100)),
    Fact("W10", "LocalityPickChanges", [50, 50], lambda: overprovisioned(200)),
    Fact("W11", "WeightedAllChosen", [1, 6, 3], lambda: first_regions(1, 6, 3)),
]


# Zone aware. Nodes and gateways by zone, the gateway's own is ``east``.


def zones(
    nodes: dict[str, int],
    gateways: dict[str, int],
    rng: Any = None,
    least: int = 1,
    count: int = 20_000,
) -> Drawn:
    """Return the zones that a gateway of ``east`` chooses."""
    deployments = [
        deployment(f"{zone}-{number}", zone)
        for zone, each in nodes.items()
        for number in range(each)
    ]
    scene = StrategyScene(
        *deployments,
        strategy="envoy_zone_aware",
        settings={"min_cluster_size": least},
        gateways=gateways,
        rng=rng or random.Random(23),
    )
    return Drawn(Counter(scene.choose().split("-")[0] for _ in range(count)))


MISMATCHED = ({"east": 1, "c": 3, "d": 3, "e": 1}, {"east": 2, "b": 2, "c": 1, "d": 1})


def one_zone(luck: int) -> list[str]:
    """Return where a draw of *luck* of 10,000 goes, of zones with 1, 2 and 2 nodes."""
    rng = Dice(luck / 10_000)
    nodes, gateways = {"east": 1, "b": 2, "c": 2}, dict.fromkeys(("east", "b", "c"), 1)
    return list(zones(nodes, gateways, rng, count=1).counts)


ZONES = [
    Fact(
        "A1",
        "ResidualsMismatched",
        (3750, (0, 2084, 4168, 5418)),
        lambda: as_pair(zone_plan((3333, 1666, 1666, 0), (1250, 3750, 3750, 1250), 0)),
    ),
    Fact(
        "A2",
        "ResidualsMismatched",
        {"east": 37.5, "c": 62.5 * 2084 / 5418, "d": 62.5 * 2084 / 5418, "e": 62.5 * 1250 / 5418},
        lambda: zones(*MISMATCHED),
    ),
    Fact(
        "A3",
        "DifferentZoneSize",
        (6666, (0, 0, 3333)),
        lambda: as_pair(zone_plan((5000, 5000, 0), (3333, 3333, 3333), 0)),
    ),
    Fact("A4", "SmallZone", ["east", False], lambda: [*one_zone(100), "east" in one_zone(9999)]),
    Fact(
        "A5",
        "ZonesMismatched",
        {"east": 100},
        lambda: zones({"east": 1, "c": 1}, {"east": 1, "b": 1}),
    ),
    Fact("A6", "ZonesMismatched", {"c": 100}, lambda: zones({"b": 1, "c": 1}, {"east": 1, "b": 1})),
    Fact(
        "A7",
        "NoMatchingZones",
        dict.fromkeys("def", 100 / 3),
        lambda: zones(dict.fromkeys("def", 1), {"east": 1, "b": 1, "c": 1}),
    ),
    Fact(
        "A8",
        "SmallCluster",
        {"east": 100 / 3, "b": 100 / 3, "c": 100 / 3},
        lambda: zones({"east": 1, "b": 1, "c": 1}, {"east": 1, "b": 1, "c": 1}, least=7),
    ),
]


def as_pair(plan: Any) -> tuple[int, tuple[int, ...]]:
    """Return what stays and the room of zones, summed up."""
    return plan.local, plan.residuals


# Load-aware localities.


def load_aware(
    nodes: Sequence[int],
    used: Sequence[float],
    own: int | None = 0,
    probe: float = 0.0,
    threshold: float = 0.1,
) -> list[float]:
    """Return the shares of regions, to four places."""
    settings = EnvoyLoadAwareLocalitySettings(variance_threshold=threshold, probe_floor=probe)
    return [round(share, 4) for share in load_aware_shares(nodes, used, own, settings)]


LOADS = [
    Fact("G1", "RoutingWeightsComputed", [0.3, 0.7], lambda: load_aware((1, 1), (0.7, 0.3))),
    Fact(
        "G2",
        "HostCountAsymmetry",
        [0.8333, 0.1667],
        lambda: load_aware((10, 2), (0.5, 0.5), own=None),
    ),
    Fact(
        "G3",
        "ZeroUtilizationIsValidData",
        [0.9091, 0.0909],
        lambda: load_aware((1, 1), (0.0, 0.9), own=None),
    ),
    Fact(
        "G4",
        "ProbeInAllLocalMode",
        [0.97, 0.03],
        lambda: load_aware((1, 1), (0.5, 0.5), probe=0.03),
    ),
    Fact(
        "G5",
        "ProbeWithZeroWeightRemotes",
        [0.95, 0.05],
        lambda: load_aware((1, 1), (0.5, 1.0), probe=0.05),
    ),
    Fact(
        "G6",
        "VarianceThresholdUsesTargetUtil",
        [1.0, 0.0],
        lambda: load_aware((10, 2), (0.4, 0.6)),
    ),
    Fact(
        "G7",
        "AllLocalitiesSaturatedProportionalFallback",
        [0.75, 0.25],
        lambda: load_aware((3, 1), (1.0, 1.0)),
    ),
    Fact(
        "G8",
        "ProbeDistributionThreeLocalities",
        [0.94, 0.02, 0.04],
        lambda: load_aware((2, 2, 4), (0.5, 0.5, 0.5), probe=0.06),
    ),
    Fact(
        "G9",
        "VarianceThresholdNotTriggered",
        [0.0244, 0.9756],
        lambda: load_aware((1, 10), (0.8, 0.2)),
    ),
    Fact(
        "G10",
        "LocalSaturatedSkipsAllLocal",
        [0.0, 1.0],
        lambda: load_aware((1, 1), (1.0, 0.3), threshold=1.0),
    ),
    Fact(
        "G11",
        "HealthyHostsDivergeFromAll",
        [0.3333, 0.6667],
        lambda: load_aware((1, 2), (0.5, 0.5), own=None),
    ),
]


# Maglev. Which node is at which place depends on the hash and is no fact.


def places(size: int, *weights: float) -> list[int]:
    """Return how many places of a table each node has, ascending."""
    nodes = tuple(NodeId(f"n{number}") for number in range(len(weights)))
    return sorted(Counter(maglev_table(nodes, weights, size)).values())


def refused(size: int) -> bool:
    """Return whether a table may not have a size."""
    try:
        MaglevSettings(table_size=size)
    except ValueError:
        return True
    return False


MAGLEV = [
    Fact("M1", "Basic", [1, 1, 1, 1, 1, 2], lambda: places(7, *[1.0] * 6)),
    Fact("M2", "Weighted", [6, 11], lambda: places(17, 1.0, 2.0)),
    Fact("M3", "SameLocalityWeights", [8, 9], lambda: places(17, 1.0, 1.0)),
    Fact("M4", "DifferentLocalityWeights", [4, 13], lambda: places(17, 8.0, 2.0)),
    Fact("M5", "NoPrimeNumber", True, lambda: refused(8)),
]


# Outlier detection.


class Detection:
    """A detector over nodes 0, 1, ... on a hand clock, and whom it has ejected after each step."""

    def __init__(self, nodes: int, **settings: Any) -> None:
        envoy = {"success_rate": None, "always_eject_one": False, "max_ejected": 1.0}
        self.clock = HandClock()
        self.detector = OutlierDetector(self.clock, OutlierConfig(**(envoy | settings)))
        self.nodes = [NodeId(f"{number}") for number in range(nodes)]
        self.detector.follow(dict.fromkeys(self.nodes, ""))
        self.seen: list[list[int]] = []

    def serve(self, node: int, failures: int, good: int = 0) -> None:
        """Have a node serve, the good ones last."""
        for outcome in ["internal"] * failures + ["ok"] * good:
            self.detector.record(self.nodes[node], outcome)

    def tick(self, at_s: float) -> None:
        """End an interval."""
        self.clock.now_s = at_s
        self.detector.tick()
        self.look()

    def look(self) -> None:
        """Note who is ejected."""
        self.seen.append(
            [place for place, node in enumerate(self.nodes) if self.detector.ejection(node)]
        )


def consecutive() -> list[list[int]]:
    """Five failures in a row, a success between them; then back after 30 s."""
    detection = Detection(2)
    detection.serve(0, 1, good=1)
    detection.serve(0, 4)
    detection.look()
    detection.serve(0, 1)
    detection.look()
    detection.tick(9.999)
    detection.tick(30.001)
    return detection.seen


def failure_share() -> list[int]:
    """Of 300 requests 250, and of 350 requests 300 fail, with a threshold of 85 %."""
    rule = FailureShareConfig(threshold=0.85, min_nodes=5, volume=50)
    detection = Detection(5, consecutive_failures=None, failure_share=rule)
    for node in range(3):
        detection.serve(node, 0, good=300)
    detection.serve(3, 250, good=50)
    detection.serve(4, 300, good=50)
    detection.tick(10.0)
    return detection.seen[0]


def success_rate() -> list[list[int]]:
    """Half of one node's requests fail; later there are too few for a verdict."""
    rule = SuccessRateConfig(1.9, min_nodes=5, volume=100)
    detection = Detection(5, consecutive_failures=None, success_rate=rule)
    for node in range(5):
        bad = 100 if node == 4 else 0
        detection.serve(node, bad, good=200 - bad)
    detection.tick(10.0)
    detection.tick(19.999)
    detection.tick(50.001)
    for node in range(5):
        bad = 25 if node == 4 else 0
        detection.serve(node, bad, good=50 - bad)
    detection.tick(60.001)
    return detection.seen


def of_two(*, always_one: bool) -> list[int]:
    """Both of two nodes fail, and at most 1 % may be ejected."""
    detection = Detection(2, max_ejected=0.01, always_eject_one=always_one)
    detection.serve(0, 5)
    detection.serve(1, 5)
    detection.look()
    return detection.seen[0]


def ejection_times(longest_s: float, count: int) -> list[int]:
    """Return how many intervals of 10 s each of some ejections in a row takes."""
    detection = Detection(1, base_ejection_s=10.0, max_ejection_s=longest_s)
    found = []
    for _ in range(count):
        detection.serve(0, 5)
        intervals = 0
        detection.look()
        while detection.seen[-1]:
            detection.tick(detection.clock.now_s + 10.0)
            intervals += 1
        found.append(intervals)
    return found


def grpc(bad: int) -> list[int]:
    """Three nodes serve five requests each, of which those of the third may fail."""
    rule = FailureShareConfig(threshold=0.5, min_nodes=3, volume=3)
    detection = Detection(
        3,
        consecutive_failures=None,
        failure_share=rule,
        max_ejected=0.1,
        always_eject_one=True,
    )
    for node in range(3):
        failures = bad if node == 2 else 0
        detection.serve(node, failures, good=5 - failures)
    detection.tick(10.0)
    return detection.seen[0]


OUTLIERS = [
    Fact("O1", "BasicFlow5xxViaHttpCodes", [[], [0], [0], []], consecutive),
    Fact("O2", "BasicFlowFailurePercentageExternalOrigin", [4], failure_share),
    Fact("O3", "BasicFlowSuccessRateLocalOrigin", [[4], [4], [], []], success_rate),
    Fact(
        "O4",
        "BasicFlowSuccessRateLocalOrigin",
        pytest.approx(52),
        lambda: success_rate_threshold([50, 100, 100, 100, 100], 1.9),
    ),
    # Of this commit the share is compared before the ejection, and the first node is ejected.
    # Since 1.31 it is compared after it, unless always_eject_one_host is set, as here.
    Fact("O5", "Overflow, since 1.31", [], lambda: of_two(always_one=False)),
    Fact("O6", "Overflow", [0], lambda: of_two(always_one=True)),
    Fact("O7", "MaxEjectTime", [*range(1, 31), 30, 30], lambda: ejection_times(300.0, 32)),
    Fact("O8", "MaxEjectTimeNotAlligned", [*range(1, 32), 31], lambda: ejection_times(305.0, 32)),
    Fact("R1", "TestEjectFailureRate", [], lambda: grpc(bad=0)),
    Fact("R2", "TestEjectFailureRate", [2], lambda: grpc(bad=5)),
]


# Slow start. The tests give two digits, cut off.


def starting(age_s: float, window_s: float, aggression: float, least: float) -> float:
    """Return a node's share, cut off after two digits."""
    config = SlowStartConfig(window_s=window_s, aggression=aggression, min=least)
    return int(slow_start_share(config, age_s) * 100.0) / 100.0


SLOW_STARTS = [
    Fact("S1", "NoWaitNonLinearAggression", 0.31, lambda: starting(6, 60, 2.0, 0.1)),
    Fact("S2", "NoWaitNonLinearAggression", 0.65, lambda: starting(26, 60, 2.0, 0.1)),
    Fact("S3", "NoWaitNonLinearAggression", 0.28, lambda: starting(5, 60, 2.0, 0.1)),
    Fact("S4", "WithRuntimeAggression", 0.93, lambda: starting(9, 10, 1.5, 0.1)),
    Fact("S5", "NoWaitMinWeightPercent35", 0.35, lambda: starting(12, 60, 1.0, 0.35)),
    Fact("S6", "NoWaitMinWeightPercent35", 0.5, lambda: starting(30, 60, 1.0, 0.35)),
    Fact("S7", "SlowStartNoWait", 0.16, lambda: starting(10, 60, 1.0, 0.1)),
    Fact("S8", "SlowStartNoWait", 0.66, lambda: starting(40, 60, 1.0, 0.1)),
    Fact("S9", "SlowStartNoWait", 0.1, lambda: starting(5, 60, 1.0, 0.1)),
]


# NGINX.


def smooth() -> str:
    """Return the first seven nodes of the strategy for weights 5, 1 and 1."""
    nodes = [deployment(name, weight=each) for name, each in (("a", 5), ("b", 1), ("c", 1))]
    scene = StrategyScene(*nodes, strategy="smooth_weighted_round_robin", rng=Dice(0.0))
    return "".join(scene.choose() for _ in range(7))


NGINX = [
    Fact("N1", "message", [0, 0, 1, 0, 2, 0, 0], lambda: order(7, 5, 1, 1, kind=SmoothTurns)),
    Fact("N2", "message", "aabacaa", smooth),
]

FACTS = [
    *PRIORITIES,
    *SCHEDULES,
    *LEAST_REQUEST,
    *LOCALITIES,
    *ZONES,
    *LOADS,
    *MAGLEV,
    *OUTLIERS,
    *SLOW_STARTS,
    *NGINX,
]


@pytest.mark.parametrize("fact", FACTS, ids=[f"{fact.name} {fact.test}" for fact in FACTS])
def test_facts(fact: Fact) -> None:
    """The number is the one of the system's own test."""
    found = fact.found()
    if isinstance(found, Drawn):
        assert found.is_in(fact.expected), found.counts
    else:
        assert found == fact.expected


def test_all_facts_are_there() -> None:
    """Of each source as many numbers are held as were read."""
    counts = Counter(name[0] for name in {fact.name for fact in FACTS})
    expected = {"P": 14, "E": 8, "L": 11, "W": 11, "A": 8, "G": 11, "M": 5, "O": 8, "S": 9}
    assert counts == expected | {"R": 2, "N": 2}
    assert set(counts) == set(SOURCES)
