"""Deadlines against what requests need of a node that has nothing else to do.

A fixed sample of each stream's requests is served, one at a time, by an idle node of each pool that
may serve it: an engine steps each alone, a service distribution gives its quantiles, a batch has
one request. The round trip from the stream's nearest gateway is added. What is left out, waiting
and other requests in the batch, only makes it longer. So do models that a node has to load first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedsim.federation.gateway import TimeoutConfig
from fedsim.kernel.streams import Streams
from fedsim.results.slo import Bounded
from fedsim.scenario.offered_load import OfferedLoad
from fedsim.scenario.request_samples import RequestSample
from fedsim.scenario.spec import FederationSpec, Scenario
from fedsim.scenario.units import DURATION
from fedsim.workload.details import Details
from fedsim.world.config import StreamConfig
from fedsim.world.network import NetworkConfig
from fedsim.world.nodes.config import PoolConfig

if TYPE_CHECKING:
    from fedsim.world.engine.config import EngineConfig

MOST = 1000
"""Requests of a stream that are looked at."""

USUALLY_LATE = 0.01
"""Share of requests that may need longer than they ask for before it is worth a word."""

USUAL_HEDGES = 0.1
"""Share of requests that may be hedged on idle nodes, where there is no budget."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Needs:
    """What requests need of an idle node, in seconds from the dispatch, as arrays.

    Attributes:
        first_s: Until the first token.
        gap_s: At most from one token to the next.
        token_s: On average from one token to the next; NaN for an answer of one token.
        whole_s: Until the whole answer.
    """

    first_s: Floats
    gap_s: Floats
    token_s: Floats
    whole_s: Floats


@dataclass(frozen=True, slots=True)
class _Request:
    prompt_tokens: int
    output_tokens: int
    details: Details | None


@dataclass(frozen=True, slots=True)
class _Limit:
    """A deadline that a stream's requests have to meet.

    Attributes:
        path: Its path in the scenario.
        limit_s: The deadline, in seconds; None for none.
        part: What has to come in that time, as a name of `Needs`.
        what: The same in words.
        remedy: What to do.
        usual: Share of requests that may miss it without a word.
        everywhere: Whether it is worth a word only where no pool meets it.
    """

    path: str
    limit_s: float | None
    part: str
    what: str
    remedy: str
    usual: float = 0.0
    everywhere: bool = False


def deadline_notes(offered: OfferedLoad) -> list[str]:
    """Return a sentence for each deadline that requests cannot meet on an idle node."""
    return [*_requests(offered), *_probes(offered.scenario)]


def idle_needs(pool: PoolConfig, sample: RequestSample) -> Needs:
    """Return what the requests of a sample need of an idle node, those left out that never fit."""
    rows = zip(sample.prompt_tokens, sample.output_tokens, sample.details, strict=True)
    requests = [_Request(int(prompt), int(output), details) for prompt, output, details in rows]
    if pool.engine is not None:
        return _of_engine(pool.engine, requests)
    return _of_service(pool, requests)


def _of_engine(config: EngineConfig, requests: list[_Request]) -> Needs:
    from fedsim.world.engine.engine import Engine

    found: dict[tuple[int, int], tuple[float, float, float, float]] = {}
    needs = []
    limits = Engine(config)
    for request in requests:
        size = max(request.prompt_tokens, 1), request.output_tokens
        if limits.why_never(*size) is None:
            if size not in found:
                found[size] = _alone_s(config, *size)
            needs.append(found[size])
    return Needs(*np.array(needs, dtype=float).reshape(-1, 4).T)


def _alone_s(config: EngineConfig, prompt: int, output: int) -> tuple[float, float, float, float]:
    """Return the needs of a request that an engine serves alone, in seconds."""
    from fedsim.world.engine.engine import Engine, Sequence

    engine, sequence, gap_s = Engine(config), Sequence(prompt, output), 0.0
    engine.submit(sequence, 0.0)
    while engine.next_change_s() < math.inf:
        engine.advance(engine.next_change_s())
        if not math.isnan(sequence.first_token_s):
            gap_s = max(gap_s, engine.longest_step_s)
    before_s = config.request_overhead_s
    first_s, last_s = before_s + sequence.first_token_s, before_s + sequence.finished_s
    return first_s, gap_s, (last_s - first_s) / (output - 1) if output > 1 else math.nan, last_s


