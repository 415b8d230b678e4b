"""The engine against a naive one that goes through every step."""

from __future__ import annotations

import pytest

from tests.engine_cases import Both, random_case


@pytest.mark.parametrize("first", range(0, 600, 100))
def test_random_cases(first: int) -> None:
    """Times, order, preemptions, hits and use of the cache are those of the naive engine."""
    for seed in range(first, first + 100):
        Both(random_case(seed)).run()
