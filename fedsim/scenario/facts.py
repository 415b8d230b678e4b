"""A lenient view of the raw tree, for checks that must run although other values are wrong.

What is missing or malformed reads as absent here: the models report it, and no check trips over it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fedsim.federation.contracts import PrivacyLevel
from fedsim.scenario.source import Document, KeyPath
from fedsim.scenario.units import DURATION, UnitError

_LEVELS = {level.name.lower(): level for level in PrivacyLevel}
_NODE = re.compile(r"(?P<pool>.+)-(?P<number>0|[1-9][0-9]*)\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Facts:
    """What can be known of a document, well-formed or not."""

    document: Document

    def at(self, *path: str | int) -> Any:
        """Return the value at *path*, or None."""
        here = self.document.tree
        for step in path:
            if isinstance(here, dict):
                here = here.get(str(step))
            elif isinstance(here, list) and isinstance(step, int) and step < len(here):
                here = here[step]
            else:
                return None
        return here

    def mapping(self, *path: str | int) -> dict[str, Any]:
        """Return the mapping at *path*, or an empty one."""
        value = self.at(*path)
        return value if isinstance(value, dict) else {}

    def text(self, *path: str | int) -> str | None:
        """Return the text at *path*, or None."""
        value = self.at(*path)
        return value if isinstance(value, str) else None

    def duration_s(self, *path: str | int) -> float | None:
        """Return the duration at *path* in seconds, or None."""
        try:
            return DURATION.parse(self.at(*path))
        except UnitError:
            return None

    @property
    def regions(self) -> list[str]:
        """The names of all regions."""
        return list(self.mapping("regions"))

    @property
    def pools(self) -> list[str]:
        """The names of all pools that are mappings."""
        return [name for name in self.mapping("pools") if self.mapping("pools", name)]

    @property
    def streams(self) -> list[str]:
        """The names of all streams that are mappings."""
        return [name for name in self.mapping("workload") if self.mapping("workload", name)]

    @property
    def faults(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The faults that are mappings, with their indices."""
        faults = self.at("faults")
        for number, fault in enumerate(faults if isinstance(faults, list) else ()):
            if isinstance(fault, dict):
                yield number, fault

    def pool_region(self, pool: str) -> str | None:
        """Return the region of a pool where it exists, or None."""
        region = self.text("pools", pool, "region")
        return region if region in self.mapping("regions") else None

    def pool_capabilities(self, pool: str) -> list[str]:
        """Return what a pool can do."""
        stated = self.at("pools", pool, "capabilities")
        if not isinstance(stated, list):
            return ["generate"]
        return [word for word in stated if isinstance(word, str)]

    def stream_capability(self, stream: str) -> str | None:
        """Return what a stream asks for, or None."""
        return self._default("generate", "workload", stream, "capability")

    def servers(self, stream: str) -> list[str]:
        """Return the pools that have the capability of a stream."""
        capability = self.stream_capability(stream)
        return [pool for pool in self.pools if capability in self.pool_capabilities(pool)]

    def region_privacy(self, region: str) -> PrivacyLevel | None:
        """Return the level of a region, or None."""
        return _LEVELS.get(self._default("internal", "regions", region, "privacy") or "")

    def stream_privacy(self, stream: str) -> PrivacyLevel | None:
        """Return the level of a stream's data, or None."""
        return _LEVELS.get(self._default("internal", "workload", stream, "qos", "privacy") or "")

    def origins(self, stream: str) -> dict[str, KeyPath]:
        """Return the existing regions that a stream comes from, with the paths that say so."""
        path: KeyPath = ("workload", stream, "origins")
        if self.at(*path) is None:
            return dict.fromkeys(self.regions, path[:-1])
        regions = self.mapping("regions")
        weights = self.mapping(*path).items()
        return {name: (*path, name) for name, weight in weights if weight != 0 and name in regions}

    def gateway_regions(self) -> list[str]:
        """Return the existing regions that have gateways."""
        if self.at("federation", "gateways") is None:
            origins = [self.origins(stream) for stream in self.streams]
            return [region for region in self.regions if any(region in each for each in origins)]
        stated = self.mapping("federation", "gateways")
        return [region for region in self.regions if region in stated]

    def node_exists(self, node: str) -> bool:
        """Return whether a node of that name exists, as far as can be known."""
        match = _NODE.match(node)
        if match is None or match["pool"] not in self.mapping("pools"):
            return False
        count = self.mapping("pools", match["pool"]).get("count", 1)
        known = isinstance(count, int) and not isinstance(count, bool)
        return not known or int(match["number"]) < count

    def _default(self, default: str, *path: str | int) -> str | None:
        """Return the text at *path*, *default* where the key is missing, None where malformed."""
        return default if self.at(*path) is None else self.text(*path)
