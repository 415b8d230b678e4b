"""The federation in the scenario file, by its preset."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Tag

from fedsim.scenario.schema.federation import Federation
from fedsim.scenario.schema.reference import ReferenceFederation


def _preset(value: Any) -> str:
    preset = value.get("preset") if isinstance(value, dict) else getattr(value, "preset", None)
    return "<apr>" if preset == "apr" else "<default>"


AnyFederation = Annotated[
    Annotated[Federation, Tag("<default>")] | Annotated[ReferenceFederation, Tag("<apr>")],
    Discriminator(_preset),
]
"""A federation of our objects, or of the reference's."""
