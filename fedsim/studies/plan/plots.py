"""The chart of a plan, behind ``plan.plot``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedsim.studies.plan.words import amount_in_words, fleet_in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fedsim.studies.plan.result import Plan

_LABELS = {"cost": "cost of the fleet (USD/h)", "nodes": "nodes", "slots": "slots"}
_VERDICTS = {
    "held": "held",
    "not decided": "not decided",
    "violated": "violated",
    "same world": "violated",
}


class PlanPlots:
    """Draws the charts of a plan as matplotlib figures, new ones unless *ax* is given."""

    def __init__(self, plan: Plan) -> None:
        self._of = plan

    def costs(self, *, ax: Axes | None = None) -> Figure:
        """Draw what each fleet that was looked at costs against the measure that decides on it."""
        import pandas as pd

        from fedsim.charts.plan import costs

        plan = self._of
        findings = plan.findings
        box, best = findings.fleets.box, findings.outcome.best
        rows = []
        for place, found in sorted(findings.outcome.found.items()):
            judgment = found.judgment
            if found.verdict in _VERDICTS and judgment is not None:
                name = fleet_in_words(plan, box.point(place)) if place == best else ""
                ends = {"low": 1.0 + judgment.low, "high": 1.0 + judgment.high}
                share = 1.0 + judgment.excess
                row = {"cost": findings.amount(place), "share": share, **ends}
                rows.append(row | {"verdict": _VERDICTS[found.verdict], "name": name})
        columns = ["cost", "share", "low", "high", "verdict", "name"]
        if best is None:
            title = "No fleet that was looked at holds the objective"
        else:
            title = f"The cheapest fleet that holds the objective: {amount_in_words(plan, best)}"
        bound = None if findings.bound is None or box.scaled else box.place(findings.bound)
        return costs(
            pd.DataFrame(rows, columns=columns),
            label=_LABELS[plan.spec.minimize],
            title=title,
            subtitle=f"{plan.scenario.name} · seed {plan.scenario.seed} · {plan.target}",
            bound=None if bound is None else float(box.objective[bound]),
            ax=ax,
        )

    def nodes(self, *, ax: Axes | None = None) -> Figure:
        """Draw how many nodes each fleet that was run has against the bound that decides on it."""
        import pandas as pd

        from fedsim.charts.plan import nodes

        plan = self._of
        box = plan.findings.fleets.box
        rows = [
            {
                "nodes": int(box.counts[place].sum()),
                "share": 1.0 + found.judgment.excess,
                "bound": found.judgment.name,
                "held": found.verdict == "held",
            }
            for place, found in sorted(plan.findings.outcome.found.items())
            if found.verdict in _VERDICTS and found.judgment is not None
        ]
        return nodes(
            pd.DataFrame(rows, columns=["nodes", "share", "bound", "held"]),
            subtitle=f"{plan.scenario.name} · seed {plan.scenario.seed} · {plan.target}",
            ax=ax,
        )
