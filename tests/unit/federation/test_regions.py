"""Envoy's rules for regions: zone-aware, weighted and load-aware."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from fedsim.federation.strategies.localities import (
    EnvoyLoadAwareLocalitySettings,
    effective_weight,
    load_aware_shares,
)
from fedsim.federation.strategies.zones import EnvoyZoneAwareSettings, ZonePlan, zone_plan
from tests.unit.federation.stand_ins import Dice, deployment
from tests.unit.federation.strategy_scene import StrategyScene

COUNT = 20_000


def nodes(**counts):
    """Return so many nodes in each region."""
    return [
        deployment(f"{region}-{number}", region)
        for region, count in counts.items()
        for number in range(count)
    ]


def assert_shares(found, expected, count=COUNT):
    """Check shares that were drawn, within 3.5 standard errors."""
    for region, share in expected.items():
        error = math.sqrt(share * (1.0 - share) / count)
        assert abs(found.get(region, 0.0) - share) <= 3.5 * error


class TestZonePlan:
    """How much stays, and who has room."""

    def test_envoy_s_example(self):
        """Gateways 40/40/20 and nodes 25/50/25 %: 62.5 % stay, the room is 0, 10, 5 %."""
        plan = zone_plan((40_000, 40_000, 20_000), (25_000, 50_000, 25_000), 0, 100_000)

        assert plan == ZonePlan(62_500, (0, 10_000, 15_000))

    @pytest.mark.parametrize("own", [1, 2])
    def test_regions_with_enough_nodes_keep_all(self, own):
        """A region whose share of nodes is no less sends nothing away."""
        assert zone_plan((4000, 4000, 2000), (2500, 5000, 2500), own) == ZonePlan(10_000, ())


class TestZoneAware:
    """The strategy."""

    def scene(self, counts, gateways, seed=1, panic=None, **settings):
        """Return a gateway of ``east``."""
        return StrategyScene(
            *nodes(**counts),
            strategy="envoy_zone_aware",
            settings=settings,
            gateways=gateways,
            rng=random.Random(seed),
            panic=panic,
        )

    def test_shares(self):
        """Of east's requests 62.5 % stay; west and north get 25 and 12.5 %."""
        scene = self.scene({"east": 2, "west": 4, "north": 2}, {"east": 2, "west": 2, "north": 1})
        assert_shares(scene.shares(COUNT), {"east": 0.625, "west": 0.25, "north": 0.125})

    def test_all_stay(self):
        """Half of the nodes and a third of the gateways: nothing leaves."""
        scene = self.scene({"east": 4, "west": 4}, {"east": 1, "west": 2})

        assert scene.shares(200) == {"east": 1.0}

    def test_a_region_without_nodes_goes_by_the_room_of_others(self):
        """West has as many nodes as gateways, north has no gateways: all of east go to north."""
        scene = self.scene({"west": 4, "north": 4}, {"east": 1, "west": 1})

        assert scene.shares(200) == {"north": 1.0}

    def test_panic_looks_at_no_region(self):
        """With three of eight nodes left panic opens all, and each gets an eighth."""
        scene = self.scene({"east": 4, "west": 4}, {"east": 1, "west": 1}, panic=0.5)
        scene.lose("east-0", "east-1", "east-2", "west-0", "west-1")

        assert Counter(scene.choose() for _ in range(80)) == dict.fromkeys(scene.names(), 10)

    def test_nodes_that_are_lost_send_requests_away(self):
        """With two of four nodes lost, 2 / 6 of the nodes for 1 / 2 of the gateways: 2 / 3 stay."""
        scene = self.scene({"east": 4, "west": 4}, {"east": 1, "west": 1})
        scene.lose("east-0", "east-1")

        assert_shares(scene.shares(COUNT), {"east": 2 / 3, "west": 1 / 3})

    @pytest.mark.parametrize(
        ("counts", "gateways"),
        [
            ({"east": 2, "west": 3}, {"east": 1, "west": 1}),
            ({"east": 3, "west": 3}, {"west": 1}),
            ({"east": 3, "west": 3}, {}),
        ],
        ids=["five nodes", "no gateway in east", "nobody said"],
    )
    def test_regions_do_not_matter(self, counts, gateways):
        """Where a condition does not hold all nodes take turns."""
        scene = self.scene(counts, gateways)
        count = sum(counts.values())

        assert scene.shares(2 * count) == {
            region: number / count for region, number in sorted(counts.items())
        }

    def test_five_nodes_are_enough_if_told_so(self):
        """The least number of nodes is a setting."""
        scene = self.scene({"east": 3, "west": 2}, {"east": 1, "west": 1}, min_cluster_size=5)

        assert scene.shares(100) == {"east": 1.0}

    def test_routing_enabled(self):
        """For half of the requests regions do not matter: 50 % + half of 50 % stay."""
        scene = self.scene({"east": 3, "west": 3}, {"east": 1, "west": 1}, routing_enabled=0.5)

        assert_shares(scene.shares(COUNT), {"east": 0.75, "west": 0.25})

    def test_least_loaded_in_the_region(self):
        """Within the region it is the node with the fewest in flight."""
        scene = self.scene({"east": 3, "west": 3}, {"east": 1, "west": 1})
        scene.load(**{"east-0": 2, "east-1": 1, "east-2": 2})

        assert scene.choose() == "east-1"

    def test_settings(self):
        """What cannot be is refused."""
        with pytest.raises(ValueError, match="use 1 or more"):
            EnvoyZoneAwareSettings(min_cluster_size=0)
        with pytest.raises(ValueError, match="use 0 to 1"):
            EnvoyZoneAwareSettings(routing_enabled=2.0)


