"""The name of a preset in the scenario file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from fedsim.scenario.presets import PRESETS
from fedsim.scenario.schema.base import error, shown, suggestion


def _known(value: Any) -> Any:
    if value != "default":
        message = f"There is no preset {shown(value)}."
        raise error(message, suggestion(value, ["default", *PRESETS]))
    return value


OwnPreset = Annotated[Literal["default"], BeforeValidator(_known)]
"""The preset of the default objects; a name that no preset has is an error here."""
