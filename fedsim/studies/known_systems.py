"""Small systems whose behavior theory knows: each a scenario, and what it must come to.

Services take 1 s in the mean, so that rates are loads. Every system runs the whole of fedsim: a
gateway with its router in front of nodes, between them a network, which takes no time unless a
system is about it. Measures are sums over the window of a run, each with what it is divided by, so
that replications of different size weigh what they are worth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fedsim.federation.strategies.hashing import POINTS_PER_NODE
from fedsim.studies import queueing

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pandas import DataFrame, Series

    from fedsim.results.run import Run

ROUNDING = 1e-9
"""By how much a time or a share may differ from one that is computed in another order."""

Ratio = tuple[float, float]
"""A sum, and what it is divided by."""


class Seen:
    """What one run of a system has seen.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.window_s = run.duration_s - run.warmup_s

    @cached_property
    def requests(self) -> DataFrame:
        """The requests that arrived in the window."""
        return self.run.in_window

    @cached_property
    def served(self) -> DataFrame:
        """Those of them that succeeded."""
        return self.requests[self.requests["outcome"] == "ok"]

    @cached_property
    def waits_s(self) -> NDArray[np.float64]:
        """Their waits at the node, in seconds."""
        return self.served["queue_wait_s"].to_numpy()

    @cached_property
    def stays_s(self) -> NDArray[np.float64]:
        """Their waits and services, in seconds."""
        stays_s: NDArray[np.float64] = self.waits_s + self.served["service_s"].to_numpy()
        return stays_s


@dataclass(frozen=True, slots=True)
class Check:
    """A number that theory knows.

    Attributes:
        name: What it is.
        expected: What theory says, in *unit*.
        source: Where that comes from.
        measure: Returns what a run has to say of it.
        unit: Its unit, or empty.
        slack: By how much a correct simulator may miss it, for it is a limit or is rounded.
    """

    name: str
    expected: float
    source: str
    measure: Callable[[Seen], Ratio]
    unit: str = ""
    slack: float = ROUNDING


@dataclass(frozen=True, slots=True)
class System:
    """A scenario, and what theory knows of it.

    Attributes:
        name: Its name, in Kendall's notation where it has one.
        scenario: The scenario as a file would have it.
        checks: The numbers.
        renamed: Whether every replication has other names for its nodes, as hashes go by names.
    """

    name: str
    scenario: Mapping[str, Any]
    checks: tuple[Check, ...]
    renamed: bool = False

    def scenario_of(self, replication: int) -> Mapping[str, Any]:
        """Return the scenario of a replication, from 0."""
        if not self.renamed:
            return self.scenario
        pools = {f"{name}-{replication}": pool for name, pool in self.scenario["pools"].items()}
        return {**self.scenario, "pools": pools}


# Scenarios


EXPONENTIAL = {"distribution": "exponential", "mean": "1s"}
CONSTANT = {"distribution": "constant", "value": "1s"}
GAMMA = {"distribution": "gamma", "mean": "1s", "cv": 1.5}
PLAIN = {"timeout": "off", "retries": "off", "circuit_breaker": "off", "health": "off"}
"""A gateway that does nothing but choose a node."""


