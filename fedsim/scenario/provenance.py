"""Which figures a scenario rests on, and where each of them comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any

from fedsim.results.sources import Figure, Label
from fedsim.scenario.catalogues.failures import FailurePreset, failure_preset
from fedsim.scenario.catalogues.prices import instance_for, node_usd_per_hour
from fedsim.scenario.catalogues.profiles import Profile
from fedsim.scenario.configure.network import (
    JITTER,
    WITHIN_REGION_S,
    Found,
    found_between,
    found_within,
)
from fedsim.scenario.emit import dump_inline
from fedsim.scenario.engine_files import EngineSources
from fedsim.scenario.schema.faults import TimedFault
from fedsim.scenario.schema.pools import Network, Pool, Regions
from fedsim.scenario.schema.root import ScenarioFile
from fedsim.scenario.units import DURATION, PRICE, SHARE

_DEFAULT: tuple[Label, str] = ("estimated", "fedsim's default")
_OF_POOLS = ("service", "cold_start", "switch")
_OF_ENGINES = ("table", "prefill", "decode", "kv_capacity", "step_overhead", "request_overhead")
_NOT_OF_STREAMS = frozenset(("capability", "model", "priority", "qos"))


def figures(file: ScenarioFile, engines: EngineSources) -> tuple[Figure, ...]:
    """Return the figures about the world and its traffic in a scenario, by their paths.

    What a scenario decides, such as counts, limits and scripted faults, is no figure.

    Args:
        file: The scenario as it was written, before defaults are filled in.
        engines: Where the step times of engines come from.
    """
    stated: dict[str, Any] = file.model_dump(mode="json", exclude_unset=True)
    found = [_of_network(file.network, file.regions, stated.get("network", {}))]
    found += [
        _of_pool(f"pools.{name}", pool, stated["pools"][name], engines.profiles.get(name))
        for name, pool in file.pools.items()
        if pool.count
    ]
    found += [_of_stream(f"workload.{name}", stated["workload"][name]) for name in file.workload]
    found += [
        _of_fault(f"faults.{number}", fault, stated["faults"][number])
        for number, fault in enumerate(file.faults)
    ]
    return tuple(chain.from_iterable(found))


def _of_stream(path: str, stated: Mapping[str, Any]) -> Iterator[Figure]:
    for key, value in stated.items():
        if key not in _NOT_OF_STREAMS:
            yield _own(f"{path}.{key}", value)


def _of_network(network: Network, regions: Regions, stated: Mapping[str, Any]) -> Iterator[Figure]:
    for key in ("within_region", "jitter"):
        if key in stated:
            yield _own(f"network.{key}", stated[key])
    for pair, value in stated.get("between", {}).items():
        yield _own(f"network.between.{pair}", value)
    within = found_within(network, regions)
    for found in within:
        yield _found(f"regions.{found.regions[0]}.location", found, with_p95=False)
    for found in found_between(network, regions):
        path = f"network.between.{'/'.join(found.regions)}"
        yield _found(path, found, with_p95=network.jitter is None)
    if network.within_region is None and len(within) < len(regions):
        yield Figure("network.within_region", DURATION.format(WITHIN_REGION_S), *_DEFAULT)
    if network.jitter is None:
        yield Figure("network.jitter", SHARE.format(JITTER), *_DEFAULT)


def _found(path: str, found: Found, *, with_p95: bool) -> Figure:
    """Return the figure of a round trip that the catalogue supplies."""
    trip = found.trip
    value = DURATION.format(trip.p50_s)
    if with_p95 and trip.p95_s is not None:
        value += f", 95th percentile {DURATION.format(trip.p95_s)}"
    return Figure(path, value, trip.source.label, trip.source.text)


def _of_pool(
    path: str, pool: Pool, stated: Mapping[str, Any], profile: Profile | None
) -> Iterator[Figure]:
    for key in _OF_POOLS:
        if key in stated:
            yield _own(f"{path}.{key}", stated[key])
    for key in _OF_ENGINES:
        if key in stated.get("engine", {}):
            yield _own(f"{path}.engine.{key}", stated["engine"][key])
    if profile is not None:
        yield _of_profile(f"{path}.engine.profile", profile)
    if isinstance(pool.cost, str):
        gpus = 1 if profile is None else profile.gpus
        source = instance_for(pool.cost, gpus).source
        price = PRICE.format(node_usd_per_hour(pool.cost, gpus))
        yield Figure(f"{path}.cost", price, source.label, f"{pool.cost}: {source.text}")
    elif pool.cost is not None:
        yield _own(f"{path}.cost", stated["cost"])


def _of_profile(path: str, profile: Profile) -> Figure:
    errors = ", ".join(f"{part} {each:.1%}" for part, each in profile.fit_error.items())
    source = f"{profile.source} (mean error of the fit: {errors})" if errors else profile.source
    return Figure(path, profile.name, profile.label, source)


def _of_fault(path: str, fault: TimedFault, stated: Mapping[str, Any]) -> Iterator[Figure]:
    """Yield the mean times of a fault that strikes at random; scripted ones have no figures."""
    for key in ("mtbf", "mttr"):
        if key in stated:
            yield _own(f"{path}.{key}", stated[key])
        elif fault.fleet is not None:
            yield _of_preset(f"{path}.{key}", failure_preset(fault.fleet), key)


def _of_preset(path: str, preset: FailurePreset, key: str) -> Figure:
    if key == "mttr":
        source = preset.mttr_source
        return Figure(path, DURATION.format(preset.mttr_s), source.label, source.text)
    source = preset.mtbf_source
    text = f"{preset.name}: {preset.derivation} ({source.text})"
    return Figure(path, DURATION.format(preset.mtbf_s), source.label, text)


def _own(path: str, value: object) -> Figure:
    """Return a figure that the user stated."""
    return Figure(path, _inline(json.dumps(value)), "user", "stated in the scenario")


@lru_cache(maxsize=4096)
def _inline(value: str) -> str:
    """Return a value that is given as JSON as YAML; the variants of a scenario share most."""
    return dump_inline(json.loads(value))
