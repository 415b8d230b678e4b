"""What a federation gets wrong in ways that have a name, found in a run's own tables.

Each finding is modelled on a defect of a real router: loads that stay zero, so that all traffic
goes to one worker; ties that always fall to the first; sessions that are never moved again; an
estimate that is never renewed, so that a node which is well again gets nothing. Nodes are compared
within their pool, where they are equal, and only while nothing was wrong with them. One finding is
about settings: deadlines that are shorter than what requests need.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedsim.results.finding import Finding, Rows
from fedsim.results.lost_capacity import removed_capacity, stuck_trials
from fedsim.results.sample import Window
from fedsim.results.troubles import link_troubles, troubles, within

if TYPE_CHECKING:
    from fedsim.results.run import Run

Floats = NDArray[np.float64]
Codes = NDArray[np.integer[Any]]

STARVED_BELOW = 0.05
"""A node with less than this share of its fair part of the traffic is starved."""

ENOUGH_EXPECTED = 30.0
"""Attempts that a node should have had before it is called starved."""

MOST_ON_ONE = 0.9
"""Share of a pool's traffic from which it is all on one node."""

WAITING_HURTS = 0.05
"""Mean wait over mean service from which a pool is called busy."""

FIRST_TOO_OFTEN = 0.95
"""Share of ties that fall to the first node from which that is no chance."""

ENOUGH_TIES = 50
"""Ties before anything is said of them."""

MOST_TIES = 20_000
"""Attempts of a pool that are looked at for ties, evenly spread."""

STICKS = 0.95
"""Share of attempts on their tenant's usual node from which tenants stick to nodes."""

REUSED = 0.05
"""Share of the prompts' tokens found in caches from which content may decide on the node."""

ENOUGH_OF_A_TENANT = 5
"""Attempts of a tenant before it has a usual node."""

ENOUGH_TIMEOUTS = 10
"""Attempts that timed out on idle nodes of a pool before anything is said of them."""

MANY_TIMEOUTS = 0.01
"""Their share of the attempts on the pool from which that is no chance."""

IDLE_BELOW = 0.5
"""Mean share of a pool's slots that attempts held, below which its nodes are not busy."""

UNEVEN = 3.0
"""Load of the busiest node over that of the idlest from which sticking does harm."""


@dataclass(frozen=True, slots=True)
class _Pool:
    """The attempts on the nodes of one pool within the window, in the order of their starts.

    ``rows`` are theirs in the attempts table; ``reused`` is the share of their prompts' tokens that
    nodes had from before, 0 where unknown; ``scaled`` says whether some nodes were there for longer
    than others.
    """

    name: str
    nodes: list[int]
    node: Codes
    gateway: Codes
    tenant: Codes
    started_s: Floats
    finished_s: Floats
    wait_s: Floats
    service_s: Floats
    rows: Rows
    reused: float
    scaled: bool

    def load(self, node: int) -> float:
        """Return the mean number of attempts under way on a node, but for a common factor."""
        mine = self.node == node
        return float(np.sum(self.finished_s[mine] - self.started_s[mine]))

    @property
    def waits(self) -> bool:
        """Whether attempts had to wait for a slot."""
        served = np.isfinite(self.service_s)
        service_s = float(self.service_s[served].sum())
        return bool(self.wait_s[served].sum() > WAITING_HURTS * service_s > 0.0)


def findings(run: Run) -> list[str]:
    """Return what the run shows of known defects of routing, as sentences; mostly nothing."""
    return [each.text for each in found_in(run)]


def found_in(run: Run) -> list[Finding]:
    """Return what the run shows of known defects of routing, with its evidence."""
    trouble = troubles(run.tables, run.directory, run.end_s)
    found = [*removed_capacity(run), *stuck_trials(run), *_short_deadlines(run)]
    for pool in _pools(run):
        stuck = _sticking(run, pool)
        starved = [] if _is_affine(pool) and not pool.waits else list(_starved(run, pool, trouble))
        alone = _alone(run, pool, starved)
        if alone:
            found.append(alone)
        elif stuck:
            found.append(stuck)
        else:
            found.extend(_starvation(run, pool, *each) for each in starved)
        found.extend(_first_on_ties(run, pool, trouble))
    return found


def _pools(run: Run) -> Iterator[_Pool]:
    """Yield the pools of several nodes that had any attempts."""
    of = partial(run.tables.values, "attempts")
    chosen = np.flatnonzero(Window(run.warmup_s, run.duration_s).holds(of("started_s")))
    requests = run.tables.request_rows
    finished_s = of("finished_s")
    finished_s = np.where(np.isnan(finished_s), run.end_s, finished_s)
    node = of("node")[chosen]
    paid_s = run.tables.values("node_totals", "window_paid_s")
    pools: dict[str, list[int]] = {}
    for code, info in enumerate(run.directory.nodes):
        if paid_s[code] > 0.0:
            pools.setdefault(info.pool, []).append(code)
    for name, codes in pools.items():
        mine = np.isin(node, codes)
        if len(codes) < 2 or not mine.any():
            continue
        part = chosen[mine]
        yield _Pool(
            name,
            codes,
            of("node")[part],
            of("gateway")[part],
            run.tables.values("requests", "tenant")[requests[part]],
            of("started_s")[part],
            finished_s[part],
            of("queue_wait_s")[part],
            of("service_s")[part],
            part,
            _reused(run, requests[part]),
            bool(paid_s[codes].min() < paid_s[codes].max()),
        )


