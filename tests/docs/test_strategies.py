"""The page of strategies says what their docstrings say, of every strategy."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from docs.make_strategies import LOOKS_AT, PAGE, PARTS, card, rewritten
from fedsim.federation.strategies.registry import STRATEGIES


def test_is_up_to_date() -> None:
    """The page has the cards as the docstrings have them."""
    assert rewritten() == PAGE.read_text(encoding="utf-8"), "run `python docs/make_strategies.py`"


def test_is_complete() -> None:
    """Every strategy is in the table, and no other."""
    assert list(LOOKS_AT) == list(STRATEGIES)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_says_what_counts(strategy: str) -> None:
    """What a strategy looks at names weights and levels exactly where it goes by them."""
    entry, looks_at = STRATEGIES[strategy], LOOKS_AT[strategy][0]

    assert ("weights" in looks_at) is entry.weight
    assert ("levels" in looks_at) is entry.priority


OUR_OWN = {"join_shortest_queue", "cost_capped", "best_score"}
"""Strategies whose source is theory, this project or the contracts."""


@pytest.mark.parametrize("strategy", sorted(STRATEGIES.keys() - OUR_OWN))
def test_says_which_version_it_follows(strategy: str) -> None:
    """A source is a paper with its year, or a system with a version, a commit or a date."""
    source = card(strategy)[1].get("Source")

    assert source is None or re.search(r"commit [0-9a-f]{12}|\b\d+\.\d|\b(19|20)\d\d\b", source)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_cards(strategy: str) -> None:
    """A card begins with a sentence, has its parts in their order, and an example with numbers."""
    summary, parts = card(strategy)

    places = [PARTS.index(part) for part in parts]
    assert summary.endswith(".")
    assert all(before < after for before, after in pairwise(places))
    assert set(PARTS) - set(parts) <= {"Source"}
    assert all(parts.values())