class TestLocalityWeighted:
    """Regions by weight and by what is left of them."""

    @pytest.mark.parametrize(
        ("left", "percent"), [(100, 33), (70, 33), (69, 32), (50, 26), (25, 15), (0, 0)]
    )
    def test_envoy_s_table(self, left, percent):
        """Weights 1 and 2, the second region whole: what the first one gets."""
        first, second = effective_weight(1, left, 100), effective_weight(2, 100, 100)

        assert round(100 * first / (first + second)) == percent

    def scene(self, panic=None):
        """Return four nodes of weight 1 in east, and four of weight 2 in west."""
        return StrategyScene(
            *(deployment(f"east-{number}", "east") for number in range(4)),
            *(deployment(f"west-{number}", "west", weight=2.0) for number in range(4)),
            strategy="envoy_locality_weighted",
            rng=Dice(0.0),
            panic=panic,
        )

    def test_regions_take_turns_smoothly(self):
        """Weights 1 to 2: west, east, west."""
        scene = self.scene()

        assert [scene.choose()[0] for _ in range(6)] == list("wewwew")

    def test_what_is_lost_counts_beyond_the_reserve(self):
        """Half of east is gone: 0.7 to 2, so that 7 of 27 requests stay."""
        scene = self.scene()
        scene.lose("east-0", "east-1")

        assert scene.shares(2700) == {"east": 700 / 2700, "west": 2000 / 2700}

    def test_panic_looks_at_no_region(self):
        """Three of eight nodes are left: all eight are used by their weights."""
        scene = self.scene(panic=0.5)
        scene.lose("east-0", "east-1", "east-2", "west-0", "west-1")

        chosen = Counter(scene.choose() for _ in range(120))
        assert chosen == {node: 10 if node[0] == "e" else 20 for node in scene.names()}

    def test_too_few_to_make_one_percent(self):
        """One node of 200 is taken all the same."""
        scene = StrategyScene(*nodes(east=200), strategy="envoy_locality_weighted")
        scene.lose(*(f"east-{number}" for number in range(199)))

        assert scene.choose() == "east-199"

    def test_no_panic_while_the_levels_carry_all(self):
        """The first level is dead, the next whole: that one gets all, though 4 of 12 are left."""
        scene = StrategyScene(
            *(deployment(f"east-{number}", "east") for number in range(8)),
            *(deployment(f"west-{number}", "west", priority=1) for number in range(4)),
            strategy="envoy_locality_weighted",
            rng=Dice(0.0),
            panic=0.5,
        )
        scene.lose(*(f"east-{number}" for number in range(8)))

        assert scene.shares(100) == {"west": 1.0}


