"""What failed because nodes were lost: between the loss and when all has settled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedsim.results.tables import Tables


@dataclass(frozen=True, slots=True)
class Interruption:
    """The requests that failed around a loss.

    Attributes:
        requests: Their number.
        longest_s: The longest that one of them took from its arrival to its failure, in seconds; 0
            without any.
    """

    requests: int
    longest_s: float


def interruption(tables: Tables, lost_s: float, settled_s: float) -> Interruption:
    """Return what failed of the requests that were there at a loss or came until it had settled.

    Args:
        tables: The run.
        lost_s: When nodes were lost, in seconds.
        settled_s: When all is to have settled, in seconds.
    """
    arrived_s = tables.values("requests", "arrived_s")
    finished_s = tables.values("requests", "finished_s")
    there = (arrived_s < settled_s) & ~(finished_s < lost_s)  # one that never ended has no time
    failed = there & ~tables.are("requests", "ok")
    took_s = (finished_s - arrived_s)[failed]
    known = took_s[~np.isnan(took_s)]
    return Interruption(int(failed.sum()), float(known.max()) if len(known) else 0.0)