def _of_service(pool: PoolConfig, requests: list[_Request]) -> Needs:
    count = len(requests)
    uniforms = (Streams(0).generator("check/deadlines").permutation(count) + 0.5) / count
    if pool.batching is not None:
        batching = pool.batching
        pairs = zip(uniforms.tolist(), requests, strict=True)
        times_s = [batching.service.batch_s([uniform], [each]) for uniform, each in pairs]
        whole_s = np.array(times_s) + (batching.max_wait_s if batching.max_batch > 1 else 0.0)
        return Needs(whole_s, np.zeros(count), np.full(count, math.nan), whole_s)
    service = pool.service
    assert service is not None
    pairs = zip(uniforms.tolist(), requests, strict=True)
    whole_s = np.array([service.service_s(uniform, each) for uniform, each in pairs])
    tokens = np.array([max(each.output_tokens, 1) for each in requests])
    first_s = whole_s / tokens
    if service.knows_first_token:
        pairs = zip(whole_s.tolist(), requests, strict=True)
        first_s = np.array([service.first_token_s(whole, each) for whole, each in pairs])
    gap_s = (whole_s - first_s) / np.maximum(tokens - 1, 1)
    return Needs(first_s, gap_s, np.where(tokens > 1, gap_s, math.nan), whole_s)


# Requests


def _requests(offered: OfferedLoad) -> Iterator[str]:
    scenario = offered.scenario
    for row, stream in enumerate(offered.streams):
        drawn = offered.sample(row)
        sample = drawn.taken(np.arange(min(MOST, len(drawn.details))))
        needs = {
            pool.name: _with_trip(idle_needs(pool, sample), _round_trip_s(scenario, stream, pool))
            for pool, may in zip(offered.pools, offered.may_serve[row], strict=True)
            if may
        }
        for limit in _limits(scenario.federation, stream):
            yield from _note(limit, stream, needs)
        timed = {pool.name for pool in offered.pools if pool.gives_tokens}
        for limit in _objectives(offered, row):
            of_tokens = limit.part != "whole_s"
            judged = {name: each for name, each in needs.items() if not of_tokens or name in timed}
            yield from _note(limit, stream, judged)


def _with_trip(needs: Needs, trip_s: float) -> Needs:
    return replace(needs, first_s=needs.first_s + trip_s, whole_s=needs.whole_s + trip_s)


def _limits(federation: FederationSpec, stream: StreamConfig) -> Iterator[_Limit]:
    """Yield the deadlines of a stream's requests, hedges included."""
    timeout = federation.config.timeout or TimeoutConfig(None, None, None, None)
    key, whole = f"workload.{stream.traffic.name}", ("whole_s", "their answer")
    begins = ("first_s", "their first token") if stream.streamed else whole
    path = "federation.timeout"
    if stream.streamed:
        remedy = "Raise it, or shorten the prompts."
        yield _Limit(f"{path}.first_token", timeout.first_token_s, *begins, remedy)
        gap = ("gap_s", "a token after the one before")
        yield _Limit(f"{path}.idle", timeout.idle_s, *gap, "Raise it.")
    else:
        remedy = f"Raise it, or write {key}.streamed: on."
        yield _Limit(f"{path}.attempt", timeout.attempt_s, *whole, remedy)
    yield _Limit(f"{path}.request", timeout.request_s, *whole, "Raise it.")
    remedy = "Raise it, or use faster nodes."
    yield _Limit(f"{key}.qos.max_latency", stream.qos.max_latency_s, *whole, remedy, USUALLY_LATE)
    hedge = federation.config.hedge
    if hedge is not None:
        remedy = (
            "Requests are hedged that are not late. Raise it, or write a percentile such as p95."
        )
        usual = USUAL_HEDGES if hedge.budget is None else hedge.budget
        after_s = None if isinstance(hedge.after_s, str) else hedge.after_s
        yield _Limit("federation.hedge.after", after_s, *begins, remedy, usual)


