"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest

from fedsim.cli.figures import duration, percent, plain, with_interval


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.91234, "0.912"),
        (9.996, "10.00"),
        (12.345, "12.3"),
        (1234.5, "1,234"),
        (-0.0123, "-0.0123"),
        (0.00001234, "1.2e-05"),
        (math.nan, "–"),
        (math.inf, "inf"),
    ],
)
def test_plain_numbers_have_three_digits(value, text):
    """Three significant digits, no exponent unless it is tiny, a dash where nothing is known."""
    assert plain(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100"),
        (0.0, "0"),
        (0.99996, "99.9960"),
        (0.99999999, "99.9999"),
        (0.00001, "0.0010"),
        (1e-9, "0.0001"),
        (0.5, "50.00"),
        (math.nan, "–"),
    ],
)
def test_percent_is_never_rounded_to_all_or_nothing(share, text):
    """Only a share of exactly 1 is 100 %, and only 0 is 0 %."""
    assert percent(share) == text


@pytest.mark.parametrize(
    ("mean", "half_width", "text"),
    [
        (99.1234, 0.1049, "99.12 ± 0.10"),
        (4.2137, 1.61, "4.2 ± 1.6"),
        (12345.6, 321.0, "12,346 ± 321"),
        (0.5, 0.0, "0.5000 ± 0"),
        (1.23456, math.nan, "1.235"),
        (math.nan, math.nan, "–"),
    ],
)
def test_means_are_written_as_exactly_as_they_are_known(mean, half_width, text):
    """The interval has two digits, and the mean as many decimals as its interval."""
    assert with_interval(mean, half_width) == text


def test_differences_have_a_sign():
    """A difference says its direction even where it is positive, and zero has none."""
    assert with_interval(1.5, 0.25, signed=True) == "+1.50 ± 0.25"
    assert with_interval(-1.5, 0.25, signed=True) == "-1.50 ± 0.25"
    assert with_interval(0.0, 0.0, signed=True) == "0 ± 0"
    assert with_interval(-0.001, 0.25, signed=True) == "+0.00 ± 0.25"
    assert with_interval(1.5, math.nan, signed=True) == "+1.500"


def test_durations_have_a_unit():
    """Durations are written as in a scenario."""
    assert (duration(1200.0), duration(0.25)) == ("20min", "250ms")
