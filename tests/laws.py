"""What holds of every run of a world, checked after each run of the test suite.

`enforced` puts the checks behind ``World.run``; ``tests/conftest.py`` does so for the whole suite,
so that a test has nothing to call. Runs in worker processes escape it. A run whose observer is no
`Recorder` leaves no tables: only its world is checked.

The *census* counts the requests in the system while the world runs, by its own clock; what the
tables say afterwards must agree with it to the last bit.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsim.federation.breaker import CircuitBreaker
from fedsim.federation.gateway import Gateway
from fedsim.federation.reference.gateway import ReferenceGateway
from fedsim.federation.router import Router
from fedsim.kernel.environment import Environment
from fedsim.results import conservation
from fedsim.results.recorder import Recorder
from fedsim.results.tables import Tables
from fedsim.world.world import World

ROUNDING = 1e-9
"""Sums of durations may differ from differences of instants by this much, relatively."""


class Census:
    """An observer that counts who comes and goes, in front of the one that records.

    Attributes:
        recorder: The observer behind it.
        tables: Its tables once the run has been checked, if it is a `Recorder`.
        times_s: When somebody came or went, in seconds.
        steps: +1 for each who came, -1 for each who went, parallel to *times_s*.
        streams: Code of the stream of each request, by its row.
        left: Requests of each stream that went, by its code.
    """

    def __init__(self, recorder: Any, env: Environment) -> None:
        self.recorder = recorder
        self.tables: Tables | None = None
        self.times_s = array("d")
        self.steps = array("b")
        self.streams: dict[int, int] = {}
        self.left: Counter[int] = Counter()
        self._env = env

    def __getattr__(self, name: str) -> Any:
        return getattr(self.recorder, name)

    def request_arrived(self, **values: Any) -> int:
        """Count one more."""
        self.times_s.append(self._env.now)
        self.steps.append(1)
        row: int = self.recorder.request_arrived(**values)
        self.streams[row] = values["stream"]
        return row

    def request_finished(self, row: int, /, **values: Any) -> None:
        """Count one less."""
        self.times_s.append(self._env.now)
        self.steps.append(-1)
        self.left[self.streams[row]] += 1
        self.recorder.request_finished(row, **values)

    def area(self, end_s: float, bits: int) -> int:
        """Return the integral of the number present up to *end_s*, in units of 2**-bits s."""
        instants = exact(np.append(self.times_s, end_s), bits)
        present = accumulate(self.steps)
        return sum(
            count * (after - before)
            for count, (before, after) in zip(present, pairwise(instants), strict=True)
        )


def exact(times_s: NDArray[np.float64], bits: int) -> list[int]:
    """Return times as whole multiples of 2**-bits seconds, which they are exactly."""
    return [int(time) for time in np.ldexp(times_s, bits).tolist()]


def bits_of(times_s: NDArray[np.float64]) -> int:
    """Return how many binary places hold all of *times_s* exactly."""
    positive = times_s[times_s > 0.0]
    return max(53 - math.frexp(positive.min())[1], 0) if len(positive) else 0


@contextmanager
def enforced() -> Generator[None]:
    """Check every run of a world in this process, as soon as it has ended."""
    run = World.run

    def checked(world: World) -> None:
        census = world._observer = Census(world._observer, world.env)
        run(world)
        check(world, census)

    World.run = checked  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        World.run = run  # type: ignore[method-assign]


def tables_of(world: World) -> Tables:
    """Return the tables of a run that was checked, without building them once more."""
    assert isinstance(world._observer, Census), "the run was not checked"
    assert world._observer.tables is not None, "nothing was recorded"
    return world._observer.tables


def check(world: World, census: Census) -> None:
    """Assert all that holds of a run that has ended."""
    if not sum(census.steps) and not world.jobs:
        nothing_is_left(world)
    gateways_add_up(world, census)
    if isinstance(census.recorder, Recorder):
        census.tables = tables = census.recorder.tables()
        assert conservation.problems(tables) == []
        nobody_is_lost(tables, census)
        littles_law(world, tables, census)
        parts_make_up_attempts(tables)
        if not (world.jobs or any(live.under_way for live in world._live.values())):
            slots_are_accounted_for(tables)


def nothing_is_left(world: World) -> None:
    """Every counter of an empty world is zero."""
    assert not world._live
    for node in world.nodes:
        assert node.running == node.queued == 0, node.name
        assert not node._jobs, node.name
        assert not node._held, node.name
        assert node.kv_used_tokens() in {-1, 0}, node.name
    for _, gateway in world.gateways:
        if not isinstance(gateway, Gateway):
            continue
        assert gateway.stats().active_streams == 0
        if gateway.admission is not None:
            assert not any(admission.in_flight for admission in gateway.admission.values())
        assert not any(budget._reserved for budget in gateway._budgets.values())
        if gateway._hedging is not None:
            assert not any(hedging.budget._reserved for hedging in gateway._hedging.values())
        if isinstance(gateway.router, Router):
            assert not any(gateway.router.fleet.in_flight)
        if isinstance(gateway.breaker, CircuitBreaker):
            assert not any(circuit.lapses_s for circuit in gateway.breaker.troubled.values())


def gateways_add_up(world: World, census: Census) -> None:
    """Gateways counted every request once, and each ended well, ended badly or is under way.

    Those of the reference hear of no stream again: to them it is under way for ever.
    """
    if all(isinstance(gateway, Gateway | ReferenceGateway) for _, gateway in world.gateways):
        stats = [gateway.stats() for _, gateway in world.gateways]
        came = sum(step > 0 for step in census.steps)
        went = len(census.steps) - came
        assert sum(item.total_requests for item in stats) == came
        if any(isinstance(gateway, ReferenceGateway) for _, gateway in world.gateways):
            streamed = {code for code, each in enumerate(world._config.streams) if each.streamed}
            went -= sum(census.left[code] for code in streamed)
            opened = sum(code in streamed for code in census.streams.values())
            assert sum(item.active_streams for item in stats) == opened
        assert sum(item.successful_requests + item.failed_requests for item in stats) == went


def nobody_is_lost(tables: Tables, census: Census) -> None:
    """Who came is in the table, has an outcome, and left at the very instant that it says."""
    requests = tables.requests
    times_s, steps = np.asarray(census.times_s), np.asarray(census.steps)
    assert (np.diff(times_s, prepend=0.0) >= 0.0).all()
    assert np.array_equal(times_s[steps > 0], requests["arrived_s"])
    left_s = requests["finished_s"].dropna().to_numpy()
    assert np.array_equal(times_s[steps < 0], np.sort(left_s))
    assert (requests["outcome"] == "unfinished").sum() == steps.sum()


def littles_law(world: World, tables: Tables, census: Census) -> None:
    """Mean number present = arrival rate times mean time present, without rounding.

    Multiplied by the length of the run: the area under the census is the sum of all stays.
    """
    requests, end_s = tables.requests, world.env.now
    arrived_s = requests["arrived_s"].to_numpy()
    left_s = requests["finished_s"].fillna(end_s).to_numpy()
    bits = bits_of(np.append(arrived_s, end_s))  # nobody leaves before the first one came
    stays = sum(exact(left_s, bits)) - sum(exact(arrived_s, bits))
    assert census.area(end_s, bits) == stays


def parts_make_up_attempts(tables: Tables) -> None:
    """A served attempt took its time on the network, in the queue and in the slot, and no more."""
    attempts, requests = tables.attempts, tables.requests
    last = attempts["outcome"].to_numpy() == "ok"
    rows = tables.request_rows[last]
    served = requests["outcome"].to_numpy()[rows] == "ok"
    parts_s = (
        requests["network_s"].to_numpy()[rows]
        + attempts["queue_wait_s"].to_numpy()[last]
        + attempts["service_s"].to_numpy()[last]
    )
    took_s = (attempts["finished_s"] - attempts["started_s"]).to_numpy()[last]
    apart_s = np.abs(took_s - parts_s)[served]
    assert (apart_s <= ROUNDING * np.maximum(took_s[served], 1.0)).all()


def slots_are_accounted_for(tables: Tables) -> None:
    """Once nothing is under way, slots were used for answers that somebody took, or wasted.

    And the requests together cost what those slots cost.
    """
    totals, attempts = tables.node_totals, tables.attempts
    served = attempts[attempts["outcome"] == "ok"]
    used_s = served.groupby("node", observed=False)["service_s"].sum()
    used_s = totals["node"].map(used_s).astype(float) + totals["wasted_slot_s"]
    busy_s = totals["busy_slot_s"]
    assert ((used_s - busy_s).abs() <= ROUNDING * busy_s.clip(lower=1.0)).all()
    prices = totals["cost_usd_per_hour"]
    if prices.notna().all():
        cost_usd = float((busy_s / 3600.0 / totals["slots"] * prices).sum())
        paid_usd = float(tables.requests["cost_usd"].sum())
        assert abs(paid_usd - cost_usd) <= ROUNDING * max(cost_usd, 1.0)
