"""What the documentation's index lists: the pages of each of its parts, for the site's contents."""

from __future__ import annotations

import re
from pathlib import Path

INDEX = Path(__file__).resolve().parent / "index.md"

_PART = re.compile(r"^## (.+)$", re.MULTILINE)
_PAGE = re.compile(r"^- \[[^]]+\]\(([\w-]+)\.md\)", re.MULTILINE)


def contents(index: str) -> dict[str, list[str]]:
    """Return the names of the pages that each part of the index lists, without their ``.md``."""
    _, *parts = _PART.split(index)
    return {name: _PAGE.findall(text) for name, text in zip(parts[::2], parts[1::2], strict=True)}
