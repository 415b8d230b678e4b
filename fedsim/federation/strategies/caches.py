"""Strategies that go by the key-value caches of engines, with few parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, inf, sqrt
from typing import Literal

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import InferenceRequest
from fedsim.federation.fleet import Fleet
from fedsim.federation.strategies.base import Candidates
from fedsim.federation.strategies.sets import Members, least_in_flight


class LeastKvCache:
    """The node with the least of its key-value cache in use, as its last probe said.

    Rule: the lowest reported share; equal nodes take turns, and so do all where none reports one.
    Nodes that report none are passed over as long as another does. Cost: O(n), about 0.1 us a node.
    Example: a 80 %, b 35 %, c not known gives b. Failure: between two probes all requests go to one
    node, and a node that fails fast empties its cache and attracts more. Source: AIBrix's
    least-kv-cache as of late 2026, which draws one at random where no node reports.
    """

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the node with the emptiest cache."""
        records = fleet.records
        used = [
            inf
            if (record := records[position]) is None or record.kv_usage is None
            else record.kv_usage
            for position in candidates.positions
        ]
        return candidates.take_turn(used, min(used))


@dataclass(frozen=True, slots=True)
class SglangCacheAwareSettings:
    """When load goes before caches, and what a prompt goes to that no cache knows.

    Attributes:
        imbalance_requests: Loads are uneven only if they differ by more requests in flight.
        imbalance_ratio: Loads are uneven only if the largest is more than so many times the least.
        match: Share of the prompt that a node must have to be chosen for it, 0 to 1.
        otherwise: Who gets a prompt that none has: the node with the least load, as in the
            project's newer gateway, or the one of which the fewest blocks are remembered.
    """

    imbalance_requests: int = 64
    imbalance_ratio: float = 1.5
    match: float = 0.3
    otherwise: Literal["least_load", "least_blocks"] = "least_load"

    def __post_init__(self) -> None:
        if self.imbalance_requests < 0:
            msg = "imbalance_requests cannot be negative: use 0 or more"
            raise ValueError(msg)
        if self.imbalance_ratio < 1.0:
            msg = "imbalance_ratio is below 1: use 1 or more"
            raise ValueError(msg)
        if not 0.0 <= self.match <= 1.0:
            msg = "match is a share of the prompt: use 0 to 1"
            raise ValueError(msg)


