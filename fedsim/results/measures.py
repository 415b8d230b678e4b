"""The measures of a summary, each declared once: what it means, how it reads, how it is computed.

Tables, charts, rankings and ``docs/measures.md`` derive from ``MEASURES``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from fedsim.results.group import PERCENTILES, Group, mean, ratio
from fedsim.results.slo import TOKEN_TIMES, percentile_share


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of a summary.

    Attributes:
        name: The column.
        label: What it is, for a chart's axis, without the unit.
        heading: The same for the heading of a table, as short as it can be, without the unit.
        of: Computes it; NaN where the group has nothing to compute it from.
        formula: What ``of`` computes, in Markdown for a cell of a table; ``docs/measures.md``
            explains its symbols.
        unit: The unit that people read it in, after multiplication by ``scale``; empty for none.
        scale: What to multiply a value by for people: 100 for a share, which they read in percent.
        better: Which direction is an improvement, or None where neither is.
        bounds: The lowest and the highest value that it can have.
        of_tokens: Whether it is about tokens, which not all requests have.
        successes_only: Whether it covers successful requests alone. Such a measure improves when
            slow requests fail, so it means nothing without the success rate.
        place: Its place among the columns of a table, 0 for the one that is left out last; None
            for a measure that no table shows of itself.
        context: What a sentence puts before the heading: ``latency`` before ``p99``.
    """

    name: str
    label: str
    heading: str
    of: Callable[[Group], float]
    formula: str
    unit: str = ""
    scale: float = 1.0
    better: Literal["higher", "lower"] | None = "lower"
    bounds: tuple[float, float] = (0.0, math.inf)
    successes_only: bool = False
    of_tokens: bool = False
    place: int | None = None
    context: str = ""

    @property
    def words(self) -> str:
        """Its name in a sentence, such as ``latency p99``."""
        return f"{self.context} {self.heading}".lstrip()

    @property
    def title(self) -> str:
        """The heading with its unit, such as ``p99 s`` and ``goodput %``."""
        return f"{self.heading} {self.unit}".rstrip()

    @property
    def difference_unit(self) -> str:
        """The unit of a difference of two values: percentages differ by points."""
        return "points" if self.unit == "%" else self.unit


Relation = Literal["=", "<=", ">="]
RELATIONS: tuple[Relation, ...] = ("=", "<=", ">=")


@dataclass(frozen=True, slots=True)
class Limit:
    """What a measure is expected to be.

    Attributes:
        relation: How it is to compare with the value.
        value: The value, in the unit of tables: a share from 0 to 1, seconds.
    """

    relation: Relation
    value: float


def _share(
    name: str,
    label: str,
    heading: str,
    of: Callable[[Group], float],
    formula: str,
    *,
    better: Literal["higher", "lower"] | None = "lower",
    successes_only: bool = False,
    of_tokens: bool = False,
    place: int | None = None,
) -> Measure:
    """Return a measure that is a share of a whole."""
    return Measure(
        name,
        label,
        heading,
        of,
        formula,
        unit="%",
        scale=100.0,
        better=better,
        bounds=(0.0, 1.0),
        successes_only=successes_only,
        of_tokens=of_tokens,
        place=place,
    )


def _percentiles(
    stem: str, label: str, heading: str, formula: str, places: tuple[int | None, ...]
) -> Iterator[Measure]:
    """Yield the measures of ``PERCENTILES`` of the column ``<stem>_s`` of requests."""
    for name, place in zip(PERCENTILES, places, strict=True):
        percentage = f"{100 * percentile_share(name):g}"
        yield Measure(
            f"{stem}_{name}_s",
            f"{label}, {percentage}th percentile",
            f"{heading} p{percentage}".lstrip(),
            partial(_percentile, column=f"{stem}_s", name=name),
            formula,
            "s",
            successes_only=True,
            of_tokens=stem in TOKEN_TIMES,
            place=place,
            context="" if heading else label,
        )


def _percentile(group: Group, *, column: str, name: str) -> float:
    return group.percentile(column, name)


