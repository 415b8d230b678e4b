from __future__ import annotations

from typing import Any

from fedsim.kernel.environment import Environment
from fedsim.kernel.streams import SERVICE, Streams, keyed_uniform
from fedsim.workload.arrivals import Poisson
from fedsim.workload.distributions import Constant, Lognormal
from fedsim.workload.sizes import Sizes
from fedsim.workload.tenants import Tenants
from fedsim.workload.tokens import Tokens
from fedsim.workload.traffic import Traffic
from fedsim.world.source import Source

TRAFFIC = Traffic(
    "chat",
    (("a", 0.5), ("c", 0.5)),
    Poisson(50.0),
    Sizes(Tokens(Lognormal.from_mean_cv(100.0, 1.0), Constant(7.0))),
    Tenants(10, 1.0),
)


def arrivals(traffic, until_s):
    """Return what a source lets arrive: all that it passes on, with the time."""
    env = Environment()
    seen: list[tuple[Any, ...]] = []

    def arrive(*facts):
        seen.append((env.now, *facts))

    def stretches(keys):
        return [key / 2**64 for key in keys]

    blocks = traffic.blocks(Streams(1), until_s)
    source = Source(env, 3, blocks, [0, 2], stretches, arrive)
    source.start()
    env.run()
    return env, seen


class TestSource:
    def test_lets_each_arrive_at_its_time(self):
        """Every arrival of the traffic comes once, in order and at the exact time."""
        _, seen = arrivals(TRAFFIC, 200.0)
        blocks = list(TRAFFIC.blocks(Streams(1), 200.0))
        assert len(blocks) > 1

        expected_s = [time_s for block in blocks for time_s in block.times_s]
        assert [each[0] for each in seen] == expected_s
        assert [each[2] for each in seen] == list(range(len(expected_s)))
        assert {each[1] for each in seen} == {3}

    def test_passes_on_what_belongs_to_the_arrival(self):
        """Origin, tokens, tenant, luck and stretch are those of the arrival."""
        _, seen = arrivals(TRAFFIC, 200.0)

        blocks = TRAFFIC.blocks(Streams(1), 200.0)
        drawn = [
            (
                block.times_s[place],
                [0, 2][block.origins[place]],
                block.times_s[place],
                block.tenants[place],
                block.prompt_tokens[place],
                block.output_tokens[place],
                block.keys[place],
                keyed_uniform(block.keys[place], SERVICE, 1),
                block.keys[place] / 2**64,
                None,
            )
            for block in blocks
            for place in range(len(block))
        ]
        assert [(now_s, *facts[2:]) for now_s, *facts in seen] == drawn

    def test_costs_one_entry_an_arrival(self):
        """However many are to come, one entry of the queue stands for them."""
        env, seen = arrivals(TRAFFIC, 20.0)

        assert next(env._eid) == len(seen)

    def test_of_nothing(self):
        """A stream without arrivals has no entry at all."""
        env, seen = arrivals(TRAFFIC, 1e-9)

        assert (seen, env.now) == ([], 0.0)
