"""Which files are scenarios that expect something; imports nothing, for a fast start of pytest."""

from __future__ import annotations

from pathlib import Path

ENDS = (".yaml", ".yml")
"""How the names of scenario files end."""


def expects(path: Path) -> bool:
    """Return whether a file has the key ``expect``, without reading it as a scenario."""
    if path.suffix not in ENDS:
        return False
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    return any(line.startswith("expect:") for line in lines)
