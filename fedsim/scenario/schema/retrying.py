"""Retries in the scenario file: their settings, ``off``, or another project's policy."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from fedsim.adapters import RETRIES
from fedsim.scenario.schema.base import Settings, error, shown, tag_of_word
from fedsim.scenario.schema.resilience import RetrySettings
from fedsim.scenario.schema.types import is_plugin

_PATTERN = f"^({'|'.join(RETRIES)})/.+:.+$"


def _wrong(value: object) -> PydanticCustomError:
    message = f"{shown(value)} is neither a mapping, off, nor a retry policy."
    return error(message, "Write a mapping with settings, off, or tenacity/module:name.")


def _retry_word(value: str) -> str:
    adapter, _, policy = value.partition("/")
    if value == "off" or (adapter in RETRIES and is_plugin(policy)):
        return value
    raise _wrong(value)


def _check_form(value: Any) -> Any:
    if isinstance(value, dict | str | Settings):
        return value
    raise _wrong(value)


RetryWord = Annotated[
    str,
    AfterValidator(_retry_word),
    Field(json_schema_extra={"anyOf": [{"const": "off"}, {"pattern": _PATTERN}]}),
]
"""The word ``off``, or another project's retry policy as ``tenacity/module:name``."""

RetryChoice = Annotated[
    Annotated[RetrySettings, Tag("<value>")] | Annotated[RetryWord, Tag("<word>")],
    Discriminator(tag_of_word),
    BeforeValidator(_check_form),
]
"""Settings of retries, ``off``, or another project's policy."""
