"""The Python interface is what docs/api.md lists: no name comes or goes unnoticed."""

from __future__ import annotations

import importlib

import pytest

import fedsim
from docs.make_api import CLASSES, listed, names

NAMES = names()


@pytest.mark.parametrize("heading", NAMES)
def test_names(heading):
    """``python docs/make_api.py`` writes the page; the changelog says what its change breaks."""
    assert listed().get(heading) == NAMES[heading]


def test_no_other_headings():
    """What the page lists is public."""
    assert set(listed()) == set(NAMES)


@pytest.mark.parametrize("heading", NAMES)
def test_importable(heading):
    """Each name of a module can be imported from it."""
    if heading.rpartition(".")[2] not in CLASSES:
        module = importlib.import_module(heading)
        assert [name for name in NAMES[heading] if not hasattr(module, name)] == []


def test_the_package_shows_its_names():
    """``dir(fedsim)`` is the list, and an unknown name is no attribute."""
    assert dir(fedsim) == sorted(fedsim.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = fedsim.nope
