"""The gallery shows every chart that it lists, as its generator has it."""

from __future__ import annotations

from docs.chart_pictures import ENTRIES, PAGE, PICTURES, picture, rewritten


def test_the_page_is_the_generators() -> None:
    """The entries are those of ``docs/chart_pictures.py``."""
    page = PAGE.read_text(encoding="utf-8")

    assert rewritten(page) == page


def test_pictures_are_small() -> None:
    """Each chart has its picture, of at most 60 kB."""
    calls = [each.call for entries in ENTRIES.values() for each in entries]

    assert len({picture(call) for call in calls}) == len(calls)
    assert all(0 < (PICTURES / picture(call)).stat().st_size < 60_000 for call in calls)
