"""Random histories of requests, as the world might report them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hypothesis import strategies as st

from fedsim.results.kinds import OUTCOMES
from fedsim.results.recorder import Recorder
from tests.fake_world import directory

NAMES = directory(pool_size=2)

_seconds = st.floats(min_value=0.0, max_value=100.0, allow_subnormal=False)
_known_or_not = st.one_of(st.just(math.nan), _seconds)


@dataclass(frozen=True)
class History:
    """A request: who sent it, what became of it, and its attempts' nodes."""

    stream: int
    tenant: int
    origin: int
    arrived_s: float
    sojourn_s: float | None
    outcome: str
    attempts: tuple[tuple[int, int, bool, str], ...]
    queue_wait_s: float
    ttft_s: float
    tokens: int
    cached_tokens: int


_attempts = st.tuples(
    st.integers(0, len(NAMES.gateways) - 1),
    st.integers(0, len(NAMES.nodes) - 1),
    st.booleans(),
    st.sampled_from([*OUTCOMES, "of_a_plug_in"]),
)

histories = st.lists(
    st.builds(
        History,
        stream=st.integers(0, 1),
        tenant=st.integers(-1, 5),
        origin=st.integers(0, 2),
        arrived_s=_seconds,
        sojourn_s=st.none() | _seconds,
        outcome=st.sampled_from(["ok", "ok", "ok", *OUTCOMES, "of_a_plug_in"]),
        attempts=st.lists(_attempts, max_size=3).map(tuple),
        queue_wait_s=_known_or_not,
        ttft_s=_known_or_not,
        tokens=st.integers(-1, 5000),
        cached_tokens=st.integers(-1, 5000),
    ),
    max_size=25,
).map(lambda items: sorted(items, key=lambda item: item.arrived_s))


def record(items: list[History]) -> Recorder:
    """Return a recorder that has seen the histories."""
    recorder = Recorder(NAMES)
    for index, item in enumerate(items):
        row = recorder.request_arrived(
            stream=item.stream,
            index=index,
            tenant_number=item.tenant,
            origin=item.origin,
            arrived_s=item.arrived_s,
            prompt_tokens=item.tokens,
            output_tokens=item.tokens,
        )
        node = -1
        for number, (gateway, node, hedge, outcome) in enumerate(item.attempts, start=1):
            attempt = recorder.attempt_started(
                request=row,
                attempt=number,
                gateway=gateway,
                node=node,
                hedge=hedge,
                started_s=item.arrived_s,
            )
            if outcome != "unfinished":
                recorder.attempt_finished(
                    attempt,
                    finished_s=item.arrived_s + 1.0,
                    outcome=outcome,
                    queue_wait_s=item.queue_wait_s,
                    service_s=item.queue_wait_s,
                )
        if item.sojourn_s is not None and item.outcome != "unfinished":
            recorder.request_finished(
                row,
                finished_s=item.arrived_s + item.sojourn_s,
                outcome=item.outcome,
                node=node,
                network_s=0.0,
                queue_wait_s=item.queue_wait_s,
                ttft_s=item.ttft_s,
                tpot_s=item.ttft_s,
                cost_usd=0.5,
                cached_tokens=item.cached_tokens,
                preemptions=min(item.cached_tokens, 3),
            )
    for node in range(len(NAMES.nodes)):
        recorder.node_totals(
            node,
            up_s=100.0,
            busy_slot_s=10.0 * node,
            wasted_slot_s=0.0,
            window_busy_slot_s=5.0 * node,
            window_busy_s=node,
            paid_s=100.0,
            window_paid_s=50.0,
            window_up_s=50.0,
        )
    return recorder
