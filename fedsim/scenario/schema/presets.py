"""The federation in the scenario file, by its preset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Discriminator, Tag

from fedsim.scenario.schema.base import Later
from fedsim.scenario.schema.federation import PRESETS, Federation

if TYPE_CHECKING:
    from fedsim.scenario.reference.schema import ReferenceFederation
else:
    ReferenceFederation = Annotated[
        Any, Later.at("fedsim.scenario.reference.schema", "ReferenceFederation")
    ]


def _preset(value: Any) -> str:
    preset = value.get("preset") if isinstance(value, dict) else getattr(value, "preset", None)
    return f"<{preset}>" if isinstance(preset, str) and preset in PRESETS else "<default>"


AnyFederation = Annotated[
    Annotated[Federation, Tag("<default>")] | Annotated[ReferenceFederation, Tag("<apr>")],
    Discriminator(_preset),
]
"""A federation of the default objects, or of another preset's."""