def _cache_hits(group: Group) -> float:
    requests = group.requests
    looked_up = requests.ok & (requests.cached_tokens >= 0)
    found = int(requests.cached_tokens[looked_up].sum())
    return ratio(found, int(requests.prompt_tokens[looked_up].sum()))


def _preemptions(group: Group) -> float:
    requests = group.requests
    return mean(requests.preemptions[requests.ok & (requests.preemptions >= 0)])


def _utilization(group: Group) -> float:
    nodes = group.nodes
    if nodes is None:
        return math.nan
    busy_s = float((nodes.slots * nodes.window_busy_s).sum())
    return ratio(busy_s, float((nodes.slots * group.presence).sum()) * group.window_s)


def _imbalance(group: Group) -> float:
    if group.nodes is None:
        return math.nan
    there = group.presence > 0.0
    busy_s, pools = group.nodes.window_busy_slot_s[there], group.nodes.pool[there]
    presence = group.presence[there]
    rates = busy_s / presence
    by_pool = [pools == pool for pool in np.unique(pools)]
    busiest_s = float(np.array([rates[own].max() * presence[own].sum() for own in by_pool]).sum())
    return ratio(busiest_s, group.node_sum("window_busy_slot_s"))


def _cost_of_successes(group: Group) -> float:
    cost_usd = _cost_usd_per_hour(group) * group.window_s / 3600.0
    return ratio(1000.0 * cost_usd, group.successes)


def _cost_usd_per_hour(group: Group) -> float:
    if group.nodes is None:
        return math.nan
    return float((group.nodes.cost_usd_per_hour * group.presence).sum())


def _nodes_mean(group: Group, column: str) -> float:
    return ratio(group.node_sum(column), group.window_s)


