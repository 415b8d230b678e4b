"""Load shedding: what is less important is turned away while there still is room for the rest."""

from __future__ import annotations

from dataclasses import dataclass

from fedsim.federation.settings import CountFrom1, Share


@dataclass(frozen=True, slots=True)
class SheddingConfig:
    """What each gateway turns away first when it is full: streams of a higher priority number.

    Attributes:
        step: Share of the limit that every level of priority leaves free for the levels below it:
            with 20%, priority 0 may fill the limit, priority 1 80% of it, priority 2 60%.
        limit: A gateway's requests in flight for a capability that are full load; where None, the
            limit of concurrency.
    """

    step: Share = 0.2
    limit: CountFrom1 | None = None


class Shedding:
    """Leaves a part of the limit free for what is more important.

    A request of priority p, 0 being the most important, may fill limit x (1 - step x p), though at
    least one place, so that a gateway that is idle serves every request. With a limit of 100 and a
    step of 20 %: priority 0 up to 100 requests in flight, 1 up to 80, 2 up to 60. Failure: a limit
    above what the nodes can do sheds no requests, and the queue in front of them knows no gateway's
    priorities. Source: Site Reliability Engineering, 2016, chapter 21, "Criticality".
    """

    def __init__(self, config: SheddingConfig) -> None:
        self._step = config.step
        self._limit = config.limit

    def room(self, concurrency_limit: float, priority: int) -> float:
        """Return how many requests may be in flight when one of *priority* is let in."""
        limit = concurrency_limit if self._limit is None else self._limit
        return max(1.0, limit * (1.0 - self._step * max(priority, 0)))
