"""What a node costs, from its pool's settings and the catalogue of prices."""

from __future__ import annotations

from fedsim.scenario.catalogues.prices import node_usd_per_hour
from fedsim.scenario.schema.pools import Pool


def cost_usd_per_hour(pool: Pool, gpus: int) -> float | None:
    """Return the price of a node in US dollars per hour, or None where the file gives none.

    Args:
        pool: The pool.
        gpus: GPUs of a node, each of which has the price that the catalogue gives for one.
    """
    if isinstance(pool.cost, str):
        return node_usd_per_hour(pool.cost, gpus)
    return pool.cost
