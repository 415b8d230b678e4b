"""The presets of scalers, by name."""

from __future__ import annotations

from collections.abc import Mapping

from fedsim.world.scalers.aibrix import AibrixApa
from fedsim.world.scalers.engine_load import DynamoLoad, WvaV1, WvaV2
from fedsim.world.scalers.keda import Keda
from fedsim.world.scalers.knative import Knative
from fedsim.world.scalers.preset import Preset
from fedsim.world.scalers.ratio import Hpa
from fedsim.world.scalers.ray_serve import RayServe
from fedsim.world.scalers.schedule import Schedule
from fedsim.world.scalers.skyserve import SkyServe

PRESETS: Mapping[str, type[Preset]] = {
    preset.name: preset
    for preset in (
        Hpa,
        Keda,
        Knative,
        RayServe,
        SkyServe,
        AibrixApa,
        WvaV1,
        WvaV2,
        DynamoLoad,
        Schedule,
    )
}
"""The presets; ``docs/scaling.md`` says what each does."""
