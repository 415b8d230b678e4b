"""Parts of a gateway that a class of one's own may stand in for."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from fedsim.scenario.schema.base import Settings, error, shown, tag_of_word
from fedsim.scenario.schema.types import PLUGIN_JSON, stands_for_class

S = TypeVar("S", bound=Settings)


def _off_or_plugin(value: str) -> str:
    if value == "off" or stands_for_class(value):
        return value
    message = f"{shown(value)} is neither a mapping, off, nor a class."
    raise error(message, "Write a mapping with settings, off, or module:Class.")


def check_form(value: Any) -> Any:
    """Return *value* if it is a mapping or a text, for use before the choice between them."""
    if isinstance(value, dict | str | Settings):
        return value
    message = f"{shown(value)} is neither a mapping, off, nor a class."
    raise error(message, "Write a mapping with settings, off, or module:Class.")


OffOrPlugIn = Annotated[
    str,
    AfterValidator(_off_or_plugin),
    Field(json_schema_extra={"anyOf": [{"const": "off"}, PLUGIN_JSON]}),
]
"""The word ``off``, or a class as ``module:Class``."""

OffPlugInOr = Annotated[
    Annotated[S, Tag("<value>")] | Annotated[OffOrPlugIn, Tag("<word>")],
    Discriminator(tag_of_word),
    BeforeValidator(check_form),
]
"""Settings, ``off``, or a class as ``module:Class``."""
