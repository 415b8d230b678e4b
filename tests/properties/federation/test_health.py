"""Probes find a dead node and a recovered one in time, whenever that happens."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fedsim.federation.contracts import NodeId
from fedsim.federation.health import HealthChecker, HealthConfig
from tests.unit.federation.stand_ins import Dice, Network, Onlooker, Stage, unreachable

shares = st.lists(st.floats(0.0, 1.0, exclude_max=True), min_size=1, max_size=7)


@given(dies_s=st.floats(0.5, 60.0), dead_s=st.floats(0.0, 120.0), dice=shares)
def test_dead_nodes_are_found_and_come_back(dies_s, dead_s, dice):
    """Unhealthy at most 33 s after death, healthy again at most 22 s after the node is up."""
    stage, seen = Stage(), Onlooker()
    back_s = dies_s + dead_s

    def answer(node):
        dead = dies_s <= stage.clock.now() < back_s
        return 0.0, unreachable(node) if dead else 1

    network = Network(stage.clock, telemetry=answer)
    health = HealthChecker(network, stage.clock, stage.tasks, Dice(*dice), HealthConfig(), seen)
    health.register_node(NodeId("a"))
    stage.spawn(health.start_monitoring())
    stage.env.run(until=back_s + 40.0)

    found = [(at_s, after) for at_s, _, _, after in seen.health[1:]]
    slack_s = 1e-9
    if dead_s > 33.0 + slack_s:
        assert found[0][1] == "unhealthy"
        assert found[0][0] <= dies_s + 33.0 + slack_s
    if dead_s < 10.0:
        assert not found  # at most two probes fall into so short a time, but for the first ones
    if found:
        assert [after for _, after in found] == ["unhealthy", "healthy"]
        assert found[1][0] <= back_s + 22.0 + slack_s
    times_s = [at_s for at_s, _ in network.probed[1:]]
    gaps_s = [later - sooner for sooner, later in pairwise(times_s)]
    assert all(10.0 - slack_s <= gap_s <= 11.0 + slack_s for gap_s in gaps_s)