_PARTS = {
    "ttft": ("first_s", "their first token"),
    "tpot": ("token_s", "a token after the first"),
    "latency": ("whole_s", "their answer"),
}


def _objectives(offered: OfferedLoad, row: int) -> Iterator[_Limit]:
    """Yield the bounds of the objective on times of a stream's requests.

    A bound that covers several streams lets more of one be late, the fewer of its requests are of
    that stream. Prompts that may be found in a cache need less than is known here.
    """
    slo, traffic = offered.scenario.slo, offered.streams[row].traffic
    if slo is None or traffic.conversation is not None or traffic.sizes.prefixes is not None:
        return
    rates = {
        each.traffic.name: rate
        for each, rate in zip(offered.streams, offered.rates_rps, strict=True)
    }
    for part in slo.parts(rates):
        bounded = Bounded.of(part.key)
        if bounded.time not in _PARTS or traffic.name not in part.covers:
            continue
        whole = sum(rates[name] for name in part.covers)
        if not whole:
            continue
        usual = (1.0 - bounded.share) * whole / max(rates[traffic.name], 1e-12)
        usual += 3.0 * math.sqrt(max(usual * (1.0 - usual), 0.0) / MOST)  # of a sample
        where = "slo" if part.stream is None else f"slo.streams.{part.stream}"
        remedy = "It cannot be held: raise it, or use faster nodes."
        yield _Limit(f"{where}.{part.key}", part.limit, *_PARTS[bounded.time], remedy, usual, True)


def _note(limit: _Limit, stream: StreamConfig, needs: Mapping[str, Needs]) -> Iterator[str]:
    """Yield the sentence that requests need longer, with their share on each pool."""
    if limit.limit_s is None:
        return
    late = {}
    for pool, each in needs.items():
        needed_s = getattr(each, limit.part)
        share = float(np.mean(needed_s > limit.limit_s)) if len(needed_s) else 0.0
        if share > limit.usual:
            times_s = f"median {np.median(needed_s):.3g} s, longest {needed_s.max():.3g} s"
            late[pool] = f"{100.0 * share:.3g} % on {pool} ({times_s})"
    if late and (not limit.everywhere or len(late) == len(needs)):
        yield (
            f"{limit.path} is {DURATION.format(limit.limit_s)}, and requests of "
            f"{stream.traffic.name} need longer for {limit.what} on idle nodes: "
            f"{', '.join(late.values())}. {limit.remedy}"
        )


# Probes


def _probes(scenario: Scenario) -> Iterator[str]:
    health = scenario.federation.health
    if health is None or isinstance(health, str):
        return
    for gateway in scenario.federation.gateways:
        far = [
            pool.name
            for pool in scenario.world.pools
            if _trip_s(scenario.world.network, gateway, pool.region) >= health.timeout_s
        ]
        if far:
            yield (
                f"federation.health.timeout is {DURATION.format(health.timeout_s)}, and a probe "
                f"from {gateway} to {' and '.join(far)} takes longer on the network alone: the "
                "nodes will be held for unhealthy. Raise it."
            )


def _round_trip_s(scenario: Scenario, stream: StreamConfig, pool: PoolConfig) -> float:
    """Return the round trip from the nearest region that the stream comes from, in seconds."""
    network = scenario.world.network
    origins = [region for region, weight in stream.traffic.origins if weight > 0.0]
    return min((_trip_s(network, origin, pool.region) for origin in origins), default=0.0)


def _trip_s(network: NetworkConfig, one: str, other: str) -> float:
    if one == other:
        return network.within_s.get(one, network.within_region_s)
    return network.between_s.get((one, other), 0.0)
