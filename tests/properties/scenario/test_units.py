"""Promises about quantities, over all of them."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedsim.scenario.units import (
    DURATION,
    PRICE,
    RATE,
    SHARE,
    SIZE,
    TOKEN_RATE,
    Quantity,
    UnitError,
)

QUANTITIES = st.sampled_from([DURATION, PRICE, RATE, SHARE, SIZE, TOKEN_RATE])
FINITE = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True)


@given(QUANTITIES, FINITE)
@example(RATE, 2 / 60)
@example(DURATION, 5e-324)
@example(SHARE, 1.7976931348623157e308)
@example(SIZE, 0.1)
def test_what_is_written_reads_the_same(quantity: Quantity, value: float):
    """A value is the same to the last bit after it was written and read."""
    assert quantity.parse(quantity.format(value)) == value


@given(QUANTITIES, st.data())
def test_value_is_rounded_once(quantity: Quantity, data: st.DataObject):
    """A text stands for the float that is nearest to the number times its unit."""
    unit = data.draw(st.sampled_from(sorted(quantity.units)))
    number = data.draw(st.decimals(-(10**9), 10**9, places=6).map(str))
    exact = Fraction(number) * quantity.units[unit]

    assert quantity.parse(f"{number}{unit}") == float(exact)


@given(QUANTITIES, st.one_of(st.text(), st.integers(), FINITE, st.booleans(), st.none()))
@example(DURATION, "1e999s")
@example(DURATION, "1e-999s")
@example(DURATION, "0x10s")
def test_anything_else_is_refused_politely(quantity: Quantity, value: object):
    """Whatever is given, the answer is a finite value or an error with a remedy."""
    remedy = None
    try:
        number = quantity.parse(value)
    except UnitError as error:
        number, remedy = 0.0, error.remedy

    assert math.isfinite(number)
    assert remedy is None or remedy.endswith((".", "?"))


@pytest.mark.parametrize("quantity", [DURATION, RATE, SHARE])
@given(value=FINITE)
def test_written_values_match_the_pattern_of_the_json_schema(quantity: Quantity, value: float):
    """An editor accepts what fedsim writes."""
    assert re.search(quantity.pattern(), quantity.format(value))
