"""Users' own scalers: what they are built with, and the guard around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from fedsim.federation.contracts import FederationError
from fedsim.federation.runtime import Random
from fedsim.world.guards import Guard
from fedsim.world.nodes.config import PoolConfig
from fedsim.world.plugins import build_plugin, check_methods
from fedsim.world.scalers.config import OwnScaler
from fedsim.world.scalers.view import Decision, PoolView
from fedsim.world.scaling import ScalerSite


@dataclass(frozen=True, slots=True)
class ScalerContext:
    """What a user's own scaler is built with.

    Attributes:
        pool: The pool's name.
        min: Fewest nodes that it may want.
        max: Most nodes that it may want.
        settings: What the scenario gives it as ``settings``.
        rng: A source of randomness of its own.
    """

    pool: str
    min: int
    max: int
    settings: Mapping[str, object]
    rng: Random


class ScalerGuard(Guard):
    """Runs a user's own scaler, sync or async, in simulated time."""

    async def desired(self, view: PoolView) -> Decision:
        """Return what the scaler wants, which must be a whole number, within the pool's limits."""
        method = "desired"
        try:
            wanted = await self._await(method, None, view)
        except FederationError as error:  # there is no request that could end in it
            raise self._raised(method, error, None) from error
        if not isinstance(wanted, Integral) or isinstance(wanted, bool) or int(wanted) < 0:
            problem = (
                f"desired() returned {wanted!r}; it must be a whole number of nodes, 0 or more"
            )
            raise self._error(problem, None)
        nodes = min(max(int(wanted), view.min), view.max)
        bounded = "" if nodes == wanted else f", bounded to {nodes}"
        reason = f"{self.plugin_name} wants {int(wanted)}{bounded}"
        return Decision(nodes, reason, capped=int(wanted) > view.max)


def own_scaler(pool: PoolConfig, plugin: Any, site: ScalerSite) -> ScalerGuard:
    """Return the scaler of a pool that a user's *plugin* is, a class or an object.

    Raises:
        PlugInError: Its constructor raises, or it lacks ``desired``.
    """
    config = pool.scaler
    assert config is not None
    assert isinstance(config.decides, OwnScaler)
    rng = site.random_for(f"scalers/{pool.name}")
    context = ScalerContext(pool.name, config.min, config.max, config.decides.settings, rng)
    built = build_plugin(plugin, context, "pool, min, max, settings, rng")
    check_methods(built, ["desired"], "scaler")
    return ScalerGuard(built, site)