class TestLoadAwareShares:
    """Shares by free capacity."""

    settings = EnvoyLoadAwareLocalitySettings()

    def shares(self, utilization, own=0, counts=(10, 10, 10)):
        """Return shares, rounded."""
        found = load_aware_shares(counts, utilization, own, self.settings)
        return [round(share, 4) for share in found]

    def test_envoy_s_example(self):
        """Ten nodes each at 70, 30 and 40 %: 19, 44 and 37 %."""
        assert self.shares((0.7, 0.3, 0.4)) == [0.1875, 0.4375, 0.375]

    def test_within_the_threshold_all_stay_but_the_floor(self):
        """At 44 % against a mean of 35 % all stay, but 3 % that look at the others."""
        assert self.shares((0.44, 0.3, 0.4)) == [0.97, 0.015, 0.015]
        assert self.shares((0.46, 0.3, 0.4))[0] < 0.4

    def test_the_mean_counts_nodes(self):
        """A large region counts for more: (10 x 0.3 + 30 x 0.5) / 40 = 0.45."""
        assert self.shares((0.54, 0.3, 0.5), counts=(10, 10, 30))[0] == 0.97
        assert self.shares((0.56, 0.3, 0.5), counts=(10, 10, 30))[0] < 0.2

    def test_no_room_anywhere(self):
        """Where all are full, nodes count, whichever region is the own one."""
        assert self.shares((1.0, 1.0, 1.0), own=None, counts=(10, 20, 10)) == [0.25, 0.5, 0.25]
        assert self.shares((1.0, 1.0, 1.0), counts=(10, 20, 10)) == [0.25, 0.5, 0.25]

    def test_a_full_region_keeps_nothing(self):
        """At 100 % nothing stays, however busy others are."""
        assert self.shares((1.0, 0.95, 0.95)) == [0.0, 0.5, 0.5]

    def test_the_floor_adds_to_the_room_of_others(self):
        """Others have 1 and 0.02 of a room of 50.02: what lacks of 3 % goes to them by nodes."""
        settings = EnvoyLoadAwareLocalitySettings(variance_threshold=0.0)
        found = load_aware_shares((98, 1, 1), (0.5, 0.0, 0.98), 0, settings)
        lacking = 0.03 - 1.02 / 50.02
        expected = [0.97, 1.0 / 50.02 + lacking / 2.0, 0.02 / 50.02 + lacking / 2.0]
        assert found == pytest.approx(expected)

    def test_full_neighbours_get_the_floor(self):
        """What is left to others is never less than the floor."""
        found = load_aware_shares(
            (10, 10), (0.9, 1.0), 0, EnvoyLoadAwareLocalitySettings(variance_threshold=0.0)
        )
        assert found == [0.97, 0.03]

    def test_alone(self):
        """With one region there is nowhere else to go."""
        assert self.shares((0.9,), counts=(4,)) == [1.0]

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"probe_floor": 1.5}, "probe_floor is a share"),
            ({"tick_s": 0.0}, "tick must be above 0"),
        ],
    )
    def test_settings(self, settings, message):
        """What cannot be is refused."""
        with pytest.raises(ValueError, match=message):
            EnvoyLoadAwareLocalitySettings(**settings)


class TestLoadAwareLocality:
    """The strategy."""

    def scene(self, seed=3, **used):
        """Return a gateway of ``east`` before two nodes in each region, used so far."""
        scene = StrategyScene(
            *nodes(**dict.fromkeys(used, 2)),
            strategy="envoy_load_aware_locality",
            rng=random.Random(seed),
        )
        self.tell(scene, **used)
        return scene

    def tell(self, scene, **used):
        """Let the nodes of regions say how much they are used."""
        for region, share in used.items():
            for number in range(2):
                scene.tell(f"{region}-{number}", used=share)

    def test_shares(self):
        """Envoy's example: 19, 44 and 37 % of the requests."""
        scene = self.scene(east=0.7, west=0.3, north=0.4)

        assert_shares(scene.shares(COUNT), {"east": 0.1875, "west": 0.4375, "north": 0.375})

    def test_smoothing(self):
        """Of a jump from 20 to 90 %, e^(-1/5) is kept back after 1 s; before the tick nothing."""
        scene = self.scene(east=0.2, west=0.2)
        assert_shares(scene.shares(COUNT), {"east": 0.97, "west": 0.03})
        self.tell(scene, east=0.9)
        scene.clock.now_s = 0.99
        assert_shares(scene.shares(COUNT), {"east": 0.97, "west": 0.03})

        scene.clock.now_s = 1.0
        used = 0.9 - 0.7 * math.exp(-0.2)
        east = (1.0 - used) / (1.0 - used + 0.8)
        assert_shares(scene.shares(COUNT), {"east": east, "west": 1.0 - east})

    def test_stale_telemetry(self):
        """A region of which nothing was heard for 3 min counts by its nodes, as if it were idle."""
        scene = self.scene(east=0.9, west=0.9)
        scene.clock.now_s = 181.0
        self.tell(scene, east=0.9)

        assert_shares(scene.shares(COUNT), {"east": 0.1 / 1.1, "west": 1.0 / 1.1})

    def test_unhealthy_nodes_leave_the_mean(self):
        """A dead node that last said it was idle does not make its region look so."""
        scene = self.scene(east=0.8, west=0.8)
        scene.tell("west-0", used=0.0)
        scene.lose("west-0")

        assert_shares(scene.shares(COUNT), {"east": 0.97, "west": 0.03})

    def test_one_region(self):
        """Where only one region is eligible its nodes take turns."""
        scene = self.scene(east=0.5)

        assert [scene.choose() for _ in range(3)] == ["east-0", "east-1", "east-0"]