class SglangCacheAware:
    """The node that has most of the prompt in its cache, unless loads are uneven.

    Rule: loads are this gateway's requests in flight to all nodes that have the capability,
    unhealthy ones too. If max - min > imbalance_requests and max > imbalance_ratio x min, the least
    loaded eligible node. Else the node that was sent the longest beginning of the prompt, if that
    is more than *match* of it; of equal ones the least loaded, and where it is not eligible the
    first that is. Else the least loaded (or, *otherwise: least_blocks*, the one of which the fewest
    blocks are remembered). Equal loads take turns. The project counts characters in a tree; here
    they are the blocks of the prefix index. Cost: O(n), about 0.2 us a node, and 0.3 us more for
    one that has the first block. Example: loads 100 and 30 are uneven (70 > 64, 100 > 45), 100 and
    40 are not (60 <= 64); of a prompt of 10 blocks, 4 are a match and 3 are not. Failure: a node
    that fails fast keeps the prompts that it is thought to know until it is not eligible; those
    then all go to the first eligible node. Source: SGLang's router as of late 2026, policy
    cache_aware; before, it always took the node with the fewest blocks otherwise.
    """

    def __init__(self, context: GatewayContext, settings: SglangCacheAwareSettings) -> None:
        self._prefixes = context.prefixes
        self._settings = settings
        self._members = Members()

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the node that knows the prompt, or one with little load."""
        settings, in_flight = self._settings, fleet.in_flight
        members = self._members.of(fleet, request)
        loads = [in_flight[position] for position in members]
        most, least = max(loads), min(loads)
        uneven = (
            most - least > settings.imbalance_requests and most > settings.imbalance_ratio * least
        )
        if uneven:
            return least_in_flight(fleet, candidates)
        matches = self._prefixes.matches(request)
        if matches:
            known = [matches.get(fleet.node_ids[position], 0) for position in members]
            if max(known) > settings.match * len(request.blocks):
                return self._best(fleet, candidates, members, known)
        if settings.otherwise == "least_blocks":
            sizes = [
                self._prefixes.size_blocks(fleet.node_ids[place]) for place in candidates.positions
            ]
            return candidates.take_turn(sizes, min(sizes))
        return least_in_flight(fleet, candidates)

    @staticmethod
    def _best(
        fleet: Fleet, candidates: Candidates, members: tuple[int, ...], known: list[int]
    ) -> int:
        """Return the node with the longest match, or the first eligible one in its place."""
        longest = max(known)
        best = [place for place, match in zip(members, known, strict=True) if match == longest]
        eligible = [place for place in best if place in candidates]
        if not eligible:
            return candidates.positions[0]
        loads = [fleet.in_flight[place] for place in eligible]
        least = min(loads)
        return candidates.next_of(
            [place for place, load in zip(eligible, loads, strict=True) if load == least]
        )


@dataclass(frozen=True, slots=True)
class AibrixPrefixCacheSettings:
    """When load goes before caches.

    Attributes:
        imbalance_requests: Loads are uneven if they differ by more requests in flight; the
            project's code says 8, its documentation 16.
        deviations: A node with more load than the mean and so many standard deviations gets no
            request for its cache; the project's code says 1, its documentation 2.
    """

    imbalance_requests: int = 8
    deviations: float = 1.0

    def __post_init__(self) -> None:
        if self.imbalance_requests < 0:
            msg = "imbalance_requests cannot be negative: use 0 or more"
            raise ValueError(msg)
        if self.deviations < 0.0:
            msg = "deviations cannot be negative: use 0 or more"
            raise ValueError(msg)


class AibrixPrefixCache:
    """The node that has most of the prompt in its cache, of those that are not busier than others.

    Rule: loads are this gateway's requests in flight to the eligible nodes. If max - min >
    imbalance_requests, the least loaded. Else, of the nodes that have the first block of the prompt
    and a load <= mean + deviations x standard deviation, the one with the longest match, of equal
    ones the least loaded. Else the least loaded; equal ones take turns. Cost: O(n), about 0.1 us a
    node, and 0.6 us where the first block is known. Example: loads 9, 4, 5, 4 (mean 5.5, deviation
    2.06, mark 7.56): the first node is passed over although it has the whole prompt; loads 9 and 0
    are uneven, 8 and 0 are not. Failure: a node that fails fast looks idle and attracts traffic, as
    with least_connections. Source: AIBrix's prefix-cache as of late 2026, with the thresholds of
    its code.
    """

    def __init__(self, context: GatewayContext, settings: AibrixPrefixCacheSettings) -> None:
        self._prefixes = context.prefixes
        self._settings = settings

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the node that knows the prompt, or the least loaded one."""
        loads = candidates.gather(fleet.in_flight)
        if max(loads) - min(loads) <= self._settings.imbalance_requests:
            matches = self._prefixes.matches(request)
            if matches:
                mark = _mark(loads, self._settings.deviations)
                ranked = [
                    (matches.get(fleet.node_ids[position], 0), -load)
                    if load <= mark
                    else (0, -load)
                    for position, load in zip(candidates.positions, loads, strict=True)
                ]
                best = max(ranked)
                if best[0]:
                    return candidates.next_of(
                        [
                            position
                            for position, rank in zip(candidates.positions, ranked, strict=True)
                            if rank == best
                        ]
                    )
        return candidates.take_turn(loads, min(loads))


def _mark(loads: Sequence[int], deviations: float) -> float:
    """Return mean + *deviations* population standard deviations of *loads*."""
    count = len(loads)
    mean = sum(loads) / count
    return mean + deviations * sqrt(fsum((load - mean) ** 2 for load in loads) / count)
