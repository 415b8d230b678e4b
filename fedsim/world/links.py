"""Links between gateways and nodes that faults strike: cut, late, or losing messages.

A message meets the faults of the moment at which it is sent, and keeps what it met: one under way
when a link is cut arrives, one sent while it is cut is lost for ever. What a request, an answer or
an abort meets is a function of the request and the attempt, whichever node was chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from random import Random

from fedsim.kernel.streams import (
    ABORT_LOSS,
    ANSWER_DELAY,
    ANSWER_LOSS,
    REQUEST_DELAY,
    REQUEST_LOSS,
    Streams,
    keyed_uniform,
)
from fedsim.workload.distributions import Lognormal
from fedsim.world.faults.config import FaultConfig, LinkConfig
from fedsim.world.faults.targets import struck_links
from fedsim.world.network import sigma_of
from fedsim.world.nodes.base import Node


class Way:
    """One direction of a link.

    Several faults compose: latencies add up, a message gets through when it escapes the loss of
    each, and the jitters are independent of one another.

    Attributes:
        cut: Whether nothing gets through.
        latency_s: Added to each message, in seconds.
        loss: Probability that a message is lost.
        watchers: Are called with `cut` when that changes.
    """

    __slots__ = ("_faults", "_stretch", "cut", "latency_s", "loss", "watchers")

    def __init__(self) -> None:
        self._faults: dict[int, LinkConfig] = {}
        self._stretch: Lognormal | None = None
        self.cut = False
        self.watchers: dict[Callable[[bool], None], None] = {}
        self.latency_s = self.loss = 0.0

    def set_fault(self, number: int, config: LinkConfig | None) -> None:
        """Let fault *number* of the scenario begin; None ends it."""
        if config is None:
            del self._faults[number]
        else:
            self._faults[number] = config
        faults = list(self._faults.values())
        cut, self.cut = self.cut, any(fault.cut for fault in faults)
        self.latency_s = sum(fault.latency_s for fault in faults)
        self.loss = 1.0 - math.prod(1.0 - fault.loss for fault in faults)
        sigma = math.hypot(*(sigma_of(fault.jitter) for fault in faults))
        self._stretch = Lognormal(0.0, sigma) if sigma > 0.0 else None
        if self.cut != cut:
            for watcher in list(self.watchers):
                watcher(self.cut)

    def loses(self, key: int, purpose: int, attempt: int) -> bool:
        """Return whether a message sent now is lost."""
        if self.cut:
            return True
        return self.loss > 0.0 and keyed_uniform(key, purpose, attempt) < self.loss

    def leg_s(self, usual_s: float, key: int, purpose: int, attempt: int) -> float:
        """Return how long a message sent now takes that usually takes *usual_s* seconds."""
        late_s = usual_s + self.latency_s
        if self._stretch is None:
            return late_s
        return late_s * self._stretch.quantile(keyed_uniform(key, purpose, attempt))

    def loses_probe(self, rng: Random) -> bool:
        """Return whether a probe, or the answer to one, that is sent now is lost."""
        return self.cut or (self.loss > 0.0 and rng.random() < self.loss)

    def probe_leg_s(self, usual_s: float, rng: Random) -> float:
        """Return how long a probe, or the answer to one, takes that is sent now, in seconds."""
        late_s = usual_s + self.latency_s
        if self._stretch is None:
            return late_s
        return late_s * self._stretch.quantile(max(rng.random(), 2.0**-54))


class Link:
    """Both directions between a gateway and a node.

    Attributes:
        out: The way of requests, aborts and probes.
        back: The way of answers and tokens.
        rng: The luck of probes.
    """

    __slots__ = ("back", "out", "rng")

    def __init__(self, rng: Random) -> None:
        self.out = Way()
        self.back = Way()
        self.rng = rng

    def loses_request(self, key: int, attempt: int) -> bool:
        """Return whether the request of an attempt is lost if it is sent now."""
        return self.out.loses(key, REQUEST_LOSS, attempt)

    def loses_abort(self, key: int, attempt: int) -> bool:
        """Return whether the abort of an attempt is lost if it is sent now."""
        return self.out.loses(key, ABORT_LOSS, attempt)

    def loses_answer(self, key: int, attempt: int) -> bool:
        """Return whether the answer to an attempt is lost if it is sent now."""
        return self.back.loses(key, ANSWER_LOSS, attempt)

    def request_leg_s(self, usual_s: float, key: int, attempt: int) -> float:
        """Return how long the request of an attempt travels if it is sent now, in seconds."""
        return self.out.leg_s(usual_s, key, REQUEST_DELAY, attempt)

    def answer_leg_s(self, usual_s: float, key: int, attempt: int) -> float:
        """Return how long the answer to an attempt travels if it is sent now, in seconds."""
        return self.back.leg_s(usual_s, key, ANSWER_DELAY, attempt)


class Links:
    """All links that faults of a scenario strike at some time.

    Args:
        faults: All faults.
        nodes: All nodes.
        regions: Names of all regions by code.
        gateways: Names of all gateways by code.
        streams: Random streams of the run.
    """

    def __init__(
        self,
        faults: Sequence[FaultConfig],
        nodes: Sequence[Node],
        regions: Sequence[str],
        gateways: Sequence[str],
        streams: Streams,
    ) -> None:
        self._nodes = nodes
        self._regions = regions
        self._gateways = gateways
        self._streams = streams
        self._links: dict[int, dict[int, Link]] = {}
        for fault in faults:
            if fault.link is not None:
                self.struck_by(fault.link)

    def struck_by(self, config: LinkConfig) -> list[tuple[Link, bool, bool]]:
        """Return the links that a fault strikes: whether their requests, whether their answers."""
        ends, one_way = config.ends, config.one_way
        found = struck_links(ends, one_way, self._nodes, self._regions, self._gateways)
        return [(self._link(gateway, node), out, back) for gateway, node, out, back in found]

    def of(self, gateway: int) -> Mapping[int, Link] | None:
        """Return the links of a gateway by the code of the node; None where it has none."""
        return self._links.get(gateway)

    def _link(self, gateway: int, node: int) -> Link:
        links = self._links.setdefault(gateway, {})
        if node not in links:
            name = f"faults/links/{self._gateways[gateway]}/{self._nodes[node].name}/probes"
            links[node] = Link(self._streams.python_random(name))
        return links[node]
