"""Quantities with units: a small grammar that turns ``250ms`` into 0.25 and back.

A quantity is a number directly followed by, or one space before, its unit. Arithmetic is exact
until the last step, so that what is formatted and parsed again is the same float to the last bit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from functools import lru_cache

from fedsim.errors import RemediedError

_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?"
_QUANTITY = re.compile(rf"(?P<number>{_NUMBER})\s?(?P<unit>\D.*)?\Z", re.ASCII)
_PARTS = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s?([a-zµ]+)\s?", re.IGNORECASE)
_LONGEST = 60
_LARGEST_WHOLE = 10**9
_LARGEST = 10**15
_POWERS_OF_TEN = (Fraction(1), Fraction(1, 100))

_SECONDS: Mapping[str, Fraction] = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "min": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86400),
}
_PER = ("s", "min", "h", "d")


class UnitError(RemediedError):
    """A text is not a quantity of the kind that was asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Quantity:
    """A kind of quantity: its units, and how a value is written.

    Attributes:
        noun: What a person calls it, with its article, such as ``a duration``.
        units: What one of each unit is in the base unit.
        whole: The units that ``format`` tries for a whole number, in this order.
        decimal: The units that it tries next, for a number of at least 1.
        bare: The units that it proposes to someone who wrote a bare number.
        examples: Ways to write one, for remedies.
        slips: What people write, in lower case, and the unit that they mean.
    """

    noun: str
    units: Mapping[str, Fraction]
    whole: tuple[str, ...]
    decimal: tuple[str, ...]
    bare: tuple[str, ...]
    examples: str
    slips: Mapping[str, str]

    def parse(self, value: object) -> float:
        """Return the value of a text such as ``250ms`` in the base unit.

        Raises:
            UnitError: If *value* is not such a text, or is a bare number.
        """
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise self._not_one(value)
        text = value.strip() if isinstance(value, str) else repr(value)
        match = _QUANTITY.match(text) if len(text) <= _LONGEST else None
        if match is None:
            raise self._not_one(value)
        number, unit = match["number"], (match["unit"] or "").strip()
        if not unit:
            raise self._bare(number)
        if unit not in self.units:
            raise self._unknown_unit(text, number, unit)
        return _to_float(Fraction(number) * self.units[unit], text)

    @lru_cache(maxsize=4096)  # noqa: B019 - the instances are constants of this module
    def format(self, value: float) -> str:
        """Return the text of a finite *value* in the base unit; ``parse`` gives it back exactly."""
        for count, unit in self._ways_to_write(value):
            if float(Fraction(count) * self._scale(unit)) == value:
                return f"{count}{unit}"
        return self._format_scientific(value)

    def pattern(self) -> str:
        """Return a regular expression, for the JSON Schema, that all texts of the kind match."""
        units = "|".join(re.escape(unit) for unit in self.units)
        return f"^{_NUMBER} ?({units})$".replace(r"\d", "[0-9]")

    def _scale(self, unit: str) -> Fraction:
        return self.units[unit.strip()]

    def _ways_to_write(self, value: float) -> Iterator[tuple[str, str]]:
        """Yield a number and a unit for *value*, nicest first; not all are exact."""
        exact = Fraction(repr(value))
        for unit in self.whole:
            count = round(exact / self._scale(unit))
            if 0 < abs(count) < _LARGEST_WHOLE:
                yield str(count), unit
        for precision in (12, 16, 17):
            for unit in self.decimal:
                size = abs(exact / self._scale(unit))
                if size == 0 or 1 <= size < _LARGEST or (size < 1 and unit == self.decimal[-1]):
                    yield f"{float(exact / self._scale(unit)):.{precision}g}", unit

    def _format_scientific(self, value: float) -> str:
        unit = next(unit for unit in self.decimal if self._scale(unit) in _POWERS_OF_TEN)
        return f"{Decimal(repr(value)) * int(1 / self._scale(unit)):e}{unit}"

    def _sum(self, text: str) -> str | None:
        """Return the text of a sum such as ``1h30m`` as one quantity, or None where it is none."""
        total = Fraction(0)
        for number, unit in _PARTS.findall(text):
            meant = self.slips.get(unit.lower(), unit)
            if meant not in self.units:
                return None
            total += Fraction(number) * self.units[meant]
        several = len(_PARTS.findall(text)) > 1 and not _PARTS.sub("", text).strip()
        return self.format(float(total)) if several else None

    def _not_one(self, value: object) -> UnitError:
        words = {None: "null", True: "true", False: "false"}  # as YAML has them
        shown = words[value] if value is None or isinstance(value, bool) else repr(value)
        message = f"{shown if len(shown) <= _LONGEST else 'a long text'} is not {self.noun}."
        return UnitError(message, f"Write {self.examples}.")

    def _bare(self, number: str) -> UnitError:
        options = [f"{number}{unit}" for unit in self.bare]
        if "%" in self.units and abs(Fraction(number)) <= 1:
            options = [self.format(float(number))]
        return UnitError(f"{number} has no unit.", f"Write {' or '.join(options)}.")

    def _unknown_unit(self, text: str, number: str, unit: str) -> UnitError:
        total = self._sum(text)
        if total is not None:
            message = f"{text!r} is not {self.noun}: it has several numbers."
            return UnitError(message, f"Write {total}.")
        message = f"{text!r} is not {self.noun}: there is no unit {unit!r}."
        close = get_close_matches(unit, list(self.units), 1, cutoff=0.75)
        meant = self.slips.get(unit.lower(), close[0] if close else None)
        if meant is None:
            return UnitError(message, f"Write {self.examples}.")
        return UnitError(message, f"Did you mean {number}{meant}?")


