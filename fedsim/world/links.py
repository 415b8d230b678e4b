"""Links between gateways and nodes that faults strike: cut, late, or losing messages.

A message meets the faults of the moment at which it is sent, and keeps what it met: one under way
when a link is cut arrives, one sent while it is cut is lost. What a request, an answer or
an abort meets is a function of the request and the attempt, whichever node was chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

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
from fedsim.world.network import sigma_of

if TYPE_CHECKING:
    from fedsim.world.observer import Directory


@dataclass(frozen=True, slots=True)
class LinkTrouble:
    """What a fault does to messages in one direction of a link.

    Attributes:
        cut: Whether no message gets through.
        latency_s: Added to each message, in seconds, >= 0.
        jitter: 95th percentile of a message's time over its median, minus one, next to the
            network's own; >= 0.
        loss: Probability that a message is lost, 0 to 1.
    """

    cut: bool = False
    latency_s: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0


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

    __slots__ = ("_stretch", "cut", "latency_s", "loss", "_troubles", "watchers")

    def __init__(self) -> None:
        self._troubles: dict[object, LinkTrouble] = {}
        self._stretch: Lognormal | None = None
        self.cut = False
        self.watchers: dict[Callable[[bool], None], None] = {}
        self.latency_s = self.loss = 0.0

    def set_trouble(self, cause: object, trouble: LinkTrouble | None) -> None:
        """Let the trouble of a cause begin; None ends it."""
        if trouble is None:
            del self._troubles[cause]
        else:
            self._troubles[cause] = trouble
        troubles = list(self._troubles.values())
        cut, self.cut = self.cut, any(each.cut for each in troubles)
        self.latency_s = sum(each.latency_s for each in troubles)
        self.loss = 1.0 - math.prod(1.0 - each.loss for each in troubles)
        sigma = math.hypot(*(sigma_of(each.jitter) for each in troubles))
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
        rng: Random draws for probes.
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
    """The links that faults of a scenario strike at some time.

    Args:
        directory: Names of regions and gateways, and the nodes, by code.
        streams: Random streams of the run.
    """

    def __init__(self, directory: Directory, streams: Streams) -> None:
        self._directory = directory
        self._streams = streams
        self._links: dict[int, dict[int, Link]] = {}

    def between(self, ends: tuple[str, str], one_way: bool) -> list[tuple[Link, bool, bool]]:
        """Return the links between two ends: with whether requests are struck, whether answers.

        Args:
            ends: The two ends, each a region, gateway, pool or node.
            one_way: Whether only messages from the first end to the second are struck.
        """
        found: list[tuple[Link, bool, bool]] = []
        for gateway, name in enumerate(self._directory.gateways):
            places = {name, name.rpartition("/")[0]}
            for code, node in enumerate(self._directory.nodes):
                around = {node.name, node.pool, node.region}
                out = ends[0] in places and ends[1] in around
                back = ends[0] in around and ends[1] in places
                if out or back:
                    link = self._link(gateway, code)
                    found.append((link, out or not one_way, back or not one_way))
        return found

    def of(self, gateway: int) -> Mapping[int, Link] | None:
        """Return the links of a gateway by the code of the node; None where it has none."""
        return self._links.get(gateway)

    def _link(self, gateway: int, node: int) -> Link:
        links = self._links.setdefault(gateway, {})
        if node not in links:
            names = f"{self._directory.gateways[gateway]}/{self._directory.nodes[node].name}"
            links[node] = Link(self._streams.python_random(f"faults/links/{names}/probes"))
        return links[node]
