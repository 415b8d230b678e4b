"""The charts of a sweep, behind ``sweep.plot``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fedsim.errors import ResultsError
from fedsim.results.measures import MEASURES, Measure
from fedsim.studies.comparison import HIGH, LOW
from fedsim.studies.ranking import CHIEF, measure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from fedsim.studies.swept import Key, Sweep

_DRAWN = (CHIEF, "latency_p99_s", "ttft_p99_s")
"""The measures that ``all`` draws, where they have values."""


class SweepPlots:
    """Draws the charts of a sweep as matplotlib figures, new ones unless *ax* is given."""

    def __init__(self, sweep: Sweep) -> None:
        self._of = sweep

    def curves(
        self, measure: str = CHIEF, key: str | None = None, *, ax: Axes | None = None
    ) -> Figure:
        """Draw a measure against one key, a line with its band per combination of the others.

        Args:
            measure: A measure of a summary.
            key: Path or heading of a key; None for the first one of numbers, or else the first.
            ax: Axes to draw into.
        """
        from fedsim.charts.sweep import curves

        along, facts = self._first() if key is None else self._of.key(key), measure_of(measure)
        limit = self._of.limit(measure)
        telling = self._of.telling(along)
        return curves(
            self._table(facts, along, telling),
            label=facts.label,
            key=along.label,
            lines=" · ".join(key.heading for key in telling),
            unit=facts.unit,
            limit=None if limit is None else limit * facts.scale,
            subtitle=self._subtitle(measure),
            ax=ax,
        )

    def heat_map(
        self,
        measure: str = CHIEF,
        x: str | None = None,
        y: str | None = None,
        *,
        ax: Axes | None = None,
    ) -> Figure:
        """Draw the mean of a measure over two keys.

        Args:
            measure: A measure of a summary.
            x: Path or heading of the horizontal key; None for the first one of numbers, or else
                the first.
            y: That of the vertical one; None for the first other.
            ax: Axes to draw into.

        Raises:
            ResultsError: There is one key, or other keys than these two tell points apart.
        """
        import pandas as pd

        from fedsim.charts.sweep import heat_map

        across, facts = self._first() if x is None else self._of.key(x), measure_of(measure)
        others = [key for key in self._of.keys.values() if key != across]
        if not others:
            msg = "a heat map takes two keys, and one was swept; draw curves()"
            raise ResultsError(msg)
        up = others[0] if y is None else self._of.key(y)
        table = self._table(facts, across, [up])
        if table.duplicated(["at", "line"]).any():
            msg = f"{across.heading} and {up.heading} alone do not tell all points apart"
            raise ResultsError(msg)
        return heat_map(
            table.assign(line=pd.Series(self._shown(up))),
            label=facts.label,
            keys=[across.label, up.label],
            unit=facts.unit,
            subtitle=self._subtitle(measure),
            ax=ax,
        )

    def all(self) -> Iterator[tuple[str, str, Callable[[], Figure]]]:
        """Yield file name and title of each chart that a directory has, and what draws it."""
        keys = list(self._of.keys.values())
        first = self._first()
        for name in _DRAWN:
            if np.isnan(self._of.values(name)).all():
                continue
            words = MEASURES[name].words
            yield f"{name}.png", f"{words} against {first.heading}", partial(self.curves, name)
            if len(keys) == 2 and all(len(set(key.values)) < len(key.values) for key in keys):
                title = f"{words} by {keys[0].heading} and {keys[1].heading}"
                yield f"{name}-map.png", title, partial(self.heat_map, name)

    def _first(self) -> Key:
        keys = list(self._of.keys.values())
        return next((key for key in keys if key.numeric), keys[0])

    def _shown(self, key: Key) -> list[Any]:
        return [each * key.scale for each in key.values] if key.numeric else list(key.values)

    def _table(self, measure: Measure, along: Key, others: list[Key]) -> DataFrame:
        """Return a row per point: ``line``, ``at``, ``mean``, ``low`` and ``high``, for people."""
        import pandas as pd

        found, name = self._of.estimates(), measure.name
        table = pd.DataFrame({"at": self._shown(along), "line": _names(others, self._of.points)})
        ends = {"mean": found[name], "low": found[name + LOW], "high": found[name + HIGH]}
        table = table.assign(**{end: each * measure.scale for end, each in ends.items()})
        numbers = [key.values for key in others if key.numeric]
        return table.loc[sorted(table.index, key=lambda n: [values[n] for values in numbers])]

    def _subtitle(self, measure: str) -> str:
        scenario = self._of.scenario
        text = f"{scenario.name} · seed {scenario.seed} · {self._of.target}"
        count = int((self._of.withheld["measure"] == measure).sum())
        return text + (f" · {count} of {len(self._of.points)} points withheld" if count else "")


def _names(keys: list[Key], points: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what tells each point apart by *keys*: their values as the scenario has them."""
    return [" · ".join(str(point[key.path]) for key in keys) for point in points]
