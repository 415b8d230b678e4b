"""Draw the picture of docs/resilience.md: ``python docs/resilience_pictures.py``.

The retry storm runs with and without a budget; ``docs/make_pictures.py`` draws it, too.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import fedsim
from fedsim.charts.figure import Chart
from fedsim.charts.recovery import recovery

ROOT = Path(__file__).resolve().parent.parent
VARIANTS = {
    "no budget": {},
    "budget of 10 %": {"federation.retries.budget": "10%"},
    "no retries": {"federation.retries": "off"},
}
DPI = 110


def retry_storm() -> Chart:
    """Run the retry storm's variants and return them in one chart."""
    path = ROOT / "scenarios" / "retry-storm.yaml"
    runs = {label: fedsim.simulate(fedsim.load(path, sets)) for label, sets in VARIANTS.items()}
    run = runs["no budget"]
    return recovery(
        {label: run.requests for label, run in runs.items()},
        {label: run.attempts for label, run in runs.items()},
        run.events,
        end_s=run.duration_s,
        title="A slowdown of two minutes: retries without a budget never let the system recover",
        subtitle=f"{run.name}, seed {run.seed}, {len(run.requests):,} requests in each run",
    )


def main() -> None:
    """Draw the picture."""
    chart = retry_storm()
    chart.savefig(
        ROOT / "docs" / "pictures" / "retry-storm.png", dpi=DPI, metadata={"Software": None}
    )
    print("docs/pictures/retry-storm.png")


if __name__ == "__main__":
    main()
