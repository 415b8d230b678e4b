"""Here, charts are drawn."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def charts_are_drawn(drawn: None) -> None:
    """Draw them in every test of this folder."""