def number_and_unit(value: object) -> tuple[float, str] | None:
    """Return the number and the unit, which may be empty, of a text such as ``20 req/s``.

    A number has no unit. None for all else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    match = _QUANTITY.match(str(value).strip())
    return None if match is None else (float(match["number"]), (match["unit"] or "").strip())


def measured_in(value: object) -> tuple[float, str] | None:
    """Return what a quantity of any kind is in its base unit, and that unit; None for all else.

    A number has no unit. A percentage is a share, whose unit is ``%`` all the same.
    """
    parsed = number_and_unit(value)
    if parsed is None or not parsed[1]:
        return parsed
    for quantity, unit in _BASE_UNITS:
        if parsed[1] in quantity.units:
            return quantity.parse(value), unit
    return None


def _to_float(exact: Fraction, text: str) -> float:
    try:
        value = float(exact)
    except OverflowError:
        value = math.inf
    if math.isinf(value):
        message = f"{text!r} is too large."
        raise UnitError(message, "Write a smaller number.")
    return value


def _rates(noun: str) -> dict[str, Fraction]:
    return {f"{unit}/{per}": 1 / _SECONDS[per] for per in _PER for unit in ("", noun)}


DURATION = Quantity(
    noun="a duration",
    units={**_SECONDS, "µs": _SECONDS["us"]},
    whole=("d", "h", "min", "s"),
    decimal=("s", "ms", "us", "ns"),
    bare=("ms", "s"),
    examples="250ms, 8s or 20min",
    slips={
        **dict.fromkeys(("m", "mins", "minute", "minutes"), "min"),
        **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
        **dict.fromkeys(("msec", "msecs", "millis", "millisecond", "milliseconds"), "ms"),
        **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
        **dict.fromkeys(("day", "days"), "d"),
    },
)
"""Durations; the base unit is the second."""

RATE = Quantity(
    noun="a rate",
    units=_rates("req"),
    whole=("/s", "/min", "/h", "/d"),
    decimal=("/s", "/min", "/h", "/d"),
    bare=("/s", "/min"),
    examples="2 req/s, 2/s or 120/min",
    slips={
        **dict.fromkeys(("rps", "qps", "hz", "/sec", "/second", "req/sec", "requests/s"), "/s"),
        **dict.fromkeys(("rpm", "/m", "/minute", "req/m"), "/min"),
        **dict.fromkeys(("/hour", "/hr"), "/h"),
    },
)
"""Rates of requests; the base unit is one per second."""

TOKEN_RATE = Quantity(
    noun="a rate of tokens",
    units=_rates("tokens"),
    whole=("/s", "/min", "/h", "/d"),
    decimal=("/s", "/min", "/h", "/d"),
    bare=(" tokens/s", "/min"),
    examples="100 tokens/s or 100/s",
    slips=dict.fromkeys(("tps", "tok/s", "token/s", "tokens/sec", "/sec"), " tokens/s"),
)
"""Rates of tokens; the base unit is one per second."""

SIZE = Quantity(
    noun="a size",
    units={
        "B": Fraction(1),
        **{f"{prefix}B": Fraction(1000**power) for power, prefix in enumerate("kMGT", start=1)},
        **{f"{prefix}iB": Fraction(1024**power) for power, prefix in enumerate("KMGT", start=1)},
    },
    whole=("TiB", "GiB", "MiB", "KiB", "B"),
    decimal=("GiB", "MiB", "KiB", "B"),
    bare=("GiB", "MiB"),
    examples="80GiB or 512MiB",
    slips={"gb": "GB", "gib": "GiB", "mb": "MB", "mib": "MiB", "kb": "kB", "kib": "KiB", "g": "GB"},
)
"""Sizes of memory; the base unit is the byte."""

PRICE = Quantity(
    noun="a price",
    units={f"USD/{per}": _SECONDS["h"] / _SECONDS[per] for per in ("h", "d", "min", "s")},
    whole=(" USD/h",),
    decimal=(" USD/h",),
    bare=(" USD/h",),
    examples="6.88 USD/h",
    slips=dict.fromkeys(("usd", "$", "$/h", "/h", "usd/hour"), " USD/h"),
)
"""Prices of a node; the base unit is the US dollar per hour."""

SHARE = Quantity(
    noun="a percentage",
    units={"%": Fraction(1, 100)},
    whole=("%",),
    decimal=("%",),
    bare=("%",),
    examples="99.9%",
    slips=dict.fromkeys(("percent", "pct", "per cent"), "%"),
)
"""Shares, written as percentages; the base is the share, 0.999 for 99.9%."""

GROWTH = Quantity(
    noun="a growth",
    units={"%/month": Fraction(1, 100)},
    whole=("%/month",),
    decimal=("%/month",),
    bare=("%/month",),
    examples="5%/month",
    slips=dict.fromkeys(("%", "% a month", "%/mo", "%/m"), "%/month"),
)
"""Growth of traffic, compounded; the base is the share by which it grows in a month."""

_BASE_UNITS = (
    (DURATION, "s"),
    (RATE, "req/s"),
    (TOKEN_RATE, "tokens/s"),
    (SIZE, "B"),
    (PRICE, "USD/h"),
    (SHARE, "%"),
)
