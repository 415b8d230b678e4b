"""The presets other than ``default``: whose objects a federation is made of, and where they are."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fedsim.scenario.schema.federation import PRESETS

if TYPE_CHECKING:
    from fedsim.federation.contracts import GatewayTrait, PrivacyLevel, RegionId
    from fedsim.scenario.plugins import Find
    from fedsim.scenario.spec import FederationSpec
    from fedsim.world.world import Site


class GatewayFactory(Protocol):
    """Builds the gateway of each site of a scenario."""

    @property
    def label(self) -> str:
        """The router's or the strategy's name, as tables show it."""
        ...

    def lacking(self, retried: bool = True) -> list[str]:
        """Return what is lost because of methods that users' plug-ins lack, as sentences.

        Args:
            retried: Whether requests are retried.
        """
        ...

    def __call__(self, site: Site) -> GatewayTrait:
        """Return the gateway of *site*."""
        ...


@dataclass(frozen=True, slots=True)
class Preset:
    """What a preset's module defines as ``PRESET``.

    Attributes:
        spec: Returns the federation of the preset's completed settings in a file, given the
            privacy levels of its regions.
        factory: Returns what builds its gateways.
        described: Says what its gateways do, in clauses for people.
    """

    spec: Callable[[Any, Mapping[RegionId, PrivacyLevel]], FederationSpec]
    factory: Callable[[FederationSpec, Find], GatewayFactory]
    described: Callable[[FederationSpec], list[str]]


def preset(name: str) -> Preset:
    """Return the preset *name*; raises ``KeyError`` for one that is not in `PRESETS`."""
    found: Preset = importlib.import_module(PRESETS[name]).PRESET
    return found
