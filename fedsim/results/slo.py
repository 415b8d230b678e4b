"""The service objective of a scenario: what it asks for, and of whom."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from fedsim.errors import ResultsError

TIMES = {
    "ttft": "time to first token",
    "tpot": "time per output token",
    "latency": "latency",
    "queue_wait": "queue wait",
}
"""The times that an objective can bound at any percentile, and what each is in words."""

TOKEN_TIMES = ("ttft", "tpot")
"""Those of them that only requests with tokens have."""

SHARES = {"success_rate": "success_rate", "goodput": "goodput_share"}
"""The shares that an objective can ask for, and the measure of each."""

LIMITED = ("ttft", "tpot", "latency")
"""The times that limit one request, for goodput."""

WINDOWS_HELD = 99
"""Percentage of the windows of ``every`` in which an objective must be held."""

_PERCENTILE = re.compile(r"p(\d{1,2}|\d{3,})")
_KEY = re.compile(rf"({'|'.join(TIMES)})_(p\d+)")


@cache
def percentile_share(name: str) -> float:
    """Return the share of a percentile by its name.

    Two digits are a percentage and further digits are its decimals: ``p50`` is 0.5, ``p99`` 0.99
    and ``p999`` 0.999.

    Raises:
        ResultsError: *name* is not of that form.
    """
    match = _PERCENTILE.fullmatch(name)
    if match is None:
        msg = f"{name!r} is not a percentile; write p50, p99, p999 and the like"
        raise ResultsError(msg)
    digits = match[1]
    return float(f"0.{digits}") if len(digits) > 1 else int(digits) / 100


@dataclass(frozen=True, slots=True)
class Bounded:
    """What a key of an objective bounds, such as ``ttft_p99`` or ``goodput``.

    Attributes:
        measure: The measure's name in summaries and tables; a percentile need not be among those
            that a summary has.
        time: The time that is bounded, one of ``TIMES``; empty for a share.
        percentile: Its percentile, such as ``p99``; empty for a share.
    """

    measure: str
    time: str = ""
    percentile: str = ""

    @classmethod
    def of(cls, key: str) -> Bounded:
        """Return what *key* bounds.

        Raises:
            ResultsError: An objective has no such key.
        """
        if key in SHARES:
            return cls(SHARES[key])
        match = _KEY.fullmatch(key)
        if match is None:
            times = ", ".join(f"{name}_p99" for name in TIMES)
            msg = f"an objective has no {key!r}; write {times} or the like, or {', '.join(SHARES)}"
            raise ResultsError(msg)
        return cls(f"{key}_s", match[1], match[2])

    @property
    def share(self) -> float:
        """The percentile as a share, above 0 and below 1; 0 for a share."""
        return percentile_share(self.percentile) if self.percentile else 0.0

    @property
    def words(self) -> str:
        """What is bounded, in words: ``latency p99.9`` or ``goodput``."""
        if not self.time:
            return "goodput" if self.measure == "goodput_share" else "success rate"
        name = self.time if self.time in TOKEN_TIMES else TIMES[self.time]
        return f"{name} p{100 * self.share:g}"

    def is_within(self, value: float, limit: float) -> bool:
        """Return whether a value is within its limit; NaN is not."""
        return value <= limit if self.time else value >= limit


@dataclass(frozen=True, slots=True)
class Part:
    """One bound of an objective, and the streams whose requests it covers.

    Attributes:
        key: Its key, such as ``ttft_p99``.
        limit: The longest time in seconds, or the smallest share.
        stream: The stream that has this bound of its own, or None for the common bound.
        covers: The streams whose requests it covers.
    """

    key: str
    limit: float
    stream: str | None
    covers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Slo:
    """A service objective.

    Keys are those of the scenario file: ``ttft_p99``, ``latency_p50`` and the like with a time in
    seconds that is not to be exceeded, ``success_rate`` and ``goodput`` with a least share.

    Attributes:
        bounds: The bounds by key.
        every_s: Length of the windows in which it must be held as well, in seconds; None for the
            whole alone.
        streams: By stream, the bounds that replace those of ``bounds``, key by key.

    Raises:
        ResultsError: There is no such key.
    """

    bounds: Mapping[str, float] = field(default_factory=dict)
    every_s: float | None = None
    streams: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for bounds in (self.bounds, *self.streams.values()):
            for key in bounds:
                Bounded.of(key)

    def parts(self, streams: Iterable[str]) -> Iterator[Part]:
        """Yield each bound with the streams that it covers; the common ones cover the others.

        Args:
            streams: All streams of the run, in their order.
        """
        names = tuple(streams)
        keys = dict.fromkeys(
            key for bounds in (self.bounds, *self.streams.values()) for key in bounds
        )
        for key in sorted(keys, key=_place):
            own = {name: self.streams[name][key] for name in names if key in self.bounds_of(name)}
            others = tuple(name for name in names if name not in own)
            if key in self.bounds and others:
                yield Part(key, self.bounds[key], None, others)
            for name, limit in own.items():
                yield Part(key, limit, name, (name,))

    def bounds_of(self, stream: str) -> Mapping[str, float]:
        """Return the bounds that a stream has of its own."""
        return self.streams.get(stream, {})

    def limit_s(self, time: str, stream: str | None = None) -> float | None:
        """Return the longest that one request may take: the bound at the highest percentile.

        Args:
            time: One of ``LIMITED``.
            stream: The request's stream; None for the common bounds alone.
        """
        bounds = {**self.bounds, **(self.bounds_of(stream) if stream is not None else {})}
        shares = {key: bounded.share for key in bounds if (bounded := Bounded.of(key)).time == time}
        return bounds[max(shares, key=shares.__getitem__)] if shares else None

    def limits_s(self, time: str, streams: Iterable[str]) -> dict[str, float]:
        """Return the distinct limits of one request by stream; an empty name for the common one.

        Args:
            time: One of ``LIMITED``.
            streams: All streams of the run, in their order.
        """
        found: dict[str, float] = {}
        for name in streams:
            own = any(Bounded.of(key).time == time for key in self.bounds_of(name))
            limit_s = self.limit_s(time, name)
            if limit_s is not None:
                found[name if own else ""] = limit_s
        return found


def _place(key: str) -> tuple[int, float]:
    """Return what bounds are sorted by: times by percentile, then shares."""
    bounded = Bounded.of(key)
    order = (*TIMES, *SHARES.values())
    return order.index(bounded.time or bounded.measure), bounded.share


def in_words(key: str, limit: float, stream: str | None = None) -> str:
    """Return a bound in words, such as ``ttft p99 of chat ≤ 1 s``."""
    bounded = Bounded.of(key)
    of_whom = "" if stream is None else f" of {stream}"
    return f"{bounded.words}{of_whom} {limit_in_words(bounded, limit)}"


def limit_in_words(bounded: Bounded, limit: float) -> str:
    """Return a limit with its relation, such as ``≤ 1 s``."""
    return f"≤ {limit:g} s" if bounded.time else f"≥ {100.0 * limit:g} %"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one bound of an objective was held.

    Attributes:
        key: The bound's key in the objective, such as ``latency_p99``.
        objective: The measure that it bounds, such as ``latency_p99_s``.
        limit: The longest time in seconds, or the smallest share.
        value: What was measured over the whole window; NaN where nothing was.
        held: Whether the value is within the limit, in enough windows too where it must be.
        stream: The stream whose bound it is, or None for the common one.
        missing: Why there is no value, such as ``no tokens``; empty where there is one.
        without_tokens: The streams that it covers whose requests have no such token times.
        every_s: Length of the windows in which it must be held as well, in seconds, or None.
        windows: Number of windows that have something to judge.
        windows_held: Number of those in which it was held.
    """

    key: str
    objective: str
    limit: float
    value: float
    held: bool
    stream: str | None = None
    missing: str = ""
    without_tokens: tuple[str, ...] = ()
    every_s: float | None = None
    windows: int = 0
    windows_held: int = 0

    @property
    def word(self) -> str:
        """``held``, ``missed``, or why neither can be said."""
        return self.missing or ("held" if self.held else "missed")

    def __str__(self) -> str:
        bound = in_words(self.key, self.limit, self.stream)
        if self.missing:
            return f"{bound}: not held, {self.missing}"
        unit, value = ("s", self.value) if Bounded.of(self.key).time else ("%", 100.0 * self.value)
        windows = ""
        if self.every_s is not None:
            windows = f"; in {self.windows_held} of {self.windows} windows of {self.every_s:g} s"
        others = f"; no tokens: {', '.join(self.without_tokens)}" if self.without_tokens else ""
        return f"{bound}: {self.word} ({value:.6g} {unit}{windows}){others}"
