"""Draw the picture of docs/scaling.md: ``python docs/scaling_pictures.py``.

The scaled day runs once; ``docs/make_pictures.py`` draws it, too.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import fedsim

ROOT = Path(__file__).resolve().parent.parent
DPI = 110


def main() -> None:
    """Draw the picture."""
    chart = fedsim.simulate(fedsim.load(ROOT / "scenarios" / "scaled-day.yaml")).plot.scaling()
    path = ROOT / "docs" / "pictures" / "scaling.png"
    chart.savefig(path, dpi=DPI, metadata={"Software": None})
    print("docs/pictures/scaling.png")


if __name__ == "__main__":
    main()
