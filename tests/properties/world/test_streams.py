"""Streams that are read to their end end as if every token had been read."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import event, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from fedsim.federation.gateway import TimeoutConfig
from fedsim.world.faults.config import FaultConfig
from fedsim.world.faults.gray import Slowdown
from fedsim.world.faults.links import Partition
from tests.properties.world.test_conservation import gateways, worlds
from tests.simulated import Federation, run_world

timeouts = st.sampled_from(
    [
        TimeoutConfig(None, None, None, None),
        TimeoutConfig(None, 3.1, 1.03, 0.5137),
        TimeoutConfig(idle_s=0.05137),
    ]
)

partitions = st.builds(
    FaultConfig,
    st.just(Partition()),
    at_s=st.floats(1.0, 25.0),
    lasts_s=st.floats(0.01, 3.0),
    ends=st.permutations(["near", "far"]).map(tuple),
)


class TokenByToken:
    """A stream that can only be read token by token."""

    def __init__(self, stream):
        self.next_token, self.cancel = stream.next_token, stream.cancel


class Reading:
    """A gateway whose clients read every token."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.stats, self.settle = gateway.stats, gateway.settle
        self.breaker = gateway.breaker

    async def infer_stream(self, request):
        """Return the stream of a request."""
        return TokenByToken(await self.gateway.infer_stream(request))


@dataclass(frozen=True)
class Observed(Federation):
    """A federation whose gateways are kept, and whose clients may read every token."""

    by_token: bool = False

    def build(self, site):
        """Return the gateway of *site*."""
        gateway = super().build(site)
        return Reading(gateway) if self.by_token else gateway


@settings(max_examples=20)
@given(worlds(), st.lists(partitions, max_size=2), timeouts, gateways)
def test_nothing_depends_on_who_looks_at_the_tokens(world, cuts, timeout, sites):
    """Outcomes, times, what nodes did and what gateways counted are the same, to the last bit.

    Slowdowns are left out: they move the tokens of a node with slots that have come already, which
    a reader of each cannot see. Routers go by turns, and nothing is tried again: who of several
    requests that fail at the same instant comes first may depend on who looks.
    """
    streams = tuple(replace(stream, streamed=True) for stream in world.streams)
    faults = tuple(fault for fault in world.faults if not isinstance(fault.kind, Slowdown))
    # No samples: a request that never ends keeps a world going for a drain of 1e6 s.
    world = replace(world, streams=streams, faults=(*faults, *cuts), nodes_every_s=None)

    one, other = (
        run_world(world, Observed(timeout=timeout, by_token=by_token), sites)
        for by_token in (False, True)
    )

    for kind in sorted(set(one.attempts["outcome"])):
        event(f"attempts: {kind}")
    event(f"idle: {timeout.idle_s}")
    for name in ("requests", "attempts", "node_totals", "events"):
        assert_frame_equal(getattr(one.tables, name), getattr(other.tables, name))
    if (one.requests["outcome"] == "unfinished").any():
        return  # what is under way at the end of a run is counted as it is thrown away
    for (_, gateway), (_, reading) in zip(one.world.gateways, other.world.gateways, strict=True):
        assert gateway.stats() == reading.stats()
