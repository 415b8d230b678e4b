"""A part of the scenario file that may be switched off."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Discriminator, Tag

from fedsim.scenario.schema.base import Settings, off_or_mapping, tag_of_word

S = TypeVar("S", bound=Settings)

OffOr = Annotated[
    Annotated[S, Tag("<value>")] | Annotated[Literal["off"], Tag("<word>")],
    Discriminator(tag_of_word),
    BeforeValidator(off_or_mapping),
]
"""Settings, or ``off``."""
