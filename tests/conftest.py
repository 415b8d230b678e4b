"""What all tests share: the real data's folder, repeatable Hypothesis, charts without a screen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None, max_examples=2_000)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of published traces and catalogues, or skip the test where it is absent."""
    named = os.environ.get("FEDSIM_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no published traces at {folder}; FEDSIM_DATA can name their folder")
    return folder


@pytest.fixture(scope="session", autouse=True)
def laws_hold() -> Iterator[None]:
    """Check every run of a world in this process against conservation and Little's law."""
    from tests import laws

    with laws.enforced():
        yield
