"""The service objective."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator

from fedsim.results.slo import SHARES, TIMES
from fedsim.scenario.schema.base import Settings, error, listed, shown
from fedsim.scenario.schema.types import Name, Percentage, PositiveDuration

_USUAL = ("p50", "p75", "p90", "p95", "p99", "p999")
_DIGITS = "0[1-9]|[1-9][0-9]?|[0-9]{2,}[1-9]"
"""Two digits are a percentage, further ones its decimals, the last of which is not 0."""

_PATTERNS = {time: re.compile(rf"{time}_p({_DIGITS})") for time in TIMES}
_EXAMPLES = [f"{time}_p99" for time in TIMES]
_ALL_DIGITS = re.compile(rf"({'|'.join(TIMES)})_p([0-9]+)")


def _with_percentiles(written: dict[str, Any]) -> None:
    """Put the keys of percentiles into a JSON Schema: the usual ones by name, any by pattern."""
    duration = written.pop("additionalProperties")
    written["additionalProperties"] = False
    patterns = {}
    for time, words in TIMES.items():
        text = f"Bound on a percentile of the {words}, such as p99 or p999 (99.9 %)."
        patterns[f"^{_PATTERNS[time].pattern}$"] = duration | {"description": text}
        for name in _USUAL:
            written["properties"][f"{time}_{name}"] = duration | {"description": text}
    written["patternProperties"] = patterns


class Bounds(Settings):
    """The bounds of an objective, of all streams or of one."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_with_percentiles)
    __pydantic_extra__: dict[str, PositiveDuration | None] = Field(init=False)

    success_rate: Percentage | None = Field(
        default=None, description="Least share of requests that succeed."
    )
    goodput: Percentage | None = Field(
        default=None,
        description=(
            "Least share of requests that succeed within the limits of one request: of each time, "
            "the bound at the highest percentile given."
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _has_known_keys(cls, value: Any) -> Any:
        for key in value if isinstance(value, dict) else ():
            if key not in cls.model_fields and not _is_percentile(str(key)):
                message = f"There is no key {shown(key)} here."
                raise error(message, _remedy(str(key), list(cls.model_fields)), str(key))
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.is_empty:
            raise error(self._lack, "Add latency_p99 or success_rate, or remove it.")
        return self

    @property
    def _lack(self) -> str:
        """What is wrong where nothing is bounded, as a sentence."""
        return "The objective is empty."

    @property
    def is_empty(self) -> bool:
        """Whether nothing is bounded."""
        return not self.bounds()

    def bounds(self) -> Mapping[str, float]:
        """Return the bounds by key: seconds for a time, a number from 0 to 1 for a share."""
        shares = {key: getattr(self, key) for key in SHARES}
        bounds = {**(self.__pydantic_extra__ or {}), **shares}
        return {key: bound for key, bound in bounds.items() if bound is not None}


class SloSettings(Bounds):
    """The service objective, over the requests that arrive after the warm-up."""

    every: PositiveDuration | None = Field(
        default=None,
        description=(
            "Length of consecutive windows after the warm-up: an objective must be held in 99 % of "
            "them too, not only over the whole."
        ),
    )
    streams: dict[Name, Bounds] = Field(
        default_factory=dict,
        description=(
            "Bounds of single streams. They replace the common ones key by key; a common one "
            "covers the streams without that key."
        ),
    )

    @property
    def is_empty(self) -> bool:
        """Whether nothing is bounded, for no stream."""
        return not self.bounds() and not self.streams

    @property
    def _lack(self) -> str:
        if self.every is None:
            return super()._lack
        return "There are windows, by every, and no bound that could be held in them."


def _is_percentile(key: str) -> bool:
    return any(pattern.fullmatch(key) for pattern in _PATTERNS.values())


def _remedy(key: str, fields: list[str]) -> str:
    """Return what to write in place of an unknown key."""
    percentile = _ALL_DIGITS.fullmatch(key)
    if percentile is not None:
        digits = percentile[2]
        shorter = digits.rstrip("0")
        if len(digits) > 2 and shorter:
            lower = f"{percentile[1]}_p{shorter.ljust(2, '0')}"
            return f"Digits after the second are decimals. Write {lower}, or p999 for 99.9 %."
        return f"Write {percentile[1]}_p99 or the like."
    usual = [f"{time}_{name}" for time in TIMES for name in _USUAL]
    close = get_close_matches(key, [*fields, *usual], 1)
    return f"Did you mean {close[0]}?" if close else f"Write {listed([*_EXAMPLES, *fields])}."