_ALL = (
    Measure(
        "requests",
        "requests",
        "requests",
        lambda group: group.count,
        r"\|R\|",
        better=None,
        place=0,
    ),
    _share(
        "success_rate",
        "success rate",
        "success",
        lambda group: ratio(group.successes, group.count),
        r"\|O\| / \|R\|; an unfinished request is not successful",
        better="higher",
        place=2,
    ),
    Measure(
        "throughput_rps",
        "throughput",
        "throughput",
        lambda group: ratio(group.successes, group.window_s),
        r"\|O\| / T",
        "1/s",
        better="higher",
    ),
    Measure(
        "goodput_rps",
        "goodput",
        "goodput",
        lambda group: ratio(group.good, group.window_s),
        "number of good requests / T",
        "1/s",
        better="higher",
    ),
    _share(
        "goodput_share",
        "share of requests served within the objective",
        "goodput",
        lambda group: ratio(group.good, group.count),
        r"number of good requests / \|R\|",
        better="higher",
        place=1,
    ),
    Measure(
        "latency_mean_s",
        "mean latency",
        "mean",
        lambda group: mean(group.known("latency_s")),
        "mean of `latency_s` over O",
        "s",
        successes_only=True,
        context="latency",
    ),
    *_percentiles(
        "latency", "latency", "", "percentiles of `latency_s` over O", (4, 16, 18, 3, 15)
    ),
    *_percentiles(
        "ttft",
        "time to first token",
        "ttft",
        "percentiles of `ttft_s` over those of O where it is known",
        (6, 13, 20, 5, 21),
    ),
    *_percentiles(
        "tpot",
        "time per output token",
        "tpot",
        "percentiles of `tpot_s` over those of O where it is known",
        (8, 22, 23, 9, 24),
    ),
    _share(
        "cache_hit_share",
        "share of prompt tokens found in a prefix cache",
        "cached",
        _cache_hits,
        "Σ `cached_tokens` / Σ `prompt_tokens`, over those of O where `cached_tokens` is known",
        better="higher",
        successes_only=True,
        of_tokens=True,
        place=7,
    ),
    Measure(
        "preemptions_per_request",
        "preemptions per request",
        "preemptions",
        _preemptions,
        "mean of `preemptions` over those of O where it is known",
        successes_only=True,
    ),
    Measure(
        "queue_wait_mean_s",
        "mean wait in queue",
        "wait",
        lambda group: mean(group.known("queue_wait_s")),
        "mean of `queue_wait_s` over those of O where it is known",
        "s",
        successes_only=True,
        place=11,
    ),
    *_percentiles(
        "queue_wait",
        "wait in queue",
        "wait",
        "percentiles of `queue_wait_s` over those of O where it is known",
        (None, None, None, 19, None),
    ),
    Measure(
        "attempts_per_request",
        "attempts per request",
        "attempts",
        lambda group: mean(group.requests.attempts),
        "mean of `attempts` over R",
        place=12,
    ),
    Measure(
        "hedges_per_request",
        "hedges per request",
        "hedges",
        lambda group: mean(group.requests.hedges),
        "mean over R of the number of its attempts that are a `hedge`; the rest of its attempts "
        "but the first are retries",
        better=None,
    ),
    _share(
        "turned_away_share",
        "share of requests turned away before any attempt",
        "turned away",
        lambda group: ratio(int(np.count_nonzero(group.requests.turned_away)), group.count),
        "share of R whose outcome is `no_capacity` without any attempt: the gateway [turned it "
        "away](resilience.md#admission), or no node that could serve it was ready",
    ),
    _share(
        "cross_region_share",
        "share served outside the region of origin",
        "elsewhere",
        lambda group: ratio(int(np.count_nonzero(group.requests.cross)), group.successes),
        "share of O whose `region` is not its `origin`",
        better=None,
        place=14,
    ),
    Measure(
        "privacy_violations",
        "privacy violations",
        "violations",
        lambda group: group.violations["privacy_violations"],
        "number of attempts for requests of R that a node held in a slot, to the end or not, "
        "although its region may only hold data of a lower level than the request's",
    ),
    Measure(
        "model_violations",
        "requests served by another model",
        "wrong model",
        lambda group: group.violations["model_violations"],
        "number of attempts for requests of R that a node held in a slot, to the end or not, "
        "although it serves another model than the one that the request's stream names",
    ),
    _share(
        "utilization_mean",
        "mean utilization",
        "utilization",
        _utilization,
        "Σ `slots` · `window_busy_s` / Σ `slots` · `window_paid_s`, over nodes; time down is idle",
        better=None,
    ),
    Measure(
        "imbalance",
        "imbalance within pools",
        "imbalance",
        _imbalance,
        "Σ over pools of (largest `window_busy_slot_s` / `window_paid_s` in the pool · Σ "
        "`window_paid_s` in the pool) / Σ over nodes of `window_busy_slot_s`",
        bounds=(1.0, math.inf),
        place=17,
    ),
    _share(
        "wasted_share",
        "share of busy time whose result was not used",
        "wasted",
        lambda group: ratio(group.node_sum("wasted_slot_s"), group.node_sum("busy_slot_s")),
        "Σ `wasted_slot_s` / Σ `busy_slot_s`, over nodes and the whole run",
    ),
    Measure(
        "nodes_paid_mean",
        "mean number of nodes paid for",
        "paid nodes",
        partial(_nodes_mean, column="window_paid_s"),
        "Σ over nodes of `window_paid_s` / T: with a scaler from order to the end of the drain",
    ),
    Measure(
        "nodes_up_mean",
        "mean number of nodes up",
        "nodes up",
        partial(_nodes_mean, column="window_up_s"),
        "Σ over nodes of `window_up_s` / T",
        better=None,
    ),
    Measure(
        "cost_usd_per_hour",
        "cost of the fleet",
        "fleet",
        _cost_usd_per_hour,
        "Σ over nodes of their price · `window_paid_s` / T, idle or not; missing unless every node "
        "has a price (a free node has the price 0)",
        "USD/h",
    ),
    Measure(
        "cost_usd_per_1k_ok",
        "cost of 1,000 successful requests",
        "cost/1,000 ok",
        _cost_of_successes,
        r"1000 · `cost_usd_per_hour` · T / 3600 / \|O\|",
        "USD",
        place=10,
    ),
)

MEASURES = {measure.name: measure for measure in _ALL}
"""Every measure by name, in the order of a summary's columns."""
