"""The presets of scalers, by name."""

from __future__ import annotations

from collections.abc import Mapping

from fedsim.world.scalers.knative import Knative
from fedsim.world.scalers.preset import Preset
from fedsim.world.scalers.ratio import Hpa
from fedsim.world.scalers.ray_serve import RayServe
from fedsim.world.scalers.schedule import Schedule

PRESETS: Mapping[str, type[Preset]] = {
    preset.name: preset for preset in (Hpa, Knative, RayServe, Schedule)
}
"""The presets; ``docs/scaling.md`` says what each does."""
