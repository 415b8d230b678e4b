"""Quantities with units."""

from __future__ import annotations

import pytest

from fedsim.scenario.units import (
    DURATION,
    PRICE,
    RATE,
    SHARE,
    SIZE,
    TOKEN_RATE,
    Quantity,
    UnitError,
    measured_in,
)


@pytest.mark.parametrize(
    ("quantity", "text", "value"),
    [
        (DURATION, "250ms", 0.25),
        (DURATION, "8s", 8.0),
        (DURATION, "8 s", 8.0),
        (DURATION, "20min", 1200.0),
        (DURATION, "3h", 10800.0),
        (DURATION, "2d", 172800.0),
        (DURATION, "2.97e-6ms", 2.97e-9),
        (DURATION, "1.5us", 1.5e-6),
        (DURATION, "1.5µs", 1.5e-6),
        (DURATION, "-3s", -3.0),
        (RATE, "2/s", 2.0),
        (RATE, "2 req/s", 2.0),
        (RATE, "120/min", 2.0),
        (RATE, "1e3/h", 1000 / 3600),
        (TOKEN_RATE, "100 tokens/s", 100.0),
        (SIZE, "80GiB", 80 * 2**30),
        (SIZE, "80GB", 80e9),
        (SIZE, "512 B", 512.0),
        (PRICE, "6.88 USD/h", 6.88),
        (PRICE, "24USD/d", 1.0),
        (SHARE, "99.9%", 0.999),
        (SHARE, "5 %", 0.05),
    ],
)
def test_text_with_a_unit_becomes_its_si_value(quantity: Quantity, text: str, value: float):
    """A number and a unit become the correctly rounded value in the base unit."""
    assert quantity.parse(text) == value


@pytest.mark.parametrize(
    ("quantity", "value", "text"),
    [
        (DURATION, 0.0, "0s"),
        (DURATION, 0.25, "250ms"),
        (DURATION, 6.5, "6.5s"),
        (DURATION, 90.0, "90s"),
        (DURATION, 1200.0, "20min"),
        (DURATION, 3600.0, "1h"),
        (DURATION, 5.31e-05, "53.1us"),
        (RATE, 2.0, "2/s"),
        (RATE, 0.5, "30/min"),
        (RATE, 2 / 60, "2/min"),
        (PRICE, 6.88, "6.88 USD/h"),
        (SHARE, 0.999, "99.9%"),
        (SIZE, 80 * 2.0**30, "80GiB"),
    ],
)
def test_value_is_written_as_a_person_would(quantity: Quantity, value: float, text: str):
    """A value is written in the unit in which it is shortest."""
    assert quantity.format(value) == text


@pytest.mark.parametrize(
    ("quantity", "value", "message"),
    [
        (DURATION, 250, "250 has no unit. Write 250ms or 250s."),
        (DURATION, "250", "250 has no unit. Write 250ms or 250s."),
        (RATE, 10, "10 has no unit. Write 10/s or 10/min."),
        (SHARE, 0.999, "0.999 has no unit. Write 99.9%."),
        (SHARE, 5, "5 has no unit. Write 5%."),
        (PRICE, 6.88, "6.88 has no unit. Write 6.88 USD/h."),
        (SIZE, 80, "80 has no unit. Write 80GiB or 80MiB."),
    ],
)
def test_bare_number_is_refused_with_what_to_write(quantity: Quantity, value: object, message: str):
    """A bare number is refused, and the remedy repeats it with units."""
    with pytest.raises(UnitError) as caught:
        quantity.parse(value)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("quantity", "value", "message"),
    [
        (DURATION, "5m", "'5m' is not a duration: there is no unit 'm'. Did you mean 5min?"),
        (DURATION, "5 mins", "'5 mins' is not a duration: there is no unit 'mins'. Did you mean"),
        (RATE, "2 rps", "'2 rps' is not a rate: there is no unit 'rps'. Did you mean 2/s?"),
        (PRICE, "3 EUR/h", "'3 EUR/h' is not a price: there is no unit 'EUR/h'. Write 6.88 USD/h."),
        (SIZE, "3 gb", "'3 gb' is not a size: there is no unit 'gb'. Did you mean 3GB?"),
        (DURATION, "soon", "'soon' is not a duration. Write 250ms, 8s or 20min."),
        (DURATION, True, "true is not a duration. Write 250ms, 8s or 20min."),
        (DURATION, None, "null is not a duration. Write 250ms, 8s or 20min."),
        (DURATION, [3], "[3] is not a duration. Write 250ms, 8s or 20min."),
        (DURATION, float("nan"), "nan is not a duration. Write 250ms, 8s or 20min."),
        (DURATION, "1e999s", "'1e999s' is too large. Write a smaller number."),
        (DURATION, "1" * 90, "a long text is not a duration. Write 250ms, 8s or 20min."),
    ],
)
def test_wrong_unit_is_refused_with_the_right_one(quantity: Quantity, value: object, message: str):
    """What is not a quantity is refused, with the unit that was probably meant."""
    with pytest.raises(UnitError) as caught:
        quantity.parse(value)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("120 req/min", (2.0, "req/s")),
        ("250ms", (0.25, "s")),
        ("95%", (0.95, "%")),
        ("5 tokens/s", (5.0, "tokens/s")),
        ("2 USD/d", (2.0 / 24.0, "USD/h")),
        ("1KiB", (1024.0, "B")),
        (7, (7.0, "")),
        ("7", (7.0, "")),
        ("7 apples", None),
        ("round_robin", None),
        (True, None),
        (None, None),
    ],
)
def test_any_quantity_is_measured_in_its_base_unit(value: object, expected: object):
    """Whatever kind it is of; what is no quantity has no measure."""
    assert measured_in(value) == expected
