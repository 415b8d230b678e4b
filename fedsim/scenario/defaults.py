"""Fills in the defaults that depend on the rest of the scenario."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedsim.federation.policies import POLICIES
from fedsim.scenario.catalogues.profiles import PROFILE_FILES, Profile
from fedsim.scenario.engine_files import EngineSources
from fedsim.scenario.schema.derived import SettingsOf
from fedsim.scenario.schema.federation import Federation
from fedsim.scenario.schema.policies import PolicySettings
from fedsim.scenario.schema.pools import Pool
from fedsim.scenario.schema.presets import AnyFederation
from fedsim.scenario.schema.root import ScenarioFile, Study
from fedsim.scenario.schema.sizes import AnyTokens
from fedsim.scenario.schema.workload import Stream

if TYPE_CHECKING:
    from fedsim.scenario.schema.engine import Engine
    from fedsim.scenario.schema.plan import Plan

QUEUE_LIMIT = 64
"""Most requests that wait on a node with slots, where the file does not say."""

SLOTS = 8
"""Requests in service at once on a node with slots, where the file does not say."""

PLANNED = 20
"""Replications of a planned fleet in each case, where the file does not say."""

STREAMED = frozenset({"generate", "code"})
"""Capabilities whose answers are read as streams where engines serve them."""


def complete(file: ScenarioFile, path: Path, engines: EngineSources) -> ScenarioFile:
    """Return *file*, read from *path*, with nothing left to be filled in.

    Names of files become absolute, so that the result means the same wherever it is kept.
    """
    regions = list(file.regions)
    pools = {
        name: _complete_pool(pool, name, engines.profiles.get(name), path.parent)
        for name, pool in file.pools.items()
    }
    workload = {
        name: _complete_stream(stream, regions, path.parent, _is_streamed(stream, pools.values()))
        for name, stream in file.workload.items()
    }
    return file.model_copy(
        update={
            "name": file.name or _name_of(path),
            "warmup": file.duration / 10 if file.warmup is None else file.warmup,
            "pools": pools,
            "workload": workload,
            "federation": _complete_federation(file.federation, regions, workload),
            "plan": _complete_plan(file.plan, file.study),
        }
    )


def _complete_plan(plan: Plan | None, study: Study) -> Plan | None:
    """Return the plan with what it takes from the settings of all studies."""
    if plan is None:
        return None
    from fedsim.scenario.schema.plan import LEAST_REPLICATIONS

    stated = study.replications if "replications" in study.model_fields_set else PLANNED
    return plan.model_copy(
        update={
            "replications": plan.replications or max(stated, LEAST_REPLICATIONS),
            "confidence": plan.confidence or study.confidence,
        }
    )


def _is_streamed(stream: Stream, pools: Iterable[Pool]) -> bool:
    """Return whether clients read the answers of a stream token by token."""
    if stream.streamed is not None:
        return stream.streamed == "on"
    return stream.capability in STREAMED and any(
        pool.engine is not None
        and pool.count
        and stream.capability in pool.capabilities
        and stream.model in (None, pool.model)
        for pool in pools
    )


def _name_of(path: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-_") or "scenario"


def _complete_pool(pool: Pool, name: str, profile: Profile | None, folder: Path) -> Pool:
    batches = pool.engine is not None or pool.batching is not None
    complete: dict[str, Any] = {
        "model": pool.model or (name if profile is None else profile.model),
        "queue_limit": pool.queue_limit,
        "slots": pool.slots,
    }
    if pool.queue_limit is None:
        complete["queue_limit"] = "unlimited" if batches else QUEUE_LIMIT
    if pool.slots is None and not batches:
        complete["slots"] = SLOTS
    if profile is not None and pool.gpu is None:
        complete["gpu"] = "none" if "gpu" in pool.model_fields_set else profile.gpu
    if pool.engine is not None:
        complete["engine"] = _complete_engine(pool.engine, folder)
    return pool.model_copy(update=complete)


def _complete_engine(engine: Engine, folder: Path) -> Engine:
    named, table = engine.profile, engine.table
    if named is not None and named.endswith(PROFILE_FILES):
        named = (folder / named).resolve().as_posix()
    if table is not None:
        table = (folder / table).resolve().as_posix()
    return engine.model_copy(update={"profile": named, "table": table})


def _complete_stream(stream: Stream, regions: list[str], folder: Path, streamed: bool) -> Stream:
    arrivals = stream.arrivals
    if arrivals is not None and arrivals.process == "trace":
        arrivals = arrivals.found_in(folder)
    complete: dict[str, Any] = {
        "arrivals": arrivals,
        "origins": stream.origins or dict.fromkeys(regions, 1.0),
        "tokens": _complete_tokens(stream.tokens, folder),
        "streamed": "on" if streamed else "off",
    }
    if stream.named_tenants:
        complete["tenants"] = {
            name: tenant.model_copy(update={"tokens": _complete_tokens(tenant.tokens, folder)})
            for name, tenant in stream.named_tenants.items()
        }
    return stream.model_copy(update=complete)


def _complete_tokens(tokens: AnyTokens | None, folder: Path) -> AnyTokens | None:
    return None if tokens is None else tokens.found_in(folder)


def _complete_federation(
    federation: AnyFederation, regions: list[str], workload: Mapping[str, Stream]
) -> AnyFederation:
    origins = [stream.origins or {} for stream in workload.values()]
    used = [region for region in regions if any(weights.get(region) for weights in origins)]
    stated = federation.gateways or dict.fromkeys(used, 1)
    complete: dict[str, Any] = {
        "gateways": {region: stated[region] for region in regions if region in stated}
    }
    if isinstance(federation, Federation):
        policies = federation.policies.items()
        complete["policies"] = {name: _complete_policy(name, each) for name, each in policies}
        if isinstance(federation.timeout, SettingsOf):
            complete["timeout"] = federation.timeout.completed()
    return federation.model_copy(update=complete)


def _complete_policy(name: str, settings: PolicySettings) -> PolicySettings:
    weight = settings.weight
    if weight is None and name in POLICIES:
        weight = POLICIES[name].weight
    return settings.model_copy(update={"weight": weight})
