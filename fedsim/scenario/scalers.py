"""Scalers of a scenario: how those of users are found, what they cannot reach, what pools cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fedsim.scenario.plugins import finder
from fedsim.scenario.spec import Scenario
from fedsim.world.nodes.config import PoolConfig
from fedsim.world.plugins import check_methods

if TYPE_CHECKING:
    from fedsim.world.scalers.config import ScalerConfig
    from fedsim.world.scaling import BuildScaler, Scaler, ScalerSite


def scaler_factory(scenario: Scenario) -> BuildScaler:
    """Return what builds the scaler of each pool that has one.

    Raises:
        PlugInError: A user's own does not exist.
    """
    from fedsim.world.scaler_guard import own_scaler
    from fedsim.world.scaling import preset_scaler

    own = found_scalers(scenario)

    def build(pool: PoolConfig, site: ScalerSite) -> Scaler:
        if pool.name in own:
            return own_scaler(pool, own[pool.name], site)
        return preset_scaler(pool, site)

    return build


def found_scalers(scenario: Scenario) -> dict[str, Any]:
    """Return users' own scalers, classes or objects, by the pools that they are for.

    Raises:
        PlugInError: One does not exist, or a class lacks ``desired``.
    """
    find, found = finder(scenario), {}
    for pool in scenario.world.pools:
        if pool.scaler is not None and pool.scaler.own is not None:
            plugin = found[pool.name] = find(pool.scaler.own.plugin, None)
            check_methods(plugin, ["desired"], "scaler")
    return found


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a pool can be under its scaler.

    Attributes:
        pool: The pool.
        scaler: Its scaler.
    """

    pool: PoolConfig
    scaler: ScalerConfig

    @property
    def usd_per_hour(self) -> tuple[float, float] | None:
        """The price of the fewest and of the most nodes; None where a node has none."""
        usd = self.pool.cost_usd_per_hour
        return None if usd is None else (self.scaler.min * usd, self.scaler.max * usd)


def scaled_pools(scenario: Scenario) -> list[Bounds]:
    """Return the pools that have a scaler."""
    return [Bounds(pool, pool.scaler) for pool in scenario.world.pools if pool.scaler is not None]


def scaler_notes(scenario: Scenario) -> list[str]:
    """Return what scalers cannot reach, and what of them has no effect, as sentences."""
    found = []
    for each in scaled_pools(scenario):
        path = f"pools.{each.pool.name}.scaler"
        found += [f"{path}{note}" for note in _of_nodes(each.pool, each.scaler)]
        if each.scaler.decides.needs_engines and each.pool.engine is None:
            found.append(
                f"{path}: {each.scaler.decided_by} goes by the key-value caches of engines, and "
                "the nodes have none: the pool never changes. Use another preset."
            )
        elif each.scaler.own is None:
            found += [f"{path}.signal: {note}" for note in _of_signal(each.pool, each.scaler)]
        if scenario.federation.preset != "default":
            found.append(
                f"{path}: gateways of the preset {scenario.federation.preset} send no probes to "
                "nodes that come later, whose health stays unknown to them."
            )
    return found


def _of_nodes(pool: PoolConfig, scaler: ScalerConfig) -> Iterator[str]:
    """Yield what a scaler does at once, never, or without taking time."""
    if scaler.min > pool.count:
        yield (
            f".min: the pool begins with a count of {pool.count}, and the rest of the {scaler.min} "
            "is ordered at the start. Raise count to have them ready."
        )
    if scaler.min == scaler.max == pool.count:
        yield f" has no effect: min and max are the count, {pool.count}. Raise max, or remove it."
        return
    if scaler.start is None and pool.cold_start is None:
        yield (
            ": nodes are ready the moment that they are ordered. Give start, the time that a node "
            "takes to be ready."
        )
    from fedsim.world.scalers.schedule import Schedule

    if isinstance(scaler.decides, Schedule):
        for each in scaler.decides.times:
            if not scaler.min <= each.nodes <= scaler.max:
                yield (
                    f".times: {each.nodes} nodes are not between the min of {scaler.min} and the "
                    f"max of {scaler.max}, which is what counts."
                )


def _of_signal(pool: PoolConfig, scaler: ScalerConfig) -> Iterator[str]:
    """Yield why a scaler's signal, if it goes by one, cannot reach its target."""
    from fedsim.world.scaling import signal_of

    signal = signal_of(scaler)
    if signal is None:
        return
    target, of, waiting = signal.target, signal.of, pool.queue_limit
    never = "the pool never grows"
    if of == "kv_share" and pool.engine is None:
        yield f"nodes without an engine have no key-value cache: {never}. Go by in_flight."
    elif of.startswith("ttft") and not pool.gives_tokens:
        yield f"its requests have no tokens, so that {of} is never known. Go by latency."
    elif of in {"kv_share", "utilization"} and target >= 1.0:
        yield f"a share is never above 100 %: {never}. Lower the target."
    elif of == "queue" and waiting is not None and target >= waiting:
        yield f"a node has at most {waiting} requests waiting: {never}. Lower the target."
    elif of == "in_flight" and waiting is not None and target >= pool.slots + waiting:
        yield (
            f"a node holds at most {pool.slots + waiting} requests, {waiting} of them waiting: "
            f"{never}. Lower the target."
        )
    elif of == "in_flight" and target > pool.slots:
        yield (
            f"a node serves {pool.slots} requests at once, and the target is {target:g}: the pool "
            "only grows when requests wait. Lower the target."
        )
