"""Values of the scenario file that may name something in a catalogue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag

from fedsim.scenario.catalogues.failures import failure_preset, failure_presets
from fedsim.scenario.catalogues.locations import check_location, location_names
from fedsim.scenario.catalogues.prices import instance_for, price_names
from fedsim.scenario.catalogues.tables import CatalogueError
from fedsim.scenario.schema.base import error
from fedsim.scenario.schema.types import Price


def _known(look_up: Callable[[str], object]) -> AfterValidator:
    """Return a validator for names that *look_up* finds."""

    def check(value: str) -> str:
        try:
            look_up(value)
        except CatalogueError as failure:
            raise error(failure.message, failure.remedy) from None
        return value

    return AfterValidator(check)


def _cost_tag(value: Any) -> str:
    named = isinstance(value, str) and "/" in value and value[:1].isalpha()
    return "<name>" if named else "<price>"


LocationName = Annotated[
    str, _known(check_location), Field(json_schema_extra={"enum": list(location_names())})
]
"""A region of a public cloud, such as ``azure/East US``."""

PresetName = Annotated[
    str, _known(failure_preset), Field(json_schema_extra={"enum": list(failure_presets())})
]
"""A published fleet whose nodes failed, such as ``meta-rsc-1``."""

PriceName = Annotated[
    str, _known(instance_for), Field(json_schema_extra={"enum": list(price_names())})
]
"""An instance, or a provider's GPU, such as ``aws/p5.48xlarge`` or ``aws/h100_sxm``."""

Cost = Annotated[
    Annotated[Price, Tag("<price>")] | Annotated[PriceName, Tag("<name>")],
    Discriminator(_cost_tag),
]
"""A price of 0 or more in US dollars per hour, or the name of one in the catalogue."""
