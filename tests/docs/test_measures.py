"""The table of measures on its page is the one that the measures give."""

from __future__ import annotations

from docs.make_measures import PAGE, rewritten


def test_the_page_has_every_measure() -> None:
    """docs/measures.md has each measure with its formula, unit and direction."""
    text = PAGE.read_text(encoding="utf-8")

    assert rewritten(text) == text, "python docs/make_measures.py"