def _reused(run: Run, rows: Codes) -> float:
    rows = np.unique(rows)
    cached = run.tables.values("requests", "cached_tokens")[rows]
    known = cached >= 0
    prompts = int(run.tables.values("requests", "prompt_tokens")[rows][known].sum())
    return int(cached[known].sum()) / prompts if prompts else 0.0


# Deadlines that nothing could meet


def _short_deadlines(run: Run) -> Iterator[Finding]:
    """Yield the finding that attempts on a pool time out though its nodes are well and not busy.

    Those attempts made their node work nearly from their start to their end: they did not wait.
    """
    of = partial(run.tables.values, "attempts")
    started_s, node = of("started_s"), of("node")
    timed_out = run.tables.are("attempts", "timeout")
    if not timed_out.any():
        return
    taken_s = of("finished_s") - started_s
    waited = ~(of("queue_wait_s") <= WAITING_HURTS * taken_s)
    inside = Window(run.warmup_s, run.duration_s).holds(started_s)
    trouble = troubles(run.tables, run.directory, run.end_s, seen=False)
    inside &= ~within(started_s, link_troubles(run.tables, run.end_s))
    held_s = run.tables.values("node_totals", "window_busy_slot_s")
    paid_s = run.tables.values("node_totals", "window_paid_s")
    pools: dict[str, list[int]] = {}
    for code, info in enumerate(run.directory.nodes):
        pools.setdefault(info.pool, []).append(code)
    for pool, codes in pools.items():
        slots = np.array([run.directory.nodes[code].slots for code in codes])
        if held_s[codes].sum() > IDLE_BELOW * float((slots * paid_s[codes]).sum()):
            continue
        mine = np.isin(node, codes) & inside
        cut = mine & timed_out & ~waited
        for code in codes:
            cut &= (node != code) | ~within(started_s, trouble[code])
        count, total = int(np.count_nonzero(cut)), int(np.count_nonzero(mine))
        if count >= max(ENOUGH_TIMEOUTS, MANY_TIMEOUTS * total):
            text = (
                f"Deadline too short: {count:,} of {total:,} attempts on {pool} timed out after "
                f"{np.median(taken_s[cut]):.3g} s (median), though its nodes were well and not "
                "busy and the attempts did not wait; requests need longer than that, see fedsim "
                "check."
            )
            yield Finding(text, pool, np.flatnonzero(cut))


# Nodes that get nothing


def _starved(
    run: Run, pool: _Pool, trouble: list[Floats]
) -> Iterator[tuple[int, int, float, float]]:
    """Yield starved nodes: code, attempts that it got, fair part, and when it got its last one.

    A node is judged from its last trouble on.
    """
    for node in pool.nodes:
        since_s = float(trouble[node][-1, 1]) if len(trouble[node]) else run.warmup_s
        later = pool.started_s >= since_s
        fair = float(np.count_nonzero(later)) / len(pool.nodes)
        mine = pool.node == node
        got = int(np.count_nonzero(mine & later))
        if fair >= ENOUGH_EXPECTED and got < STARVED_BELOW * fair:
            last_s = float(pool.started_s[mine][-1]) if mine.any() else np.nan
            yield node, got, fair, last_s


def _is_affine(pool: _Pool) -> bool:
    """Return whether requests go where their like went before, so that idle nodes are no wonder."""
    return pool.reused > REUSED or _stays(pool)[0] >= STICKS


def _starvation(run: Run, pool: _Pool, node: int, got: int, fair: float, last_s: float) -> Finding:
    name = run.directory.nodes[node].name
    when = "it never had one" if np.isnan(last_s) else f"its last came at {last_s:.0f} s"
    harm = "while others there made requests wait" if pool.waits else "and is paid for all the same"
    text = (
        f"Starved node: {name} is well and got {got:,} attempts where its part of those on "
        f"{pool.name} was {fair:,.0f}; {when}, {harm}; an estimate that only traffic renews, or a "
        "count that was never taken back, would explain it."
    )
    return Finding(text, pool.name, pool.rows[pool.node == node])


