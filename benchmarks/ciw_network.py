"""The nearest thing in Ciw: the same arrivals and service times, no network between regions.

Ciw chooses a node when a customer leaves another one, so that all arrive at a first node which
takes no time. Its ``LoadBalancing`` counts all customers at a node and knows no regions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import ciw

from benchmarks.draws import draws
from benchmarks.world import SLOTS, Size

if TYPE_CHECKING:
    from pandas import DataFrame


class _Gaps(ciw.dists.Distribution):  # type: ignore[misc]  # Ciw has no types
    """The times between arrivals, which also knows the service time of each customer."""

    def __init__(self, size: Size) -> None:
        self.service_s: dict[int, float] = {}
        self._gaps: Iterator[float] = self._draw(size)

    def _draw(self, size: Size) -> Iterator[float]:
        last_s = 0.0
        for number, (at_s, _, _, service_s, _) in enumerate(draws(size), start=1):
            self.service_s[number] = service_s
            yield at_s - last_s
            last_s = at_s

    def sample(self, t: float | None = None, ind: Any = None) -> float:
        return next(self._gaps, float("inf"))

    def __deepcopy__(self, memo: dict[int, Any]) -> _Gaps:
        """Return itself: Ciw copies its distributions, and a copy would draw everything again."""
        return self


class _Service(ciw.dists.Distribution):  # type: ignore[misc]  # Ciw has no types
    """The service time that belongs to a customer."""

    def __init__(self, gaps: _Gaps) -> None:
        self._gaps = gaps

    def sample(self, t: float | None = None, ind: Any = None) -> float:
        return self._gaps.service_s.pop(ind.id_number)


class Program:
    """The benchmark world as a queueing network of Ciw's."""

    def __init__(self, size: Size) -> None:
        gaps = _Gaps(size)
        count = size.nodes
        network = ciw.create_network(
            arrival_distributions=[gaps] + [None] * count,
            service_distributions=[ciw.dists.Deterministic(0.0)] + [_Service(gaps)] * count,
            number_of_servers=[float("inf")] + [SLOTS] * count,
            routing=ciw.routing.NetworkRouting(
                routers=[
                    ciw.routing.LoadBalancing(list(range(2, count + 2)), tie_break="order"),
                    *[ciw.routing.Leave() for _ in range(count)],
                ]
            ),
        )
        self._simulation = ciw.Simulation(network)
        self._until_s = size.duration_s + 600.0

    def run(self) -> None:
        """Run until the last customer has left."""
        self._simulation.simulate_until_max_time(self._until_s)

    def table(self) -> DataFrame:
        """Return Ciw's records of the nodes, a row per request."""
        import pandas as pd

        records = pd.DataFrame(self._simulation.get_all_records())
        return records[records["node"] > 1].reset_index(drop=True)
