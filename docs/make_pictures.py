"""Draw the documentation's pictures: ``python docs/make_pictures.py``.

They come from the demo's scenario, the pitfalls, the retry storm, stale reports, the scaled day and
the gallery of charts.
The same scenarios and seeds give the same pictures. They are committed in ``docs/pictures``.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import fedsim
from docs import (
    chart_pictures,
    pitfall_pictures,
    resilience_pictures,
    scaling_pictures,
    strategy_pictures,
)

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
DPI = 110


def main() -> None:
    """Run one replication of each strategy, and draw it."""
    scenario = fedsim.load(ROOT / "scenarios" / "three-regions.yaml")
    comparison = fedsim.compare(scenario, replications=1)
    pictures = {
        "strategies": comparison.plot.latency(),
        "timeline": comparison.run("round_robin").plot.timeline(),
        "states": comparison.run("least_latency").plot.states(),
    }
    PICTURES.mkdir(exist_ok=True)
    for name, chart in pictures.items():
        chart.savefig(PICTURES / f"{name}.png", dpi=DPI, metadata={"Software": None})
        print(f"docs/pictures/{name}.png")
    pitfall_pictures.main()
    strategy_pictures.main()
    resilience_pictures.main()
    scaling_pictures.main()
    chart_pictures.main()


if __name__ == "__main__":
    main()
