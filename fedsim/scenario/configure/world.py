"""The world, from the completed scenario file."""

from __future__ import annotations

from fedsim.scenario.configure.faults import fault_config
from fedsim.scenario.configure.network import network_config
from fedsim.scenario.configure.pools import pool_config, privacy_level
from fedsim.scenario.configure.workload import stream_config
from fedsim.scenario.engine_files import EngineSources
from fedsim.scenario.files import WorkloadFiles
from fedsim.scenario.schema.root import ScenarioFile
from fedsim.world.config import RegionConfig, WorldConfig


def world_config(file: ScenarioFile, files: WorkloadFiles, engines: EngineSources) -> WorldConfig:
    """Return the world of a completed *file*.

    Args:
        file: The scenario, with nothing left to be filled in.
        files: What the files hold that its workload names.
        engines: Where the step times of engines come from.
    """
    every = file.record.nodes_every
    return WorldConfig(
        seed=file.seed,
        duration_s=file.duration,
        drain_s=file.drain,
        regions=tuple(
            RegionConfig(name, privacy_level(region.privacy))
            for name, region in file.regions.items()
        ),
        network=network_config(file.network, file.regions),
        pools=tuple(
            pool_config(name, pool, engines) for name, pool in file.pools.items() if pool.count
        ),
        streams=tuple(
            stream_config(name, stream, files, file.duration)
            for name, stream in file.workload.items()
        ),
        faults=tuple(fault_config(fault) for fault in file.faults),
        nodes_every_s=None if isinstance(every, str) else every,
        abort=file.federation.abort == "on",
        gateway_choice=file.federation.gateway_choice,
        warmup_s=file.warmup or 0.0,
    )
