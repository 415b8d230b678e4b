"""What o'clock it was at a simulated time: on the time axes of charts, and in sentences."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIMULATED = "simulated time (s)"
"""How the label of an axis of simulated time begins."""

_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200)
_DAY_S = 86400
_MOST_TICKS = 9


def clock_time(start: datetime, time_s: float) -> str:
    """Return what o'clock it is *time_s* seconds after *start*: ``14:13:20 UTC``.

    The date is added where it is not that of *start*. Fractions of seconds are cut off.
    """
    try:
        then = start + timedelta(seconds=time_s)
    except OverflowError:  # as for a fault that is never to happen
        return "after the year 9999"
    form = "%H:%M:%S" if then.date() == start.date() else "%Y-%m-%d %H:%M:%S"
    return f"{then.strftime(form)} {zone(start)}"


def on_clock(instant: datetime) -> str:
    """Return a time with its date, to the second: ``2026-11-03 14:05:00 UTC``."""
    return f"{instant:%Y-%m-%d %H:%M:%S} {zone(instant)}"


def zone(start: datetime) -> str:
    """Return the zone of a time, as in ``UTC`` or ``UTC+01:00``."""
    offset = start.utcoffset()
    return f"UTC{start.isoformat()[-6:]}" if offset else "UTC"


def put_on_clock(panels: Iterable[Axes], start: datetime) -> None:
    """Let axes of simulated time show the clock that read *start* at time 0.

    Args:
        panels: Axes; those with another label than one of simulated time stay as they are.
        start: A time with a zone, which the label names.
    """
    for axes in panels:
        label = axes.get_xlabel()
        if not label.startswith(SIMULATED):
            continue
        low_s, high_s = axes.get_xlim()
        times_s = _ticks_s(start, low_s, high_s)
        axes.set_xticks(times_s, [_tick(start, each, times_s) for each in times_s])
        axes.set_xlim(low_s, high_s)
        begin = f"time ({zone(start)}); simulated time 0 is {start:%Y-%m-%d %H:%M:%S}"
        axes.xaxis.label.set_text(label.replace(SIMULATED, begin, 1))


def _ticks_s(start: datetime, low_s: float, high_s: float) -> list[float]:
    """Return the simulated times of round times of day between two, at most nine."""
    span_s = high_s - low_s
    days = -(-span_s // (_DAY_S * (_MOST_TICKS - 1)))
    step_s = next(
        (step for step in _STEPS_S if span_s / step <= _MOST_TICKS - 1), max(1.0, days) * _DAY_S
    )
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    begun_s = (start - midnight).total_seconds()
    first = -(-(begun_s + low_s) // step_s)
    last = (begun_s + high_s) // step_s
    return [number * step_s - begun_s for number in range(int(first), int(last) + 1)]


def _tick(start: datetime, time_s: float, times_s: list[float]) -> str:
    """Return the text at a tick, with the date at the first one of another day."""
    then = start + timedelta(seconds=time_s)
    step_s = times_s[1] - times_s[0] if len(times_s) > 1 else 1.0
    text = then.strftime("%H:%M:%S" if step_s % 60 else "%H:%M")
    at = times_s.index(time_s)
    before = start + timedelta(seconds=times_s[at - 1]) if at else start
    return text if then.date() == before.date() else f"{text}\n{then:%b %d}"
