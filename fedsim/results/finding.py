"""A finding: a known defect that the tables of a run show, and the rows that show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]


def _none() -> Rows:
    return np.empty(0, dtype=np.intp)


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What a run shows of a known defect.

    Attributes:
        text: It in a sentence, which begins with its name and a colon.
        pool: The pool that it is about.
        attempts: Rows of the attempts table that are evidence.
        events: Rows of the events table that are.
    """

    text: str
    pool: str
    attempts: Rows = field(default_factory=_none)
    events: Rows = field(default_factory=_none)

    @property
    def name(self) -> str:
        """What the defect is called, such as ``Starved node``."""
        return self.text.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Advice:
    """What is known of a defect.

    Attributes:
        meaning: What is seen, as a sentence.
        rows: Which attempts or events are its evidence.
        cause: What usually explains it, as a sentence.
        remedy: What to do, as a sentence.
    """

    meaning: str
    rows: str
    cause: str
    remedy: str


ADVICE: Mapping[str, Advice] = {
    "All on one node": Advice(
        "One node of a pool gets nearly all attempts and makes them wait, while its equals idle.",
        "attempts on the node that got them",
        "Loads that are counted under one name and looked up under another stay zero, so that the "
        "first of equals is always taken.",
        "Log the loads that the router compares, or run fedsim explain on one of the requests: "
        "they should differ. Compare with least_connections on the same seed.",
    ),
    "First on ties": Advice(
        "Whenever several nodes are equally loaded, the one that is listed first is taken.",
        "attempts that were sent to the first of equally loaded nodes",
        "min() or max() over a list or a dictionary returns the first of equals.",
        "Break ties at random or in rotation, and pin the order of decisions with a golden test.",
    ),
    "Sticky without rebalancing": Advice(
        "Tenants stay on the node that they always had, though it is far busier than others.",
        "attempts on the busiest node",
        "Sessions are placed once and never moved, or a hash has no bound on the load of a node.",
        "Bound the load of a node (bounded loads, or a fallback to the second choice), or move "
        "sessions when their node is busy.",
    ),
    "Starved node": Advice(
        "A node that is well, and paid for, gets almost none of the attempts on its pool.",
        "attempts that the node got",
        "An estimate that only the node's own traffic renews was made on a bad day, or a count was "
        "not taken back after an error.",
        "Let estimates expire or explore now and then, and count down in a finally block.",
    ),
    "Healthy capacity was removed by health checks": Advice(
        "Health checks kept half of a pool or more from being used, though its nodes were well.",
        "changes of health of its nodes",
        "Health endpoints that lie, probes that are lost or slow, or thresholds that are too low.",
        "Raise the thresholds or the timeout of probes, or set federation.panic, which ignores "
        "health when too little of a pool is left.",
    ),
    "Half-open trial without an end": Advice(
        "The request that was to try a half-open circuit was never answered and had no deadline.",
        "attempts that never ended, and changes of that circuit",
        "timeout: off, and an answer that was lost.",
        "Give attempts a deadline: federation.timeout.attempt.",
    ),
    "Deadline too short": Advice(
        "Attempts time out on nodes that are well and not busy, without having waited.",
        "attempts that timed out so",
        "The deadline is shorter than what some requests need on an idle node.",
        "Raise federation.timeout above what fedsim check says that requests need.",
    ),
}
"""What is known of each defect, by its name."""
