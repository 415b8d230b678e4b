"""What is known of a scenario file, for checks that must run although other values are invalid.

What the models object to reads as absent here: they report it, and no check stumbles over it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from pydantic import ValidationError, create_model

from fedsim.federation.contracts import PrivacyLevel
from fedsim.scenario.catalogues.profiles import Profile
from fedsim.scenario.schema.base import Settings, fields_by_key
from fedsim.scenario.source import Document, KeyPath, has

_LEVELS = {level.name.lower(): level for level in PrivacyLevel}
_NODE = re.compile(r"(?P<pool>.+)-(?P<number>0|[1-9][0-9]*)\Z", re.ASCII)


@dataclass(frozen=True)
class Facts:
    """The values of a document that are valid, whatever is wrong with others.

    Attributes:
        document: The document.
        file: The document as a model, or None where something is wrong with it.
        models: The model of each mapping of the document's tree, by the mapping's ``id``.
        wrong: Paths of the values that a model objects to.
        profiles: The profiles of engines that could be read, by pool.
    """

    document: Document
    file: Settings | None = None
    models: Mapping[int, type[Settings]] = field(default_factory=dict)
    wrong: Sequence[KeyPath] = ()
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    _known: dict[KeyPath, Any] = field(default_factory=dict, repr=False)

    def at(self, *path: str | int) -> Any:
        """Return the value that the file gives at *path*; None where it gives none, or is wrong.

        A mapping with fixed keys is a model, quantities are in base units.
        """
        here, known = self.document.tree, self.file
        for depth, step in enumerate(path, start=1):
            if not has(here, step):
                return None
            known = self._of(here, path[:depth]) if known is None else _inside(known, step)
            here = here[step]
        return known

    def _of(self, around: Any, path: KeyPath) -> Any:
        """Return the value of a key of the mapping *around*, which has something else wrong."""
        if path not in self._known:
            self._known[path] = None
            model = self.models.get(id(around))
            if model is None or str(path[-1]) not in fields_by_key(model):
                return None
            if all(each[: len(path)] != path for each in self.wrong):
                name, alone = _alone(model, str(path[-1]))
                try:
                    valid = alone.model_validate({path[-1]: around[path[-1]]})
                except ValidationError:
                    return None  # what is around it is not read far enough to object to it
                self._known[path] = getattr(valid, name)
        return self._known[path]

    def value(self, *path: str | int) -> Any:
        """Return the value at *path*, its default where the file gives none; None where wrong."""
        if any(path[: len(each)] == each for each in self.wrong):
            return None  # null, where it is no value, is not the default
        depth = len(path)
        while self.written(*path[:depth]) is None:
            depth -= 1
        if depth == len(path):
            return self.at(*path)
        model = self.models.get(id(self.written(*path[:depth])))
        named = None if model is None else fields_by_key(model).get(str(path[depth]))
        if named is None:
            return None
        value = named[1].get_default(call_default_factory=True)
        for step in path[depth + 1 :]:
            value = _inside(value, step)
        return value

    def mapping(self, *path: str | int) -> dict[str, Any]:
        """Return what the file gives at *path*: each key with its value, None where that is wrong.

        Empty where it gives no mapping.
        """
        here = self.written(*path)
        if not isinstance(here, dict):
            return {}
        if self.file is None:
            return {key: self.at(*path, key) for key in here}
        known = self.at(*path)
        return {key: _inside(known, key) for key in here}

    def written(self, *path: str | int) -> Any:
        """Return what stands at *path*, as it is written, right or wrong; None for nothing."""
        here = self.document.tree
        for step in path:
            if not has(here, step):
                return None
            here = here[step]
        return here

    def text(self, *path: str | int) -> str | None:
        """Return the text at *path* as it is written; None where there is none, or it is wrong."""
        written = self.written(*path)
        return written if isinstance(written, str) and self.at(*path) is not None else None

    def duration_s(self, *path: str | int) -> float | None:
        """Return the duration at *path* in seconds, or None."""
        value = self.at(*path)
        return value if isinstance(value, float) else None

    @cached_property
    def regions(self) -> list[str]:
        """The names of all regions."""
        return list(self.mapping("regions"))

    @cached_property
    def pools(self) -> list[str]:
        """The names of all pools that are mappings."""
        return [name for name in self.mapping("pools") if self.mapping("pools", name)]

    @cached_property
    def pools_with_nodes(self) -> list[str]:
        """The names of the pools that have nodes, as far as can be known."""
        return [pool for pool in self.pools if self.pool_count(pool) != 0]

    @cached_property
    def streams(self) -> list[str]:
        """The names of all streams that are mappings."""
        return [name for name in self.mapping("workload") if self.mapping("workload", name)]

    @property
    def faults(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The faults that are mappings, with their indices."""
        faults = self.written("faults")
        for number, fault in enumerate(faults if isinstance(faults, list) else ()):
            if isinstance(fault, dict):
                yield number, self.mapping("faults", number)

    def pool_region(self, pool: str) -> str | None:
        """Return the region of a pool where it exists, or None."""
        region = self.text("pools", pool, "region")
        return region if region in self.mapping("regions") else None

    def pool_capabilities(self, pool: str) -> list[str] | None:
        """Return what a pool can do, or None where that cannot be known."""
        found: list[str] | None = self.value("pools", pool, "capabilities")
        return found

    def stream_capability(self, stream: str) -> str | None:
        """Return what a stream asks for, or None."""
        found: str | None = self.value("workload", stream, "capability")
        return found

    def pool_model(self, pool: str) -> str | None:
        """Return the model that a pool serves, or None where that cannot be known."""
        if self.written("pools", pool, "model") is not None:
            return self.text("pools", pool, "model")
        if pool in self.profiles:
            return self.profiles[pool].model
        return pool if self.written("pools", pool, "engine", "profile") is None else None

    @property
    def ignores_models(self) -> bool:
        """Whether the federation routes a request to any model with its capability."""
        return self.text("federation", "preset") not in (None, "default")

    def capable(self, stream: str) -> list[str]:
        """Return the pools with nodes that have the capability of a stream."""
        capability = self.stream_capability(stream)
        pools = self.pools_with_nodes
        return [pool for pool in pools if capability in (self.pool_capabilities(pool) or ())]

    def servers(self, stream: str) -> list[str]:
        """Return the pools that may get requests of a stream, by capability and model."""
        model, capable = self.text("workload", stream, "model"), self.capable(stream)
        if model is None or self.ignores_models:
            return capable
        return [pool for pool in capable if self.pool_model(pool) in (None, model)]

    def region_privacy(self, region: str) -> PrivacyLevel | None:
        """Return the level of a region, or None."""
        return _LEVELS.get(self.value("regions", region, "privacy"))

    def stream_privacy(self, stream: str) -> PrivacyLevel | None:
        """Return the level of a stream's data, or None."""
        return _LEVELS.get(self.value("workload", stream, "qos", "privacy"))

    def origins(self, stream: str) -> dict[str, KeyPath]:
        """Return the existing regions that a stream comes from, with the paths that say so."""
        path: KeyPath = ("workload", stream, "origins")
        if self.written(*path) is None:
            return dict.fromkeys(self.regions, path[:-1])
        weights, regions = self.mapping(*path), self.mapping("regions")
        return {name: (*path, name) for name in weights if weights[name] != 0 and name in regions}

    def gateway_regions(self) -> list[str]:
        """Return the existing regions that have gateways."""
        if self.written("federation", "gateways") is None:
            origins = [self.origins(stream) for stream in self.streams]
            return [region for region in self.regions if any(region in each for each in origins)]
        stated = self.mapping("federation", "gateways")
        return [region for region in self.regions if region in stated]

    def is_node(self, name: str) -> bool:
        """Return whether a pool has a node of that name if its count is high enough."""
        match = _NODE.match(name)
        return match is not None and match["pool"] in self.mapping("pools")

    def pool_count(self, pool: str) -> int | None:
        """Return the number of nodes of a pool, or None where that cannot be known."""
        found: int | None = self.value("pools", pool, "count")
        return found


@cache
def _alone(model: type[Settings], key: str) -> tuple[str, type[Settings]]:
    """Return the field of a *model* that a *key* means, and a model of that field alone."""
    name, info = fields_by_key(model)[key]
    fields: Any = {name: (info.annotation, info)}
    return name, create_model("Alone", __base__=Settings, **fields)


def _inside(value: Any, step: str | int) -> Any:
    """Return what is at a key or index inside a valid value."""
    if isinstance(value, Settings):
        return getattr(value, fields_by_key(type(value))[str(step)][0])
    return value[step]
