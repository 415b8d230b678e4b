"""Whether a scenario's load can be served at all: what is asked of pools against what they can do.

Load is counted in node-seconds per second: the arrival rate times what a request takes of a node at
full load (``node_time``). Faults are left out, and so are requests that time out or are refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedsim.errors import Problem
from fedsim.scenario.offered_load import OfferedLoad, kind
from fedsim.scenario.source import Place
from fedsim.scenario.spec import Scenario

if TYPE_CHECKING:
    from fedsim.scenario.engine_use import EngineUse
    from fedsim.world.engine.config import EngineConfig

Rates = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PoolLoad:
    """A pool's share of the load, where each stream is spread over its pools by their capacity.

    Attributes:
        pool: The pool.
        region: Its region.
        capabilities: Keys of what it can do.
        kind: ``slots``, ``engine`` or ``batches``.
        nodes: Number of nodes, the most that there can be.
        slots: Requests in service at once on all of them.
        offered_rps: Requests per second, on average over the run.
        load: Share of its capacity that they take; 1 or more cannot be sustained.
        peak_load: The same if all streams were at their peaks together.
        use: How its engines are used by that load; None for other kinds.
    """

    pool: str
    region: str
    capabilities: tuple[str, ...]
    kind: str
    nodes: int
    slots: int
    offered_rps: float
    load: float
    peak_load: float
    use: EngineUse | None

    @property
    def capacity_rps(self) -> float:
        """Most such requests per second that it can serve; NaN where none are offered."""
        return _ratio(self.offered_rps, self.load)


@dataclass(frozen=True, slots=True)
class CapabilityLoad:
    """The load of one capability against all pools that may serve it, by the best routing.

    Attributes:
        capability: Key of the capability.
        model: The model that is asked for with it, or None for all its requests.
        streams: The streams that ask for it.
        nodes: Nodes of the pools that may serve any of them.
        offered_rps: Requests per second, on average over the run.
        load: The least load of its busiest pool that any routing could reach, if nothing else
            were asked of them; 1 or more can never be served.
        peak_load: The same if all its streams were at their peaks together.
    """

    capability: str
    model: str | None
    streams: tuple[str, ...]
    nodes: int
    offered_rps: float
    load: float
    peak_load: float

    @property
    def name(self) -> str:
        """Capability and model, such as ``generate (llama-3.1-70b)``."""
        return self.capability if self.model is None else f"{self.capability} ({self.model})"

    @property
    def capacity_rps(self) -> float:
        """Most such requests per second that the pools can serve; NaN where none are offered."""
        return _ratio(self.offered_rps, self.load)


def capacity_table(load: OfferedLoad) -> tuple[PoolLoad, ...]:
    """Return the load of each pool with every node up."""
    shares = load.shares()
    means = load.loads(shares, load.rates_rps)
    peaks = load.loads(shares, load.peaks_rps)
    offered = load.rates_rps @ shares
    return tuple(
        PoolLoad(
            pool=pool.name,
            region=pool.region,
            capabilities=tuple(capability.key for capability in pool.capabilities),
            kind=kind(pool),
            nodes=pool.size,
            slots=pool.size * pool.slots,
            offered_rps=float(offered[number]),
            load=float(means[number]),
            peak_load=float(peaks[number]),
            use=None if pool.engine is None else _use(load, pool.engine, number, shares),
        )
        for number, pool in enumerate(load.pools)
    )


def _use(load: OfferedLoad, engine: EngineConfig, number: int, shares: Rates) -> EngineUse:
    """Return how the engines of a pool are used by its shares of the streams."""
    from fedsim.scenario.engine_use import engine_use

    rates_rps = (load.rates_rps * shares[:, number] / load.nodes[number]).tolist()
    return engine_use(
        engine, [(load.sample(row), rate) for row, rate in enumerate(rates_rps) if rate > 0.0]
    )


def capability_table(load: OfferedLoad) -> tuple[CapabilityLoad, ...]:
    """Return the load of each capability that is asked for, and of each model, every node up."""
    return tuple(_by_capability(load, load.rates_rps))


def capacity_problems(load: OfferedLoad) -> list[Problem]:
    """Return a problem for every capability, or model of it, whose load can never be served.

    They are no reason not to run: an overload with bounded queues and timeouts is a fair question.
    A closed loop asks for no more than it is given, and never is a problem.
    """
    rows = _by_capability(load, load.open_rps)
    overloaded = [row for row in rows if row.load >= 1.0]
    by_model = {row.capability for row in overloaded if row.model is not None}
    overloaded = [row for row in overloaded if row.model or row.capability not in by_model]
    capabilities = list(dict.fromkeys(row.capability for row in rows))
    if not overloaded and len(capabilities) > 1:
        names = " and ".join(capabilities)
        every = list(range(len(load.streams)))
        together = _capability(load, f"{names} together", None, every, load.open_rps)
        overloaded = [together] if together.load >= 1.0 else []
    return [_problem(load.scenario, row) for row in overloaded]


def _by_capability(load: OfferedLoad, rates_rps: Rates) -> list[CapabilityLoad]:
    """Return the load of each capability, and of its models where streams ask for several."""
    by_key: dict[str, dict[str | None, list[int]]] = {}
    for row, stream in enumerate(load.streams):
        by_key.setdefault(stream.capability.key, {}).setdefault(stream.model, []).append(row)
    found = []
    for key, by_model in by_key.items():
        if len(by_model) > 1:
            every = sorted(row for rows in by_model.values() for row in rows)
            found.append(_capability(load, key, None, every, rates_rps))
        found += [
            _capability(load, key, model, rows, rates_rps)
            for model, rows in by_model.items()
            if model is not None or len(by_model) == 1
        ]
    return found


def _capability(
    load: OfferedLoad, capability: str, model: str | None, rows: list[int], rates_rps: Rates
) -> CapabilityLoad:
    """Return the load of the streams in *rows*, which ask for *capability* and *model*."""
    usable = load.may_serve[rows].any(axis=0)
    return CapabilityLoad(
        capability=capability,
        model=model,
        streams=tuple(load.streams[row].traffic.name for row in rows),
        nodes=int(load.nodes[usable].sum()),
        offered_rps=float(rates_rps[rows].sum()),
        load=load.least_load(rows, rates_rps),
        peak_load=load.least_load(rows, load.peaks_rps),
    )


def _ratio(offered_rps: float, load: float) -> float:
    return offered_rps / load if load > 0.0 else math.nan


def _problem(scenario: Scenario, row: CapabilityLoad) -> Problem:
    path = f"workload.{row.streams[0]}.arrivals"
    place = scenario.places.get(path) or scenario.places.get(
        f"workload.{row.streams[0]}", Place(str(scenario.path))
    )
    nodes = "one node" if row.nodes == 1 else f"{row.nodes} nodes"
    able = "can do none"
    if math.isfinite(row.load):
        able = f"can do {row.capacity_rps:.3g}/s, a load of {row.load:.0%}"
    message = (
        f"The load of {row.name} can never be served: {row.offered_rps:.3g} requests/s "
        f"arrive on average, and the {nodes} that may serve them {able}."
    )
    remedy = "Lower the rate, or add nodes or a pool."
    return Problem(message, remedy, path, place.file, place.line, place.column)
