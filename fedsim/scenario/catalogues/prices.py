"""Prices of instances with GPUs, on demand, in US dollars."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from fedsim.scenario.catalogues.tables import CatalogueError, Source, rows, sources, unknown


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance that a provider rents out.

    Attributes:
        name: ``provider/instance``.
        gpu: Name of its GPUs, such as ``h100_sxm``.
        gpus: Number of them.
        usd_per_hour: Price of the whole instance.
        region: Where it has that price.
        source: Where the price comes from.
    """

    name: str
    gpu: str
    gpus: int
    usd_per_hour: float
    region: str
    source: Source

    @property
    def provider(self) -> str:
        """The provider."""
        return self.name.partition("/")[0]

    @property
    def usd_per_gpu_hour(self) -> float:
        """Price of one of its GPUs."""
        return self.usd_per_hour / self.gpus


@cache
def instances() -> dict[str, Instance]:
    """Return all instances by name."""
    return {
        row["name"]: Instance(
            name=row["name"],
            gpu=row["gpu"],
            gpus=int(row["gpus"]),
            usd_per_hour=float(row["usd_per_hour"]),
            region=row["region"],
            source=sources()[row["source"]],
        )
        for row in rows("prices")
    }


def price_names() -> list[str]:
    """Return all names that have a price: of instances, and of GPUs as ``provider/gpu``."""
    gpus = dict.fromkeys(f"{each.provider}/{each.gpu}" for each in instances().values())
    return [*instances(), *gpus]


def instance_for(name: str, gpus: int = 1) -> Instance:
    """Return the instance whose price a node pays.

    Args:
        name: An instance, or ``provider/gpu`` for the provider's cheapest by the GPU.
        gpus: GPUs of the node, >= 1, which are at most those of the instance.

    Raises:
        CatalogueError: The name is unknown, or no such instance has as many GPUs.
    """
    if name not in price_names():
        failure = unknown("price", name, price_names(), "prices")
        raise failure
    known = instances().values()
    named = [each for each in known if name in {each.name, f"{each.provider}/{each.gpu}"}]
    roomy = [each for each in named if each.gpus >= gpus]
    if not roomy:
        most = max(each.gpus for each in named)
        message = f"The node has {gpus} GPUs, and {name} at most {most}."
        remedy = "Name an instance with as many GPUs, or write the price, such as 6.88 USD/h."
        raise CatalogueError(message, remedy)
    return min(roomy, key=lambda each: each.usd_per_gpu_hour)


def node_usd_per_hour(name: str, gpus: int = 1) -> float:
    """Return the price of a node: that of one GPU of the instance, for each of its own.

    Args:
        name: An instance, or ``provider/gpu`` for the provider's cheapest by the GPU.
        gpus: GPUs of the node, >= 1.

    Raises:
        CatalogueError: The name is unknown, or no such instance has as many GPUs.
    """
    return instance_for(name, gpus).usd_per_gpu_hour * gpus
