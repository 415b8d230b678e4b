"""The cases in which a fleet has to hold its objective, and the world that each is.

A world is what is simulated: all that a case makes of a fleet. Cases of different fleets are often
one world, which is run once: with a region absent, fleets that differ in it alone are equal, and
with a node absent, a fleet is the one with a node less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fedsim.scenario.plan_checks import ANY_REGION
from fedsim.scenario.spec import SurviveSpec


@dataclass(frozen=True, slots=True)
class World:
    """What is simulated.

    Attributes:
        choice: The number of the combination of chosen values that are no counts.
        counts: Nodes of each pool, in the order of the pools.
        traffic: What all rates are multiplied by.
        lost: The region whose nodes are lost during the run; empty for none.
        settle_s: From the loss to when the objective is judged, in seconds; 0 without a loss.
    """

    choice: int
    counts: tuple[int, ...]
    traffic: float = 1.0
    lost: str = ""
    settle_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Rule:
    """A world, and what besides the objective is asked of it.

    Attributes:
        world: The world.
        interruption: Most requests that may fail because of its loss, or None for any.
    """

    world: World
    interruption: int | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """Something that may become of a fleet.

    Attributes:
        name: What tables call it, such as ``eu-west absent``.
        region: The region that is absent; empty for none.
        pool: The number of the pool that lacks a node; -1 for none.
        traffic: What all rates are multiplied by.
        lost: The region whose nodes are lost during the run; empty for none.
        settle_s: From the loss to when the objective is judged, in seconds.
        interruption: Most requests that may fail because of the loss, or None for any.
    """

    name: str
    region: str = ""
    pool: int = -1
    traffic: float = 1.0
    lost: str = ""
    settle_s: float = 0.0
    interruption: int | None = None

    def rule(self, choice: int, counts: Sequence[int], regions: Sequence[str]) -> Rule:
        """Return what is simulated and asked of a fleet in this case.

        Args:
            choice: The number of the combination of chosen values.
            counts: Nodes of each pool.
            regions: The region of each pool.
        """
        places = zip(counts, regions, strict=True)
        nodes = [0 if region == self.region else count for count, region in places]
        if self.pool >= 0:
            nodes[self.pool] = max(nodes[self.pool] - 1, 0)
        world = World(choice, tuple(nodes), self.traffic)
        if self.lost and any(
            n for n, region in zip(nodes, regions, strict=True) if region == self.lost
        ):
            return Rule(replace(world, lost=self.lost, settle_s=self.settle_s), self.interruption)
        return Rule(world)


NORMAL = Case("all nodes up")


def cases_of(
    survive: Sequence[SurviveSpec], pools: Sequence[str], regions: Sequence[str]
) -> tuple[Case, ...]:
    """Return the normal case and all that is to be survived, each region and pool in turn.

    Args:
        survive: What is to be survived.
        pools: The names of the pools that may have nodes.
        regions: The region of each; empty for a pool that never has any.
    """
    found = [NORMAL]
    places = list(dict.fromkeys(region for region in regions if region))
    for spec in survive:
        if spec.absent == "region":
            found += [Case(f"{region} absent", region=region) for region in places]
        elif spec.absent == "node":
            found += [
                Case(f"a node of {pool} absent", pool=number)
                for number, pool in enumerate(pools)
                if regions[number]
            ]
        elif spec.lost:
            lost = places if spec.lost == ANY_REGION else [spec.lost]
            found += [
                Case(
                    f"{region} lost",
                    lost=region,
                    settle_s=spec.settle_s,
                    interruption=spec.interruption,
                )
                for region in lost
                if region in places
            ]
        else:
            found.append(Case(f"traffic × {spec.traffic:g}", traffic=spec.traffic))
    return tuple(dict.fromkeys(found))