def _scenario(
    title: str,
    arrivals: float | Mapping[str, Any],
    *,
    requests: float = 1500,
    warmup: float = 150,
    pool: Mapping[str, Any] | None = None,
    stream: Mapping[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return a scenario with one pool and one stream.

    Args:
        title: Its description.
        arrivals: Poisson arrivals per second; or other arrivals, then *requests* and *warmup* are
            in seconds.
        requests: Requests that count, in the mean.
        warmup: Those before them.
        pool: Keys of the pool.
        stream: Keys of the stream.
        more: Keys of the scenario.
    """
    per_s = 1.0 if isinstance(arrivals, Mapping) else arrivals
    if not isinstance(arrivals, Mapping):
        arrivals = {"process": "poisson", "rate": f"{arrivals}/s"}
    return {
        "name": "verify",
        "description": title,
        "warmup": f"{warmup / per_s}s",
        "duration": f"{(warmup + requests) / per_s}s",
        "regions": {"lab": {}},
        "network": {"within_region": "0s", "jitter": "0%"},
        "pools": {"node": {"region": "lab", "queue_limit": "unlimited", **_service(pool)}},
        "workload": {"load": {"arrivals": dict(arrivals), **(stream or {})}},
        "federation": {"strategy": "round_robin", "policies": {}, **PLAIN},
        "record": {"nodes_every": "off"},
        **more,
    }


def _service(pool: Mapping[str, Any] | None) -> dict[str, Any]:
    keys = dict(pool or {})
    return keys if "engine" in keys else {"slots": 1, "service": EXPONENTIAL, **keys}


def _federation(strategy: str = "round_robin", **more: Any) -> dict[str, Any]:
    return {"strategy": strategy, "policies": {}, **PLAIN, **more}


# Measures


def _mean(values: NDArray[np.float64]) -> Ratio:
    return float(np.sum(values)), float(len(values))


def _share(holds: NDArray[np.bool_] | Series[bool]) -> Ratio:
    return float(np.sum(holds)), float(len(holds))


def _mean_wait(seen: Seen) -> Ratio:
    return _mean(seen.waits_s)


def _mean_stay(seen: Seen) -> Ratio:
    return _mean(seen.stays_s)


def _waiting(seen: Seen) -> Ratio:
    return _share(seen.waits_s > 0.0)


def _waits_over(wait_s: float) -> Callable[[Seen], Ratio]:
    return lambda seen: _share(seen.waits_s > wait_s)


def _outcomes(outcome: str) -> Callable[[Seen], Ratio]:
    return lambda seen: _share(seen.requests["outcome"] == outcome)


def _mean_service(seen: Seen) -> Ratio:
    return _mean(seen.served["service_s"].to_numpy())


def _arrivals(seen: Seen) -> Ratio:
    return float(len(seen.requests)), seen.window_s


def _busy(seen: Seen) -> Ratio:
    totals = seen.run.node_totals
    return float(totals["window_busy_slot_s"].sum()), seen.window_s * float(totals["slots"].sum())


def _present(seen: Seen) -> Ratio:
    samples = seen.run.nodes
    times_s = samples["time_s"].to_numpy()
    here = (samples["running"] + samples["queued"]).to_numpy()
    return _mean(here[(times_s >= seen.run.warmup_s) & (times_s < seen.run.duration_s)])


def _off_the_recursion(
    recursion: Callable[[queueing.Visits], queueing.Waits],
) -> Callable[[Seen], Ratio]:
    """Return the measure of the largest difference between a wait and a recursion's."""

    def largest_s(seen: Seen) -> Ratio:
        requests = seen.run.requests
        arrived_s, service_s = requests["arrived_s"].tolist(), requests["service_s"].tolist()
        expected_s = recursion(zip(arrived_s, service_s, strict=True))
        found_s = requests["queue_wait_s"].to_numpy()
        lost = np.isnan(expected_s) != np.isnan(found_s)
        apart_s = np.where(lost, math.inf, np.nan_to_num(np.abs(found_s - expected_s)))
        return float(apart_s.max()), 1.0

    return largest_s


def _same_node_again(seen: Seen) -> Ratio:
    nodes = seen.requests["node"].cat.codes.to_numpy()
    return _share(nodes[1:] == nodes[:-1])


def _next_in_turn(nodes: int) -> Callable[[Seen], Ratio]:
    def share(seen: Seen) -> Ratio:
        codes = seen.requests["node"].cat.codes.to_numpy()
        return _share((codes[1:] - codes[:-1]) % nodes == 1)

    return share


# Systems


def _m_m_1() -> System:
    load = 0.5
    scenario = _scenario("One node with one slot.", load, record={"nodes_every": "1s"})
    return System(
        "M/M/1",
        scenario,
        (
            Check("arrivals", load, "the scenario", _arrivals, "req/s"),
            Check("mean service", 1.0, "the scenario", _mean_service, "s"),
            Check("busy slots", load, "arrivals × service", _busy),
            Check("mean wait", queueing.m_m_c_wait_s(load, 1.0, 1), "Erlang C", _mean_wait, "s"),
            Check("requests that wait", load, "Erlang C", _waiting),
            Check(
                "wait over 2 s",
                queueing.m_m_c_tail(load, 1.0, 1, 2.0),
                "Erlang C, its tail",
                _waits_over(2.0),
            ),
            Check("requests present", load / (1.0 - load), "Little's law", _present),
            Check(
                "largest wait error",
                0.0,
                "Lindley's recursion",
                _off_the_recursion(queueing.lindley),
                "s",
            ),
        ),
    )


def _m_m_8() -> System:
    rate, slots = 5.6, 8
    federation: dict[str, Any] = {"strategy": "least_latency"}
    scenario = _scenario(
        "One node with eight slots behind a gateway with all defaults.",
        rate,
        requests=2500,
        warmup=280,
        pool={"slots": slots},
        federation=federation,
    )
    return System(
        "M/M/8",
        scenario,
        (
            Check(
                "mean wait", queueing.m_m_c_wait_s(rate, 1.0, slots), "Erlang C", _mean_wait, "s"
            ),
            Check("requests that wait", queueing.erlang_c(rate, slots), "Erlang C", _waiting),
            Check(
                "wait over 1 s",
                queueing.m_m_c_tail(rate, 1.0, slots, 1.0),
                "Erlang C, its tail",
                _waits_over(1.0),
            ),
            Check(
                "largest wait error",
                0.0,
                "Kiefer–Wolfowitz recursion",
                _off_the_recursion(lambda visits: queueing.kiefer_wolfowitz(visits, slots)),
                "s",
            ),
        ),
    )


def _m_d_1() -> System:
    load = 0.6
    return System(
        "M/D/1",
        _scenario("One slot, constant services.", load, pool={"service": CONSTANT}),
        (
            Check("mean service", 1.0, "the scenario", _mean_service, "s"),
            Check(
                "mean wait",
                queueing.m_g_1_wait_s(load, 1.0, 0.0),
                "Pollaczek–Khinchine",
                _mean_wait,
                "s",
            ),
        ),
    )


def _m_g_1() -> System:
    load = 0.5
    return System(
        "M/G/1",
        _scenario(
            "One slot, services with a gamma distribution, coefficient of variation 1.5.",
            load,
            requests=2500,
            warmup=250,
            pool={"service": GAMMA},
        ),
        (
            Check(
                "mean wait",
                queueing.m_g_1_wait_s(load, 1.0, 1.5),
                "Pollaczek–Khinchine",
                _mean_wait,
                "s",
            ),
            Check("requests that wait", load, "arrivals × service", _waiting),
            Check(
                "largest wait error",
                0.0,
                "Lindley's recursion",
                _off_the_recursion(queueing.lindley),
                "s",
            ),
        ),
    )


def _m_m_4_8() -> System:
    load, slots, room = 3.2, 4, 8
    return System(
        "M/M/4/8",
        _scenario(
            "Four slots and four places to wait; one more is refused.",
            load,
            warmup=50,
            pool={"slots": slots, "queue_limit": room - slots},
        ),
        (
            Check(
                "refused",
                queueing.m_m_c_k_shares(load, slots, room)[room],
                "birth and death",
                _outcomes("no_capacity"),
            ),
            Check(
                "mean wait",
                queueing.m_m_c_k_wait_s(load, 1.0, slots, room),
                "birth and death",
                _mean_wait,
                "s",
            ),
            Check(
                "largest wait error",
                0.0,
                "a recursion with losses",
                _off_the_recursion(lambda visits: queueing.with_losses(visits, slots, room)),
                "s",
            ),
        ),
    )


def _m_g_4_4() -> System:
    load, slots = 3.2, 4
    return System(
        "M/G/4/4",
        _scenario(
            "Four slots and no place to wait; services with a gamma distribution.",
            load,
            warmup=50,
            pool={"slots": slots, "queue_limit": 0, "service": GAMMA},
        ),
        (Check("refused", queueing.erlang_b(load, slots), "Erlang B", _outcomes("no_capacity")),),
    )


def _round_robin() -> System:
    load, nodes = 0.6, 4
    root = queueing.e_m_1_root(load, nodes)
    return System(
        "round robin",
        _scenario("Four nodes in turn.", load * nodes, warmup=300, pool={"count": nodes}),
        (
            Check("to the next node", 1.0, "round robin", _next_in_turn(nodes)),
            Check("mean wait", root / (1.0 - root), "E4/M/1 at each node", _mean_wait, "s"),
            Check("requests that wait", root, "E4/M/1 at each node", _waiting),
        ),
    )


def _random_split() -> System:
    load, nodes = 0.5, 4
    return System(
        "random split",
        _scenario(
            "Four nodes at random.",
            load * nodes,
            warmup=300,
            pool={"count": nodes},
            federation=_federation("random"),
        ),
        (
            Check("same node again", 1.0 / nodes, "independent draws", _same_node_again),
            Check(
                "mean wait",
                queueing.m_m_c_wait_s(load, 1.0, 1),
                "M/M/1 at each node",
                _mean_wait,
                "s",
            ),
        ),
    )


def _two_nodes(name: str, strategy: str, busier: queueing.Busier, **settings: Any) -> System:
    load = 0.7
    federation = _federation(strategy)
    if settings:
        federation["strategy_settings"] = {strategy: settings}
    return System(
        name,
        _scenario(
            f"Two nodes, {strategy}.",
            load * 2,
            warmup=250,
            pool={"count": 2},
            federation=federation,
        ),
        (
            Check(
                "mean stay",
                queueing.two_nodes_stay_s(load, busier, room=30),
                "Markov chain of both queues",
                _mean_stay,
                "s",
            ),
        ),
    )


def _hundred_nodes() -> System:
    load, nodes = 0.7, 100
    expected_s = queueing.mean_field_stay_s(load, 2)
    federation = _federation("power_of_two")
    federation["strategy_settings"] = {"power_of_two": {"replacement": True}}
    return System(
        "two of 100",
        _scenario(
            "A hundred nodes, the less busy of two drawn at random.",
            load * nodes,
            requests=2000,
            warmup=1000,
            pool={"count": nodes},
            federation=federation,
        ),
        (
            Check(
                "mean stay",
                expected_s,
                "mean field, ± 2 %",
                _mean_stay,
                "s",
                slack=0.02 * expected_s,
            ),
        ),
    )


def _closed_loop() -> System:
    users, think_s, slots = 12, 5.0, 2
    per_s, response_s = queueing.repairman(users, think_s, 1.0, slots)
    think = {"distribution": "lognormal", "mean": f"{think_s}s", "cv": 2}
    return System(
        "M/M/2//12",
        _scenario(
            "Twelve users who think for 5 s, lognormal, and wait for their answers.",
            {"process": "closed_loop", "users": users, "think": think},
            requests=1000,
            warmup=100,
            pool={"slots": slots},
        ),
        (
            Check("throughput", per_s, "machine repairman", _arrivals, "req/s"),
            Check("mean response", response_s, "machine repairman", _mean_stay, "s"),
        ),
    )


def _network(jitter: str, *checks: Check) -> System:
    return System(
        f"jitter {jitter}",
        _scenario(
            f"Clients and gateway in one region, the node 80 ms away; jitter {jitter}.",
            50.0,
            pool={"region": "far", "slots": 1000},
            stream={"origins": {"lab": 1}},
            regions={"lab": {}, "far": {}},
            network={"within_region": "0s", "between": {"lab/far": "80ms"}, "jitter": jitter},
            federation=_federation(gateways={"lab": 1}),
        ),
        checks,
    )


def _round_trips() -> tuple[System, System]:
    def network_s(seen: Seen) -> NDArray[np.float64]:
        return seen.served["network_s"].to_numpy()

    def beyond_service(seen: Seen) -> Ratio:
        served = seen.served
        return _mean((served["latency_s"] - served["service_s"]).to_numpy())

    exact = _network(
        "0%",
        Check("latency − service", 0.08, "the scenario", beyond_service, "s"),
    )
    spread = _network(
        "50%",
        Check("below 80 ms", 0.5, "median", lambda seen: _share(network_s(seen) < 0.08)),
        Check("below 120 ms", 0.95, "p95", lambda seen: _share(network_s(seen) < 0.12)),
    )
    return exact, spread


def _deadline() -> System:
    timeout = {"attempt": "2s", "request": "off"}
    return System(
        "deadline",
        _scenario(
            "Free slots for every request, and a deadline of 2 s.",
            20.0,
            pool={"slots": 1000},
            federation=_federation(timeout=timeout),
        ),
        (Check("timed out", math.exp(-2.0), "exponential services", _outcomes("timeout")),),
    )


def _hedge() -> System:
    def over_2_s(seen: Seen) -> Ratio:
        return _share(seen.requests["latency_s"].to_numpy() > 2.0)

    def latency(seen: Seen) -> Ratio:
        return _mean(seen.requests["latency_s"].to_numpy())

    return System(
        "hedge",
        _scenario(
            "Two nodes with free slots; a second attempt after 1 s.",
            20.0,
            pool={"count": 2, "slots": 1000},
            federation=_federation(hedge={"after": "1s", "budget": "off"}),
        ),
        (
            Check("mean latency", 1.0 - 0.5 * math.exp(-1.0), "first of two", latency, "s"),
            Check("latency over 2 s", math.exp(-3.0), "first of two", over_2_s),
        ),
    )


def _retries() -> System:
    probability, limit = 0.3, 3
    retries = {"limit": limit, "budget": "off", "backoff": "1ms"}
    fault = {
        "kind": "errors", "pool": "node", "at": "0s", "lasts": "1h", "probability": probability
    }  # fmt: skip

    def attempts(seen: Seen) -> Ratio:
        return _mean(seen.requests["attempts"].to_numpy())

    return System(
        "retries",
        _scenario(
            "Ten nodes that fail 30 % of the attempts, and three retries.",
            20.0,
            warmup=0,
            pool={"count": 10, "slots": 8, "service": {**CONSTANT, "value": "10ms"}},
            federation=_federation(retries=retries),
            faults=[fault],
        ),
        (
            Check(
                "attempts per request",
                queueing.attempts_per_request(probability, limit),
                "independent errors",
                attempts,
            ),
            Check(
                "succeeded",
                1.0 - probability ** (limit + 1),
                "independent errors",
                _outcomes("ok"),
            ),
        ),
    )


def _breaker() -> System:
    rate, open_s = 5.0, 10.0
    fault = {"kind": "errors", "pool": "node", "at": "0s", "lasts": "1h", "probability": 1.0}
    breaker = {"failure_threshold": 5, "reset_timeout": f"{open_s}s"}

    def between_attempts(seen: Seen) -> Ratio:
        started_s = seen.run.attempts["started_s"].to_numpy()[4:]
        return float(started_s[-1] - started_s[0]), float(len(started_s) - 1)

    def least_between(seen: Seen) -> Ratio:
        started_s = seen.run.attempts["started_s"].to_numpy()[4:]
        return float(np.diff(started_s).min() < open_s - ROUNDING), 1.0

    return System(
        "breaker",
        _scenario(
            "A node that fails every request, behind a breaker that stays open for 10 s.",
            rate,
            warmup=0,
            pool={"slots": 8},
            federation=_federation(circuit_breaker=breaker),
            faults=[fault],
        ),
        (
            Check(
                "time between sends",
                open_s + 1.0 / rate,
                "open time + next arrival",
                between_attempts,
                "s",
            ),
            Check("sent while open", 0.0, "open time", least_between),
        ),
    )


def _availability() -> System:
    nodes, up_s, down_s = 40, 60.0, 20.0
    expected = queueing.availability(up_s, down_s)
    fault = {"kind": "crash", "pool": "node", "mtbf": f"{up_s}s", "mttr": f"{down_s}s"}
    ahead_s = (1.0 - expected) / (1.0 / up_s + 1.0 / down_s)

    def up(seen: Seen) -> Ratio:
        """Return the time up less what beginning up adds, which is exact for exponential times."""
        totals = seen.run.node_totals
        return float(totals["up_s"].sum()) - nodes * ahead_s, nodes * seen.run.end_s

    return System(
        "availability",
        _scenario(
            "Forty nodes that crash every 60 s and are down for 20 s.",
            0.5,
            requests=600,
            warmup=0,
            pool={"count": nodes, "service": {**CONSTANT, "value": "10ms"}},
            faults=[fault],
        ),
        (Check("time up", expected, "MTBF / (MTBF + MTTR)", up),),
    )


def _hash_ring() -> System:
    nodes = 16

    def spread(seen: Seen) -> Ratio:
        """Return the squared coefficient of variation, and what it is with so many requests."""
        counts = seen.requests["node"].value_counts().to_numpy()
        total = float(counts.sum())
        ring = queueing.ring_spread(nodes, POINTS_PER_NODE)
        expected = ring * (1.0 - 1.0 / total) + (nodes - 1) / total
        found = float(((nodes * counts / total - 1.0) ** 2).sum() / nodes)
        return found, expected

    return System(
        "consistent hash",
        _scenario(
            "Sixteen nodes on a hash ring, and requests without a tenant.",
            100.0,
            requests=3000,
            warmup=0,
            pool={"count": nodes, "slots": 1000},
            federation=_federation("consistent_hash"),
        ),
        (Check("spread / theory", 1.0, "beta distribution of shares", spread),),
        renamed=True,
    )


PROMPT, OUTPUT = 1000, 101
PREFILL_S, STEP_S, CONTEXT_S = (0.010, 20e-6), 0.006, 100e-9
"""An engine: base and time per token of a prefill, of a decoding step, and per token of context."""


def _engine() -> System:
    first_s = PREFILL_S[0] + PREFILL_S[1] * PROMPT
    steps = OUTPUT - 1
    context = PROMPT + 0.5 * (steps + 1)
    step_s = STEP_S + CONTEXT_S * context
    engine = {
        "prefill": {"p0": f"{PREFILL_S[0]}s", "p1": f"{PREFILL_S[1] * 1e6}us"},
        "decode": {"d0": f"{STEP_S}s", "d2": f"{CONTEXT_S * 1e9}ns"},
        "kv_capacity": 100_000,
    }
    tokens = {
        "prompt": {"distribution": "constant", "value": PROMPT},
        "output": {"distribution": "constant", "value": OUTPUT},
    }

    def column(name: str) -> Callable[[Seen], Ratio]:
        return lambda seen: _mean(seen.served[name].to_numpy())

    return System(
        "engine",
        _scenario(
            "One user at a time on an engine: 1,000 tokens of prompt, 101 of answer.",
            {"process": "closed_loop", "users": 1, "think": CONSTANT},
            requests=100,
            warmup=0,
            pool={"engine": engine},
            stream={"tokens": tokens},
        ),
        (
            Check("time to first token", first_s, "p0 + p1·prompt", column("ttft_s"), "s"),
            Check("time per token", step_s, "d0 + d2·mean context", column("tpot_s"), "s"),
        ),
    )


def _sharing() -> System:
    load = 0.6
    tokens = {
        "prompt": {"distribution": "constant", "value": 1},
        "output": {"distribution": "lognormal", "mean": 1000, "cv": 1},
    }
    engine = {
        "prefill": {"p1": "1ns"},
        "decode": {"d1": "1ms"},
        "kv_capacity": 1_000_000_000,
        "max_batch": 1000,
    }
    return System(
        "sharing",
        _scenario(
            "An engine whose step takes 1 ms for each request in the batch.",
            load,
            requests=2000,
            warmup=200,
            pool={"engine": engine},
            stream={"tokens": tokens},
        ),
        (
            Check(
                "mean response",
                1.0 / (1.0 - load),
                "processor sharing, ± 1 %",
                _mean_stay,
                "s",
                slack=0.01 / (1.0 - load),
            ),
        ),
    )


def known_systems() -> tuple[System, ...]:
    """Return the systems, in the order in which they are reported."""
    return (
        _m_m_1(),
        _m_m_8(),
        _m_d_1(),
        _m_g_1(),
        _m_m_4_8(),
        _m_g_4_4(),
        _round_robin(),
        _random_split(),
        _two_nodes("shorter of two", "least_connections", queueing.least_busy),
        _two_nodes("two draws of two", "power_of_two", queueing.jumps(0.25), replacement=True),
        _hundred_nodes(),
        _closed_loop(),
        *_round_trips(),
        _deadline(),
        _hedge(),
        _retries(),
        _breaker(),
        _availability(),
        _hash_ring(),
        _engine(),
        _sharing(),
    )