def _alone(run: Run, pool: _Pool, starved: list[tuple[int, int, float, float]]) -> Finding | None:
    """Return the finding that nearly all traffic of a pool is on one node, if so."""
    if len(starved) < len(pool.nodes) - 1:
        return None
    counts = np.bincount(pool.node, minlength=len(run.directory.nodes))
    busiest = int(np.argmax(counts))
    share = counts[busiest] / len(pool.node)
    if share < MOST_ON_ONE or not pool.waits:
        return None
    name = run.directory.nodes[busiest].name
    text = (
        f"All on one node: {name} got {100.0 * share:.0f} % of the attempts on {pool.name} and "
        f"made them wait, while its {len(pool.nodes) - 1} equals were idle; loads that stay zero "
        "would explain it."
    )
    return Finding(text, pool.name, pool.rows[pool.node == busiest])


# Tenants that stay


def _sticking(run: Run, pool: _Pool) -> Finding | None:
    """Return the finding that tenants stay on nodes that are busier than others, if so."""
    share, tenants = _stays(pool)
    if not pool.waits or tenants < 2 * len(pool.nodes) or pool.scaled:
        return None  # of nodes that come and go, loads over the run say nothing
    loads = [pool.load(node) for node in pool.nodes]
    busiest, idlest = int(np.argmax(loads)), int(np.argmin(loads))
    if share < STICKS or loads[busiest] < UNEVEN * loads[idlest]:
        return None
    names = run.directory.nodes
    ratio = f"{loads[busiest] / loads[idlest]:.1f} times" if loads[idlest] else "all"
    text = (
        f"Sticky without rebalancing: {100.0 * share:.0f} % of the attempts on {pool.name} went "
        f"to the node that their tenant always has, though {names[pool.nodes[busiest]].name} had "
        f"{ratio} the load of {names[pool.nodes[idlest]].name} and requests waited."
    )
    return Finding(text, pool.name, pool.rows[pool.node == pool.nodes[busiest]])


def _stays(pool: _Pool) -> tuple[float, int]:
    """Return which share of attempts is on their tenant's usual node, and of how many tenants."""
    known = pool.tenant >= 0
    tenant, node = pool.tenant[known], pool.node[known]
    if not len(tenant):
        return 0.0, 0
    pairs = np.zeros((int(tenant.max()) + 1, int(node.max()) + 1), dtype=np.int64)
    np.add.at(pairs, (tenant, node), 1)
    pairs = pairs[pairs.sum(axis=1) >= ENOUGH_OF_A_TENANT]
    return (float(pairs.max(axis=1).sum() / pairs.sum()) if len(pairs) else 0.0), len(pairs)


# Ties


def _first_on_ties(run: Run, pool: _Pool, trouble: list[Floats]) -> Iterator[Finding]:
    """Yield the finding that the first of equally loaded nodes gets nearly every request."""
    if len(pool.node) < ENOUGH_TIES:
        return  # each attempt is one tie at most
    ties = firsts = later_ties = later_firsts = 0
    evidence: list[Rows] = []
    well = ~np.any([within(pool.started_s, trouble[node]) for node in pool.nodes], axis=0)
    for gateway in np.unique(pool.gateway):
        mine = pool.gateway == gateway
        asked = np.flatnonzero(mine & well)
        asked = asked[:: max(1, len(asked) // MOST_TIES)]
        loads = _loads(pool, mine, asked)
        chosen = np.searchsorted(pool.nodes, pool.node[asked])
        tied = loads == loads.min(axis=1, keepdims=True)
        among = tied[np.arange(len(asked)), chosen] & (tied.sum(axis=1) > 1)
        first = tied.argmax(axis=1)
        ties += int(np.count_nonzero(among))
        evidence.append(pool.rows[asked[among & (chosen == first)]])
        firsts += len(evidence[-1])
        later = among & (first > 0)
        later_ties += int(np.count_nonzero(later))
        later_firsts += int(np.count_nonzero(later & (chosen == first)))
    if min(ties, later_ties) < ENOUGH_TIES:
        return
    if firsts < FIRST_TOO_OFTEN * ties or later_firsts < FIRST_TOO_OFTEN * later_ties:
        return
    text = (
        f"First on ties: whenever several nodes of {pool.name} were equally loaded, "
        f"{100.0 * firsts / ties:.0f} % of the requests went to the one that is listed first "
        f"({run.directory.nodes[pool.nodes[0]].name} where it was among them); ties should rotate."
    )
    yield Finding(text, pool.name, np.sort(np.concatenate(evidence)))


def _loads(pool: _Pool, mine: NDArray[np.bool_], asked: NDArray[np.intp]) -> Codes:
    """Return what one gateway had under way on each node just before each of its attempts asked.

    Attempts that start at the same instant count in their order.
    """
    columns = []
    for node in pool.nodes:
        theirs = np.flatnonzero(mine & (pool.node == node))
        begun = np.searchsorted(theirs, asked)
        ended = np.searchsorted(np.sort(pool.finished_s[theirs]), pool.started_s[asked], "right")
        columns.append(begun - ended)
    return np.column_stack(columns)
