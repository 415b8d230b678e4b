"""Scenes: small worlds in which every arrival, service time and fault is written down.

Nothing in a scene is drawn, unless the router draws: the network takes no time, services take what
they are said to, and requests come when they are said to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsim.errors import ArgumentError
from fedsim.results.run import Run
from fedsim.scenario.load import load
from fedsim.scenario.simulate import simulated
from fedsim.scenario.spec import Scenario
from fedsim.workload.arrived import Arrived, Generators
from fedsim.workload.mean_sizes import MeanSizes
from fedsim.world.guards import Guard
from fedsim.world.world import World

STREAM, REGION = "chat", "here"


@dataclass(frozen=True)
class Scene:
    """What became of a scene.

    Attributes:
        run: The run, with all tables.
        routers: The router of each gateway, as it was at the end: the plug-in, or ours.
    """

    run: Run
    routers: tuple[Any, ...]

    @property
    def nodes(self) -> list[str]:
        """Where each attempt was sent, in the order of their starts."""
        return [str(node) for node in self.run.attempts["node"]]

    @property
    def outcomes(self) -> list[str]:
        """What became of each request, in the order of arrival."""
        return [str(outcome) for outcome in self.run.requests["outcome"]]


@dataclass(frozen=True)
class ScriptedArrivals:
    """An arrival process whose times and tenants are given.

    Attributes:
        times_s: When requests come, in seconds, ascending.
        tenants: Who sends each, as a number, -1 for none.
        tenant_names: The names of tenants by number, or None for no tenants.
    """

    times_s: tuple[float, ...]
    tenants: tuple[int, ...]
    tenant_names: tuple[str, ...] | None
    brings_tokens: bool = False
    trace: None = None
    mean_sizes: MeanSizes = field(default_factory=MeanSizes)

    def mean_rps(self, until_s: float) -> float:
        """Return the rate at which they arrive before *until_s*, in requests per second."""
        return sum(each < until_s for each in self.times_s) / until_s

    def peak_rps(self, until_s: float) -> float:
        """Return the same: a script has no curve."""
        return self.mean_rps(until_s)

    def times(
        self, rng: np.random.Generator, until_s: float, block_size: int = 4096
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the times before *until_s*."""
        for arrived in self.marked(lambda _: rng, until_s, block_size):
            yield arrived.times_s

    def marked(self, generator: Generators, until_s: float, block_size: int) -> Iterator[Arrived]:
        """Yield what arrives before *until_s*."""
        last = sum(each < until_s for each in self.times_s)
        for first in range(0, last, block_size):
            rows = slice(first, min(first + block_size, last))
            yield Arrived(np.array(self.times_s[rows]), tenants=np.array(self.tenants[rows]))


def scene(
    arrivals: Sequence[float],
    *,
    nodes: int | Mapping[str, Mapping[str, Any]] = 2,
    service: float = 1.0,
    slots: int = 1,
    tenants: Sequence[str] | None = None,
    faults: Sequence[Mapping[str, Any]] = (),
    router: Any = None,
    strategy: Any = None,
    changes: Mapping[str, Any] | None = None,
    seed: int = 1,
) -> Scene:
    """Run a scripted world, and return what became of it.

    It has one region, ``here``, with one gateway, no network and no timeouts, retries, breaker or
    health checks unless *changes* says otherwise; requests are ``chat-0``, ``chat-1`` and so on.

    Args:
        arrivals: When requests come, in seconds, ascending.
        nodes: Number of nodes, which are ``node-0``, ``node-1`` and so on; or pools by name, each
            with the keys of a scenario's pool, whose nodes are ``NAME-0`` and so on. What a pool
            does not say is as for all: one node, *slots*, *service*, an unlimited queue.
        service: How long each request takes in a slot, in seconds, > 0.
        slots: Slots of each node, >= 1.
        tenants: Who sends each request, as many as *arrivals*; None for no tenants.
        faults: Faults, as in a scenario.
        router: A router in place of ours, as for `fedsim.simulate`.
        strategy: A strategy for our router, as for `fedsim.simulate`.
        changes: Changes by dotted path, as for ``Scenario.changed``.
        seed: The seed of all that a router draws from ``context.rng``.

    Raises:
        ArgumentError: There are no arrivals, they are not ascending, or there are not as many
            tenants.
        ScenarioError: What is given does not make a scenario.
        PlugInError: The router misbehaved.

    Example:
        >>> found = scene([0.0, 0.1, 0.2], nodes=2, strategy="round_robin")
        >>> sorted(found.nodes[:2])
        ['node-0', 'node-1']
    """
    times = tuple(float(each) for each in arrivals)
    if not times or list(times) != sorted(times) or times[0] < 0.0:
        message = "A scene needs arrivals, whose times are at least 0 and ascend."
        raise ArgumentError(message, "Write for instance [0.0, 0.1, 0.5].")
    if tenants is not None and len(tenants) != len(times):
        message = f"There are {len(times)} arrivals and {len(tenants)} tenants."
        raise ArgumentError(message, "Name the tenant of each arrival.")
    pools: Mapping[str, Mapping[str, Any]] = (
        {"node": {"count": nodes}} if isinstance(nodes, int) else nodes
    )
    common = {
        "region": REGION,
        "count": 1,
        "slots": slots,
        "queue_limit": "unlimited",
        "service": {"distribution": "constant", "value": f"{service!r}s"},
    }
    scenario = load(
        {
            "name": "scene",
            "seed": seed,
            "duration": f"{times[-1] + 1.0!r}s",
            "warmup": "0s",
            "drain": "1d",
            "regions": {REGION: {}},
            "network": {"within_region": "0s", "jitter": "0%"},
            "pools": {name: {**common, **pool} for name, pool in pools.items()},
            "workload": {STREAM: {"arrivals": {"process": "poisson", "rate": "1/s"}}},
            "federation": {
                "health": "off",
                "circuit_breaker": "off",
                "retries": "off",
                "timeout": "off",
            },
            "record": {"nodes_every": "off"},
            "faults": [dict(fault) for fault in faults],
        },
        changes,
    )
    chosen = {"federation.router": router, "federation.strategy": strategy}
    scenario = scenario.changed({key: each for key, each in chosen.items() if each is not None})
    names = tuple(dict.fromkeys(tenants or ()))
    numbers = tuple(-1 if tenants is None else names.index(tenants[n]) for n in range(len(times)))
    script = ScriptedArrivals(times, numbers, names or None)
    return staged(_arriving(scenario, script))


def staged(scenario: Scenario) -> Scene:
    """Run a scenario, and return what became of it with the routers as they were at the end."""
    run, world = simulated(scenario)
    return Scene(run, tuple(routers_of(world)))


def routers_of(world: World) -> Iterator[Any]:
    """Yield the router of each gateway, without its guard."""
    for _, gateway in world.gateways:
        router = getattr(gateway, "router", None)
        yield router.plugin if isinstance(router, Guard) else router


def _arriving(scenario: Scenario, script: ScriptedArrivals) -> Scenario:
    """Return the scenario with arrivals that are given."""
    (stream,) = scenario.world.streams
    traffic = replace(stream.traffic, arrivals=script)
    world = replace(scenario.world, streams=(replace(stream, traffic=traffic),))
    return replace(scenario, world=world)
