from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsim.federation.contracts import Capability
from fedsim.results.recorder import Recorder
from fedsim.workload.distributions import Constant
from fedsim.world.faults.config import FaultConfig
from fedsim.world.faults.stopping import Crash
from fedsim.world.nodes.config import PoolConfig
from fedsim.world.service import DistributedService
from fedsim.world.world import World, directory_of
from tests.unit.world.scripted import HERE, Script, ScriptedGateway, errors, outage, slowdown


def events_of(faults, *, nodes=1, duration_s=100.0, seed=1, pools=()):
    """Return the fault events of a world without requests, up to *duration_s*."""
    script = Script([(0.0, 0)], nodes=nodes, faults=faults, duration_s=duration_s, seed=seed)
    config = script.config
    config = replace(config, pools=(*pools, *config.pools))
    recorder = Recorder(directory_of(config, {HERE: 1}))
    World(config, {HERE: 1}, lambda site: ScriptedGateway(site, script), recorder).run()
    events = recorder.tables().events[["time_s", "subject", "before", "after", "detail"]]
    return list(events.itertuples(index=False, name=None))


def crash(**settings):
    """Return a random crash of the pool ``node``, unless another target is named."""
    settings = {"pool": "node", "mtbf_s": 10.0, "mttr_s": 2.0, **settings}
    return FaultConfig(Crash(), **settings)


def other_pool(name="other"):
    """Return another pool."""
    service = DistributedService(Constant(1.0))
    return PoolConfig(name, HERE, 2, "model", (Capability.GENERATE,), 1, None, service)


class TestEvents:
    def test_words(self):
        """Every fault tells its subject, what was and what is, at its start and its end."""
        faults = [
            outage(1.0, 10.0, region=HERE),
            FaultConfig(Crash(), pool="node", at_s=2.0, lasts_s=10.0),
            slowdown(3.0, 10.0, 2.5, node="node-0"),
            errors(4.0, 10.0, 0.3, pool="node"),
        ]

        assert events_of(faults) == [
            (1.0, HERE, "up", "down", "outage"),
            (2.0, "node", "up", "down", "crash"),
            (3.0, "node-0", "normal", "slow x2.5", "slowdown"),
            (4.0, "node", "normal", "errors 30%", "errors"),
            (11.0, HERE, "down", "up", "outage"),
            (12.0, "node", "down", "up", "crash"),
            (13.0, "node-0", "slow x2.5", "normal", "slowdown"),
            (14.0, "node", "errors 30%", "normal", "errors"),
        ]

    def test_random_ones_name_the_node(self):
        """A random crash strikes each node of its pool by itself."""
        events = events_of([crash()], nodes=3)

        assert {subject for _, subject, *_ in events} == {"node-0", "node-1", "node-2"}
        for node in ("node-0", "node-1", "node-2"):
            states = [(before, after) for _, subject, before, after, _ in events if subject == node]
            assert states == [("up", "down"), ("down", "up")] * (len(states) // 2) + (
                [("up", "down")] * (len(states) % 2)
            )

    def test_at_the_very_start(self):
        """A fault that begins at 0 strikes the request that arrives at 0."""
        played = Script([(0.0, 5)], faults=[outage(0.0, 1.0)]).play()

        assert played.log == [(0, "node_unreachable", 0.0)]


class TestTargets:
    @pytest.mark.parametrize(
        ("target", "struck"),
        [
            ({"node": "node-1"}, {"node-1"}),
            ({"pool": "other"}, {"other-0", "other-1"}),
            ({"region": HERE}, {"other-0", "other-1", "node-0", "node-1"}),
        ],
    )
    def test_strike_what_they_name(self, target, struck):
        """A fault strikes a node, the nodes of a pool, or all nodes of a region."""
        events = events_of([crash(**{"pool": None, **target})], nodes=2, pools=[other_pool()])

        assert {subject for _, subject, *_ in events} == struck


class TestComposition:
    @settings(max_examples=20)
    @given(
        st.lists(
            st.tuples(
                st.integers(1, 30),
                st.integers(1, 15),
                st.sampled_from([{"node": "node-0"}, {"region": HERE}, {"node": "node-1"}]),
            ),
            max_size=5,
        )
    )
    def test_a_node_is_up_when_nothing_holds_it_down(self, plan):
        """Of overlapping outages, alike or not, a node's time down is the union."""
        faults = [outage(float(at), float(lasts), **target) for at, lasts, target in plan]
        played = Script([(0.0, 0)], nodes=2, faults=faults, duration_s=60.0).play()

        for node, up_s in enumerate(played.tables.node_totals["up_s"]):
            down = {
                second
                for at, lasts, target in plan
                if target != {"node": f"node-{1 - node}"}
                for second in range(at, at + lasts)
            }
            assert up_s == 60.0 - len(down)

    def test_faults_that_are_alike(self):
        """Two faults that are equal in every respect begin and end each for itself."""
        twice = [
            *[outage(5.0, 5.0)] * 2,
            *[slowdown(5.0, 9.0, 2.0)] * 2,
            *[errors(1.0, 2.0, 0.5)] * 2,
        ]
        played = Script([(20.0, 3)], faults=twice).play()

        assert played.log == [(0, "ok", 23.0)]
        assert len(played.faults) == 12

    def test_random_ones_that_are_alike(self):
        """Two random crashes of one pool strike at times of their own, and compose."""
        once, twice = events_of([crash()]), events_of([crash(), crash()])

        assert set(once) < set(twice)
        assert len(twice) > len(once)


class TestLuck:
    def test_belongs_to_the_fault_and_the_node(self):
        """Other faults, nodes and pools leave the times of a random crash as they were."""
        alone = events_of([crash()], nodes=2)
        among = events_of(
            [
                outage(3.0, 4.0, node="node-0"),
                crash(pool="other"),
                crash(),
                slowdown(1.0, 1.0, 2.0),
            ],
            nodes=3,
            pools=[other_pool()],
        )

        kept = [each for each in among if each[1] in {"node-0", "node-1"} and each[4] == "crash"]
        assert kept == alone

    def test_depends_on_the_seed(self):
        """Another seed brings other times, the same seed the same."""
        assert events_of([crash()], seed=1) == events_of([crash()], seed=1)
        assert events_of([crash()], seed=1) != events_of([crash()], seed=2)

    def test_scales_with_the_means(self):
        """A fault that strikes half as often and lasts twice as long is the same, stretched."""
        often = events_of([crash(mtbf_s=10.0, mttr_s=2.0)], duration_s=100.0)
        seldom = events_of([crash(mtbf_s=20.0, mttr_s=4.0)], duration_s=200.0)

        assert [time for time, *_ in seldom] == pytest.approx([2 * time for time, *_ in often])
