"""Looks for the cheapest fleet that is held in every case.

Fleets are looked at in ascending order, so that the first one that is held is the answer, by
whatever route the others were left out. Where scalers decide what a fleet comes to, the order is by
the least that it can be, and the search goes on until that is no less than the answer's amount. A
fleet is left out without a run where

- it exceeds a limit, or no node of it may serve a stream in a case;
- the world of one of its cases was violated before, or a run of it failed: it is the same world, so
  this assumes nothing;
- more of equal nodes were violated in the same case. That takes it that equal nodes do not hurt;
  other nodes may, slow ones above all. In a box of more than ``LARGE`` fleets nodes of all kinds
  count here, and those that were left out so are looked at before the answer stands.

Cases that were violated last time come first. All cases of a fleet are looked at after as many
replications each, so that none takes all of its replications where another ends the matter soon.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from fedsim.studies.plan.box import Box, Point
from fedsim.studies.plan.cases import Case, Rule, World
from fedsim.studies.plan.verdict import LOOK, OPEN, Judgment, looks

LARGE = 2_000
"""Up to so many fleets nothing is inferred from one kind of nodes to another."""

Stop = Literal["budget", "unfinished"]
"""What ended a search before its end: the budget, or a run that a directory does not have."""

Status = Literal["found", "none", Stop]

Verdict = Literal[
    "held",
    "violated",
    "not decided",
    "failed",
    "over a limit",
    "unserved",
    "same world",
    "more violated",
    "strategy binds",
    "not needed",
    "open",
]
"""What became of a fleet; ``failed``: a run of it did; ``open``: the search ended before it."""


class Stopped(Exception):
    """A search cannot go on.

    Attributes:
        status: Why.
    """

    status: Stop


class BudgetSpent(Stopped):
    """More runs are needed than there may be."""

    status = "budget"


class RunMissing(Stopped):
    """A run is needed that the directory of a study does not have."""

    status = "unfinished"


class Oracle(Protocol):
    """Knows what worlds come to."""

    def judge(self, rule: Rule, replications: int) -> Judgment:
        """Return what is known of a world after so many replications at least.

        Raises:
            Stopped: These need more runs than there may be.
        """
        ...

    def worse(self, one: World, other: World) -> bool:
        """Return whether *other* is no better than *one* in what is violated, as far as shown."""
        ...


@dataclass(slots=True)
class Found:
    """What became of a fleet.

    Attributes:
        verdict: What it comes to.
        case: The case that decides, in words; empty for none.
        judgment: What is known of it in that case, or None where nothing was run for it.
        reason: Why, as a part of a sentence; empty where the judgment says it.
        retested: Whether it was looked at although it had been left out by inference.
    """

    verdict: Verdict
    case: str = ""
    judgment: Judgment | None = None
    reason: str = ""
    retested: bool = False


@dataclass(slots=True)
class Outcome:
    """What a search came to.

    Attributes:
        status: ``found``, ``none`` in the box, ``budget``: the runs did not suffice, or
            ``unfinished``: runs are missing.
        best: The place of the cheapest fleet that is held, or None.
        found: What became of each fleet that was looked at, by its place.
        retested: How many were looked at although they had been left out by inference.
        binding: The choices whose strategy binds, with a sentence each.
    """

    status: Status = "none"
    best: int | None = None
    found: dict[int, Found] = field(default_factory=dict)
    retested: int = 0
    binding: dict[int, str] = field(default_factory=dict)


class Search:
    """One search.

    Args:
        box: The fleets.
        cases: The cases, the normal one first.
        oracle: Knows what worlds come to.
        replications: Of each fleet in each case.
        start: A fleet to look at first where that may leave out others, or None.
        loads: Gives how much of its capacity a case asks of a fleet; the first look goes by it.
        amount: Gives what a fleet that is held came to; None for what the box has it at.
        progress: Is called with the number of fleets that are left to look at.
    """

    def __init__(
        self,
        box: Box,
        cases: Sequence[Case],
        oracle: Oracle,
        replications: int,
        *,
        start: Point | None = None,
        loads: Callable[[Point, Case], float] | None = None,
        amount: Callable[[int], float] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self._box = box
        self._cases = tuple(cases)
        self._oracle = oracle
        self._replications = replications
        self._start = start
        self._loads = loads
        self._amount = amount or (lambda place: float(box.objective[place]))
        self._lowest = math.inf
        self._progress = progress or (lambda _: None)
        self._known: dict[Rule, Judgment] = {}
        self._not_held: dict[Rule, Point] = {}
        self._largest: dict[tuple[object, ...], list[Rule]] = {}
        self._recent: Counter[int] = Counter()
        self._order = 0
        self.outcome = Outcome()

    @property
    def infers(self) -> bool:
        """Whether it infers from one kind of nodes to another."""
        return len(self._box) > LARGE

    def run(self) -> Outcome:
        """Search, and return what was found."""
        try:
            self._search()
        except Stopped as stop:
            self.outcome.status = stop.status
        return self.outcome

    def _search(self) -> None:
        self._exclude()
        self._probe()
        found, pending = self.outcome.found, []
        for place in range(len(self._box)):
            if self._is_no_less(place):
                break
            if place in found:
                continue
            self._progress(len(self._box) - place)
            point = self._box.point(place)
            left_out, inferred = self._left_out(point)
            if left_out is not None:
                found[place] = left_out
                pending += [place] if inferred else []
                continue
            found[place] = self.judged(point)
            self._compare(place)
        self._retest(pending)
        self.outcome.status = "none" if self.outcome.best is None else "found"

    def _compare(self, place: int) -> None:
        """Make a fleet the answer if it is held, and comes to less than the answer so far."""
        if self.outcome.found[place].verdict == "held":
            amount = self._amount(place)
            if self.outcome.best is None or amount < self._lowest:
                self.outcome.best, self._lowest = place, amount

    def _is_no_less(self, place: int) -> bool:
        """Return whether nothing from a place on can come to less than the answer so far."""
        return self.outcome.best is not None and not self._box.objective[place] < self._lowest

    def _exclude(self) -> None:
        """Leave out what no run is needed for."""
        box, found = self._box, self.outcome.found
        for name, (amounts, limit) in box.quotas().items():
            for place in np.flatnonzero(amounts > limit * (1.0 + 1e-9)).tolist():
                if place not in found:
                    text = f"{name}: {amounts[place]:g} of {limit:g}"
                    found[place] = Found("over a limit", reason=text)
        for case in self._cases:
            unserved = box.unserved(case)
            for place in np.flatnonzero(unserved >= 0).tolist():
                if place not in found:
                    stream = box.streams[unserved[place]]
                    text = f"no node may serve {stream}"
                    found[place] = Found("unserved", case.name, reason=text)

    def _probe(self) -> None:
        """Look first at fleets from which many others follow."""
        box = self._box
        for numbers in box.groups:
            choice = box.choices[numbers[-1]]
            kinds = {choice.kinds[pool] for pool in box.varied or range(len(box.pools))}
            equal = choice.ordered and len(kinds) == 1
            if self._start is not None and (equal or self.infers):
                sizes = box.choices[self._start.choice].sizes
                for number in numbers:
                    if box.choices[number].sizes == sizes:
                        self._look(Point(number, self._start.counts))
            if equal:
                self._look(box.top(numbers[-1]))
            if choice.tied and len({kind.split("@")[0] for kind in kinds}) == 1:
                self._climb(numbers)

    def _look(self, point: Point) -> bool:
        """Look once at a fleet of the box; return whether a case of it was violated."""
        place = self._box.place(point)
        if place is None or place in self.outcome.found:
            return False
        for case in self._in_order(point):
            rule = self._rule(case, point)
            if self._judge(rule, min(LOOK, self._replications), case, point).state == "violated":
                return True
        return False

    def _climb(self, numbers: Sequence[int]) -> None:
        """Find out whether the strategy of choices binds: twice the nodes are no better."""
        box, number = self._box, numbers[-1]
        top = box.top(number)
        middle = Point(number, tuple(levels[len(levels) // 2] for levels in box.levels))
        places = [box.place(point) for point in (middle, top)]
        if middle == top or any(place in self.outcome.found for place in places):
            return
        rules = [self._rule(self._cases[0], point) for point in (middle, top)]
        first = min(LOOK, self._replications)
        found = [
            self._judge(rule, first, self._cases[0], point)
            for rule, point in ((rules[1], top), (rules[0], middle))
        ]
        timed = all(each.measure.endswith("_s") for each in found)
        if not timed or any(each.state != "violated" for each in found):
            return
        if self._oracle.worse(rules[0].world, rules[1].world):
            nodes = [sum(point.counts) for point in (middle, top)]
            judgment = found[0]
            text = (
                f"more nodes do not help: {judgment.name} is {found[1].value:.3g} with {nodes[0]} "
                f"nodes and {judgment.value:.3g} with {nodes[1]}; the strategy binds"
            )
            self.outcome.binding[number] = text
            for place in np.flatnonzero(np.isin(box.choice, numbers)).tolist():
                self.outcome.found.setdefault(
                    place, Found("strategy binds", self._cases[0].name, judgment, text)
                )

    def _rule(self, case: Case, point: Point) -> Rule:
        return case.rule(point.choice, point.counts, self._box.regions)

    def _left_out(self, point: Point) -> tuple[Found | None, bool]:
        """Return why a fleet needs no run, and whether that is to be tested before the answer."""
        rules = [(case, self._rule(case, point)) for case in self._cases]
        for case, rule in rules:
            if rule in self._not_held:
                known = self._known[rule]
                own: Verdict = "failed" if known.state == "failed" else "violated"
                verdict: Verdict = own if self._not_held[rule] == point else "same world"
                return Found(verdict, case.name, known), False
        for case, rule in rules:
            for larger in self._largest.get(self._family(rule), ()):
                same = self._is_fewer(rule, larger)
                if same is not None:
                    fleet = self._words(larger.world)
                    text = f"{fleet} were violated"
                    more = self._known[larger]
                    return Found("more violated", case.name, more, text), not same
        return None, False

    def _words(self, world: World) -> str:
        box, sizes = self._box, self._box.choices[world.choice].sizes
        pools = enumerate(zip(world.counts, box.pools, strict=True))
        return ", ".join(
            f"{count} {pool}" + (f" with {sizes[n]} slots" if sizes and sizes[n] else "")
            for n, (count, pool) in pools
            if count
        )

    def _family(self, rule: Rule) -> tuple[object, ...]:
        """Return what worlds have in common of which one may tell of the other."""
        world = rule.world
        group = self._box.choices[world.choice].group
        return (group, world.traffic, world.lost, world.settle_s, rule.interruption)

    def _is_fewer(self, rule: Rule, larger: Rule) -> bool | None:
        """Return whether a world has no more nodes than another, all of one kind: True.

        False where they are of several kinds and that may be used; None where it tells nothing.
        What a loss costs may grow with the nodes that are lost, so that those have to be equal.
        """
        box, choice = self._box, self._box.choices[rule.world.choice]
        if not self._within(rule, larger):
            return None
        pairs = list(zip(rule.world.counts, larger.world.counts, strict=True))
        differ = [pool for pool, (few, many) in enumerate(pairs) if few < many]
        if rule.world.lost and any(box.regions[pool] == rule.world.lost for pool in differ):
            return None
        alive = {choice.kinds[pool] for pool, (_, many) in enumerate(pairs) if many}
        if choice.ordered and len(alive) == 1:
            return True
        return False if self.infers else None

    def _within(self, one: Rule, other: Rule) -> bool:
        """Return whether a world has no more nodes of any pool than another, nor larger ones."""
        sizes = (self._box.choices[rule.world.choice].sizes for rule in (one, other))
        counts = zip(one.world.counts, other.world.counts, strict=True)
        pairs = [*counts, *zip(*sizes, strict=True)]
        return all(few <= many for few, many in pairs)

    def _in_order(self, point: Point) -> list[Case]:
        """Return the cases, those violated last time first, then those with the highest load."""
        load = self._loads or (lambda _point, _case: 0.0)
        places = {case: place for place, case in enumerate(self._cases)}
        return sorted(
            self._cases, key=lambda case: (-self._recent[places[case]], -load(point, case))
        )

    def judged(self, point: Point, *, retested: bool = False) -> Found:
        """Return what becomes of a fleet, all of whose replications are run where need be."""
        cases = self._in_order(point)
        known = {case: self._judge_at(point, case, 0) for case in cases}
        for count in looks(self._replications):
            for case in cases:
                known[case] = self._judge_at(point, case, count)
                state = known[case].state
                if state in ("violated", "failed"):
                    return Found(state, case.name, known[case], retested=retested)
        undecided = [case for case in cases if known[case].state == "undecided"]
        worst = max(undecided or cases, key=lambda case: _height(known[case]))
        verdict: Verdict = "not decided" if undecided else "held"
        return Found(verdict, worst.name, known[worst], retested=retested)

    def _judge_at(self, point: Point, case: Case, count: int) -> Judgment:
        rule = self._rule(case, point)
        known = self._known.get(rule)
        if count == 0 or (known is not None and (known.state != "open" or known.runs >= count)):
            return known or OPEN
        return self._judge(rule, count, case, point)

    def _judge(self, rule: Rule, count: int, case: Case, point: Point) -> Judgment:
        known = self._known[rule] = self._oracle.judge(rule, count)
        if known.state in ("violated", "failed") and rule not in self._not_held:
            self._not_held[rule] = point
            self._order += 1
            self._recent[self._cases.index(case)] = self._order
        if known.state == "violated":
            family = self._largest.setdefault(self._family(rule), [])
            family[:] = [each for each in family if not self._within(each, rule)] + [rule]
        return known

    def _retest(self, pending: Sequence[int]) -> None:
        """Look at the cheaper fleets that were left out by inference."""
        found = self.outcome.found
        for place in pending:
            if self._is_no_less(place):
                break
            point = self._box.point(place)
            self._progress(len(self._box) - place)
            same = next(
                (case for case in self._cases if self._rule(case, point) in self._not_held), None
            )
            self.outcome.retested += 1
            if same is not None:
                known = self._known[self._rule(same, point)]
                found[place] = Found("same world", same.name, known, retested=True)
                continue
            found[place] = self.judged(point, retested=True)
            self._compare(place)


def _height(judgment: Judgment) -> float:
    return math.inf if math.isnan(judgment.high) else judgment.high
