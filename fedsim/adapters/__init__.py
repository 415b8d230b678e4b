"""Routers, circuit breakers and retry policies of other projects, one file each.

Their code runs unmodified, in simulated time and with seeded randomness. Each needs its package,
an optional extra of this one, which is imported when the adapter is asked for and not before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Adapter:
    """Where an adapter is, and what it needs.

    Attributes:
        module: Its module in this package.
        package: The package that it needs, or empty where it needs none.
        extra: The extra of fedsim-routing that installs that package, or empty.
    """

    module: str
    package: str = ""
    extra: str = ""


ROUTERS: Mapping[str, Adapter] = {
    "gorgo": Adapter("gorgo", "gorgo-lb", "gorgo"),
    "litellm": Adapter("litellm", "litellm", "litellm"),
    "litellm-completion": Adapter("litellm_completion", "litellm", "litellm"),
    "production-stack": Adapter("production_stack"),
    "ray": Adapter("ray_serve", "ray[serve]", "ray"),
    "skypilot": Adapter("skypilot"),
}
"""Adapters of routers, by what stands before the slash of ``litellm/least-busy``.

Each module has ``router(choice, directory)``, which returns a class that is built with the context,
or raises `ValueError` in the form "what is wrong; what to do".
"""

BREAKERS: Mapping[str, Adapter] = {
    name: Adapter(name, package, name)
    for name, package in {
        "aiobreaker": "aiobreaker",
        "circuitbreaker": "circuitbreaker",
        "interlock": "interlock-cb",
        "purgatory": "purgatory",
        "pybreaker": "pybreaker",
    }.items()
}
"""Adapters of circuit breakers; ``breaker()`` returns a class that is built with the context."""

RETRIES: Mapping[str, Adapter] = {"tenacity": Adapter("tenacity", "tenacity", "tenacity")}
"""Adapters of retry policies, by what stands before the slash of ``tenacity/my_module:my_policy``.

Each module has ``retries(policy)``, which takes the object that the rest names.
"""
