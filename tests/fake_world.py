"""A stand-in for the world that reports a plausible run, for tests of what comes after it.

Nodes serve in turn, first come first served, with a retry where one is down. It knows nothing of
gateways' decisions: outages and what gateways make of them are made up.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from fedsim.federation.contracts import PrivacyLevel
from fedsim.results.recorder import Recorder
from fedsim.results.run import Run
from fedsim.results.slo import Slo
from fedsim.world.observer import Directory, NodeInfo, StreamInfo

REGIONS = ("us-east", "eu-west", "ap-south")


def directory(pool_size: int = 4, slots: int = 4) -> Directory:
    """Return three regions with a pool each, and two streams."""
    return Directory(
        streams=(
            StreamInfo("chat", "generate", PrivacyLevel.INTERNAL, max_latency_s=3.0),
            StreamInfo("code", "code", PrivacyLevel.PUBLIC),
        ),
        regions=REGIONS,
        region_privacy=(PrivacyLevel.INTERNAL, PrivacyLevel.RESTRICTED, PrivacyLevel.PUBLIC),
        gateways=("us-east/0", "us-east/1", "eu-west/0", "ap-south/0"),
        nodes=tuple(
            NodeInfo(f"{region[:2]}-chat-{number}", f"{region[:2]}-chat", region, slots, 3.5)
            for region in REGIONS
            for number in range(pool_size)
        ),
    )


@dataclass
class FakeWorld:
    """Settings of a made-up run; times in seconds, rates per second."""

    names: Directory = field(default_factory=directory)
    seed: int = 1
    duration_s: float = 300.0
    warmup_s: float = 30.0
    rate_rps: float = 20.0
    service_mean_s: float = 1.0
    outage_s: tuple[float, float] | None = (120.0, 180.0)
    sample_every_s: float = 1.0
    calls: list[tuple[float, int, str, tuple[int, ...], dict[str, Any]]] = field(
        default_factory=list
    )
    numbers: Iterator[int] = field(default_factory=count)

    def at(self, when_s: float, method: str, /, *row: int, **values: Any) -> None:
        """Schedule a call of the observer."""
        heapq.heappush(self.calls, (when_s, next(self.numbers), method, row, values))

    def event_at(self, time_s: float, *texts: str) -> None:
        """Schedule an event: kind, subject, gateway, before, after, detail."""
        names = ("kind", "subject", "gateway", "before", "after", "detail")
        self.at(time_s, "event", time_s=time_s, **dict(zip(names, texts, strict=True)))

    def run(self, **facts: Any) -> Run:
        """Return a run of this world."""
        recorder = self.record()
        given: dict[str, Any] = {
            "directory": self.names,
            "name": "made-up",
            "scenario_yaml": "name: made-up\n",
            "seed": self.seed,
            "strategy": "round_robin",
            "warmup_s": self.warmup_s,
            "duration_s": self.duration_s,
            "slo": Slo({"latency_p99": 4.0, "success_rate": 0.99}),
            "wall_s": 0.1,
        }
        return Run(recorder, **(given | facts))

    def record(self) -> Recorder:
        """Return a recorder that has seen this world's requests, samples and events."""
        rng = np.random.default_rng(self.seed)
        recorder = Recorder(self.names)
        nodes = len(self.names.nodes)
        self.free = [[0.0] * node.slots for node in self.names.nodes]
        self.busy: list[list[tuple[float, float, float]]] = [[] for _ in range(nodes)]
        arrivals = np.cumsum(rng.exponential(1 / self.rate_rps, int(self.rate_rps * 1e4)))
        times = arrivals[arrivals < self.duration_s].tolist()
        counts = [0, 0]
        requests = []
        for number, arrived_s in enumerate(times):
            stream = int(rng.random() < 0.25)
            service_s = rng.lognormal(math.log(self.service_mean_s) - 0.32, 0.8)
            origin = int(rng.choice(3, p=[0.5, 0.3, 0.2]))
            tenant = int(rng.zipf(1.5)) % 40 if stream == 0 else -1
            facts = {"stream": stream, "index": counts[stream], "origin": origin}
            facts["tenant_number"] = tenant
            counts[stream] += 1
            requests.append((arrived_s, facts, self.serve(number, arrived_s, origin, service_s)))
        self.report(recorder, requests)
        self.report_nodes(recorder)
        return recorder

    def down(self, node: int, time_s: float) -> bool:
        """Whether the node's region is out."""
        if self.outage_s is None or self.names.nodes[node].region != "eu-west":
            return False
        return self.outage_s[0] <= time_s < self.outage_s[1]

    def serve(
        self, number: int, arrived_s: float, origin: int, service_s: float
    ) -> list[dict[str, Any]]:
        """Return the attempts of a request; the last one decides."""
        attempts: list[dict[str, Any]] = []
        time_s = arrived_s
        for attempt in range(1, 4):
            node = (number + 5 * (attempt - 1)) % len(self.names.nodes)
            leg_s = 0.002 if self.names.nodes[node].region == REGIONS[origin] else 0.06
            facts: dict[str, Any] = {"attempt": attempt, "node": node, "started_s": time_s}
            if self.down(node, time_s):
                facts |= {"finished_s": time_s + 2 * leg_s, "outcome": "node_unreachable"}
                attempts.append(facts | {"wait_s": math.nan, "service_s": math.nan, "leg_s": leg_s})
                time_s += 2 * leg_s + 0.05
                continue
            came_s = time_s + leg_s
            start_s = max(came_s, heapq.heappop(self.free[node]))
            heapq.heappush(self.free[node], start_s + service_s)
            self.busy[node].append((came_s, start_s, start_s + service_s))
            facts |= {"wait_s": start_s - came_s, "service_s": service_s, "leg_s": leg_s}
            facts |= {"finished_s": start_s + service_s + leg_s, "outcome": "ok"}
            attempts.append(facts)
            break
        return attempts

    def report(self, recorder: Recorder, requests: list[Any]) -> None:
        """Report all requests and events in the order of time."""
        for arrived_s, facts, attempts in requests:
            self.at(arrived_s, "arrive", arrived_s=arrived_s, facts=facts, attempts=attempts)
        if self.outage_s is not None:
            self.report_outage(*self.outage_s)
        while self.calls:
            _, _, method, row, values = heapq.heappop(self.calls)
            if method in {"arrive", "start"}:
                getattr(self, method)(recorder, *row, **values)
            else:
                getattr(recorder, method)(*row, **values)

    def arrive(
        self, recorder: Recorder, arrived_s: float, facts: dict[str, int], attempts: Any
    ) -> None:
        """Report an arrival, and schedule the rest."""
        row = recorder.request_arrived(
            **facts, arrived_s=arrived_s, prompt_tokens=1000, output_tokens=130
        )
        for attempt in attempts:
            self.at(attempt["started_s"], "start", row, origin=facts["origin"], attempt=attempt)
        last = attempts[-1]
        ok = last["outcome"] == "ok"
        ttft_s = tpot_s = math.nan
        if ok:
            ttft_s = last["started_s"] + last["leg_s"] + last["wait_s"] - arrived_s
            ttft_s += 0.1 * last["service_s"]
            tpot_s = 0.9 * last["service_s"] / 129
        self.at(
            last["finished_s"],
            "request_finished",
            row,
            finished_s=last["finished_s"],
            outcome=last["outcome"],
            node=last["node"],
            network_s=2 * last["leg_s"],
            queue_wait_s=last["wait_s"],
            service_s=last["service_s"],
            ttft_s=ttft_s,
            tpot_s=tpot_s,
            cost_usd=0.001 if ok else 0.0,
        )

    def start(self, recorder: Recorder, row: int, origin: int, attempt: dict[str, Any]) -> None:
        """Report the start of an attempt, and schedule its end."""
        gateway = (row % 2, 2, 3)[origin]
        attempt_row = recorder.attempt_started(
            request=row,
            attempt=attempt["attempt"],
            gateway=gateway,
            node=attempt["node"],
            hedge=False,
            started_s=attempt["started_s"],
        )
        self.at(
            attempt["finished_s"],
            "attempt_finished",
            attempt_row,
            finished_s=attempt["finished_s"],
            outcome=attempt["outcome"],
            queue_wait_s=attempt["wait_s"],
            service_s=attempt["service_s"],
        )

    def report_outage(self, start_s: float, end_s: float) -> None:
        """Report an outage of eu-west, a slow node, and what the gateways make of both."""
        self.event_at(start_s, "fault", "eu-west", "", "up", "down", "outage")
        self.event_at(end_s, "fault", "eu-west", "", "down", "up", "outage")
        slow = self.names.nodes[0].name
        half_s, late_s = start_s / 2, start_s / 2 + 40.0
        self.event_at(half_s, "fault", slow, "", "normal", "slow x5", "slowdown")
        self.event_at(late_s, "fault", slow, "", "slow x5", "normal", "slowdown")
        for place, gateway in enumerate(self.names.gateways):
            for number, node in enumerate(self.names.nodes):
                if node.region == "eu-west":
                    seen_s = start_s + place + 0.3 * number
                    self.report_views(gateway, node.name, seen_s, end_s)
            steps = (
                (half_s + 8 + place, "healthy", "degraded"),
                (late_s + 15, "degraded", "healthy"),
            )
            for time_s, before, after in steps:
                self.event_at(time_s, "health", slow, gateway, before, after, "slow")

    def report_views(self, gateway: str, node: str, time_s: float, end_s: float) -> None:
        """Report that a gateway finds a node unhealthy, opens its circuit, and closes it again."""
        steps = [
            (time_s, "breaker", "closed", "open"),
            (time_s + 20, "health", "healthy", "unhealthy"),
            (time_s + 30, "breaker", "open", "half_open"),
            (time_s + 31, "breaker", "half_open", "open"),
            (end_s + 3, "breaker", "open", "half_open"),
            (end_s + 7, "breaker", "half_open", "closed"),
            (end_s + 12, "health", "unhealthy", "healthy"),
        ]
        for when_s, kind, before, after in steps:
            self.event_at(when_s, kind, node, gateway, before, after, "made up")

    def report_nodes(self, recorder: Recorder) -> None:
        """Report samples and totals of all nodes."""
        times = np.arange(0.0, self.duration_s, self.sample_every_s)
        spans = [np.array(spans).reshape(-1, 3).T for spans in self.busy]
        for time_s in times.tolist():
            for node, (came, start, end) in enumerate(spans):
                running = int(((start <= time_s) & (time_s < end)).sum())
                queued = int(((came <= time_s) & (time_s < start)).sum())
                share = running / self.names.nodes[node].slots
                recorder.node_sampled(
                    time_s=time_s,
                    node=node,
                    up=not self.down(node, time_s),
                    running=running,
                    queued=queued,
                    utilization=share,
                )
        for node, (_, start, end) in enumerate(spans):
            inside = np.minimum(end, self.duration_s) - np.maximum(start, self.warmup_s)
            busy_s = float((end - start).sum())
            window_s = float(np.maximum(inside, 0.0).sum())
            slots = self.names.nodes[node].slots
            recorder.node_totals(
                node,
                up_s=self.duration_s,
                busy_slot_s=busy_s,
                wasted_slot_s=0.0,
                window_busy_slot_s=window_s,
                window_busy_s=window_s / slots,
                paid_s=self.duration_s,
                window_paid_s=self.duration_s - self.warmup_s,
                window_up_s=self.duration_s - self.warmup_s,
            )
