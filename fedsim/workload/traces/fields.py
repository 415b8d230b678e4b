"""The kinds of fields that a trace has: how a column of them is read, and what one must look like.

A column is converted as a whole, by vectorised code. Where that fails, ``wrong`` says of a single
field what is wrong with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fedsim.workload.traces.errors import UnfitError, shown
from fedsim.workload.traces.units import time_unit_s

Wrong = tuple[str, str]
"""What is wrong, and how to mend it, as sentences."""

TOKENS_MAX = 999_999_999
"""Most tokens of a prompt or an answer."""


class Field(Protocol):
    """A kind of field."""

    def wrong(self, name: str, value: Any) -> Wrong | None:
        """Return what is wrong with the field *name*, or None."""
        ...

    def convert(self, column: Any) -> Any:
        """Return a column's values.

        Raises:
            ValueError: A field is wrong.
        """
        ...


@dataclass(frozen=True, slots=True)
class Tokens:
    """A whole number of tokens: digits in a text, an integer elsewhere."""

    def wrong(self, name: str, value: Any) -> Wrong | None:
        """Return what is wrong with the field; see ``Field``."""
        if isinstance(value, str):
            fits = re.fullmatch(r"[0-9]{1,9}", value) is not None
        else:
            fits = type(value) is int and 0 <= value <= TOKENS_MAX
        if fits:
            return None
        message = f"{name} is {shown(value)}, not a whole number of tokens."
        return message, f"Write a whole number from 0 to {TOKENS_MAX}, without blanks."

    def convert(self, column: Any) -> NDArray[np.int64]:
        """Return a column's values; see ``Field``."""
        if pa.types.is_string(column.type):
            _require(pc.match_substring_regex(column, "^[0-9]{1,9}$"))
        elif not pa.types.is_integer(column.type):
            raise UnfitError
        values: NDArray[np.int64] = _numpy(column.cast(pa.int64()))
        if len(values) and not 0 <= int(values.min()) <= int(values.max()) <= TOKENS_MAX:
            raise UnfitError
        return values


@dataclass(frozen=True, slots=True)
class Seconds:
    """A time as a number, of seconds where ``per_second`` is 1, from any origin.

    Attributes:
        per_second: How many of the numbers are a second: 1, or a thousand, a million or a billion.
    """

    per_second: float = 1.0

    def wrong(self, name: str, value: Any) -> Wrong | None:
        """Return what is wrong with the field; see ``Field``."""
        if isinstance(value, str):
            fits = re.fullmatch(_NUMBER, value, re.ASCII) and abs(float(value)) < _LATEST
        else:
            fits = type(value) in {int, float} and abs(value) < _LATEST
        if fits:
            return None
        return f"{name} is {shown(value)}, not a time.", f"Write a number of {self._unit}."

    @property
    def _unit(self) -> str:
        names = {1.0: "seconds", 1e3: "milliseconds", 1e6: "microseconds", 1e9: "nanoseconds"}
        return names[self.per_second]

    def at(self, value: Any) -> float:
        """Return a single time in seconds."""
        return float(value) / self.per_second

    def convert(self, column: Any) -> NDArray[np.float64]:
        """Return a column's values; see ``Field``."""
        if pa.types.is_string(column.type):
            _require(pc.match_substring_regex(column, f"^(?:{_NUMBER})$"))
        values: NDArray[np.float64] = _numpy(column.cast(pa.float64(), safe=False))
        if not np.all(np.abs(values) < _LATEST):
            raise UnfitError
        return values / self.per_second


@dataclass(frozen=True, slots=True)
class Stamp:
    """A time as date and time of day in UTC, with up to nine decimals."""

    def wrong(self, name: str, value: Any) -> Wrong | None:
        """Return what is wrong with the field; see ``Field``."""
        if not isinstance(value, str) or not re.fullmatch(_TIMESTAMP, value, re.ASCII):
            message = f"The timestamp {shown(value)} is not in the format of the trace."
            return message, "Write it as 2023-11-16 18:17:03.9799600, in UTC."
        try:
            self.at(value)
        except ValueError:
            bare = re.sub(_UTC, "", value)
            return f"The timestamp {bare} does not exist.", "Correct it, or remove the row."
        return None

    def at(self, value: str) -> int:
        """Return a single time in nanoseconds."""
        return int(np.datetime64(re.sub(_UTC, "", value), "ns").astype(np.int64))

    def convert(self, column: Any) -> NDArray[np.int64]:
        """Return a column's values; see ``Field``."""
        if pa.types.is_timestamp(column.type):
            times: NDArray[np.int64] = _numpy(column.cast(pa.timestamp("ns")).cast(pa.int64()))
            return times
        _require(pc.match_substring_regex(column, f"^(?:{_TIMESTAMP})$"))
        bare = pc.replace_substring_regex(column, _UTC, "")
        stamps: NDArray[np.int64] = _numpy(bare.cast(pa.timestamp("ns")).cast(pa.int64()))
        return stamps


@dataclass(frozen=True, slots=True)
class Text:
    """Any text; a number is read as its digits.

    Attributes:
        required: Whether there must be one.
    """

    required: bool = True

    def wrong(self, name: str, value: Any) -> Wrong | None:
        """Return what is wrong with the field; see ``Field``."""
        if not self.required or (isinstance(value, str | int | float) and value != ""):
            return None
        return f"{name} is {shown(value) if value is not None else 'missing'}.", "Write a name."

    def convert(self, column: Any) -> Any:
        """Return a column's values; see ``Field``."""
        texts = column.cast(pa.string())
        if self.required and (texts.null_count or pc.any(pc.equal(texts, "")).as_py()):
            raise UnfitError
        return texts


@dataclass(frozen=True, slots=True)
class Hashes:
    """A list of whole numbers, one for each block of the prompt."""

    def wrong(self, name: str, value: Any) -> Wrong | None:
        """Return what is wrong with the field; see ``Field``."""
        if isinstance(value, list) and all(type(e) is int and 0 <= e < 2**63 for e in value):
            return None
        return f"{name} is not a list of block numbers.", "Write whole numbers from 0 on."

    def convert(self, column: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return all hashes, and how many each prompt has."""
        flat = column.flatten()
        if column.null_count or flat.null_count:
            raise UnfitError
        hashes = _numpy(flat.cast(pa.int64()))
        if len(hashes) and int(hashes.min()) < 0:
            raise UnfitError
        return hashes, _numpy(pc.list_value_length(column)).astype(np.int64)


_UTC = r"(?:Z|[+-]00:?00)$"
_TIMESTAMP = (
    r"(?:19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:Z|\+00:00)?"
)
_LATEST = 1e19
_NUMBER = r"-?[0-9]{1,19}(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,2})?"


def time_field(name: str, value: Any) -> Seconds | Stamp:
    """Return how the column *name* of times is read whose first value is *value*."""
    if isinstance(value, str) and not re.fullmatch(_NUMBER, value, re.ASCII):
        return Stamp()
    number = float(value) if isinstance(value, int | float | str) else 0.0
    return Seconds(per_second=float(round(1.0 / time_unit_s(name, number))))


def _require(fits: Any) -> None:
    if not pc.all(fits, min_count=0).as_py() or fits.null_count:
        raise UnfitError


def _numpy(column: Any) -> Any:
    if column.null_count:
        raise UnfitError
    return column.to_numpy(zero_copy_only=False)
