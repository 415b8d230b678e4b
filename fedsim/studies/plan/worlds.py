"""Runs the worlds that a plan asks about, and reads what they came to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsim.errors import Problem, ScenarioError
from fedsim.results.slo import WINDOWS_HELD, Bounded, Verdict
from fedsim.results.verdicts import NO_SUCCESS
from fedsim.results.violations import VIOLATIONS
from fedsim.scenario.scaled_traffic import scaled_traffic
from fedsim.scenario.spec import PlanSpec, Scenario
from fedsim.scenario.units import DURATION
from fedsim.studies.cells import Cell
from fedsim.studies.pairing import require_paired
from fedsim.studies.plan.cases import Rule, World
from fedsim.studies.plan.fleets import Fleets, own_counts
from fedsim.studies.plan.search import BudgetSpent
from fedsim.studies.plan.verdict import Judgment, Series, judged
from fedsim.studies.records import MEASURE_PLACES, Failure, Record
from fedsim.studies.runset import raised
from fedsim.studies.statistics import paired_difference

Source = Callable[[Sequence[Cell]], Sequence[Record | Failure]]
"""Gives what each cell came to; raises `RunMissing` where one is not there and may not be run."""

WORLD = "world"
"""The column of the key that says what became of the fleet."""

_NAMES = {"privacy_violations": "privacy violations", "model_violations": "wrong models"}
_HOPELESS = 3
"""Worlds of which a run failed before any run of any world was done, that end a plan."""

_PAIRED = 0.98
"""The two-sided confidence of a difference that is shown at 99 %."""


def lost_s(scenario: Scenario) -> float:
    """Return when a region is lost: at one third of the window, in seconds."""
    return scenario.warmup_s + (scenario.duration_s - scenario.warmup_s) / 3.0


def require_time(scenario: Scenario, spec: PlanSpec) -> None:
    """Check that something is left of the window to judge after each loss.

    Raises:
        ScenarioError: It is not.
    """
    left_s = scenario.duration_s - lost_s(scenario)
    problems = [
        Problem(
            f"Nothing of the window is left once the loss has settled: {left_s:g} s come after it.",
            f"Write a settle below {left_s:g}s, or a longer duration.",
            f"plan.survive.{number}.settle",
        )
        for number, case in enumerate(spec.survive)
        if case.lost and case.settle_s >= left_s
    ]
    if problems:
        raise ScenarioError(problems)


@dataclass(frozen=True, slots=True)
class Failures:
    """What failed around a loss, over replications.

    Attributes:
        requests: The number in each replication.
        longest_s: The longest that one took to fail, in seconds.
    """

    requests: NDArray[np.float64]
    longest_s: float


class Worlds:
    """The oracle of a search: worlds that are run when they are asked about.

    Args:
        scenario: The scenario.
        fleets: What the plan is about.
        spec: The plan.
        source: Gives the records of cells.

    Attributes:
        phase: What runs are counted for now: ``search``, ``evidence`` or ``validation``.
        runs: Number of runs by phase.
        first_round: Number of runs of the first round, where the budget has not even so many; else
            0.
    """

    def __init__(self, scenario: Scenario, fleets: Fleets, spec: PlanSpec, source: Source) -> None:
        self._scenario = scenario
        self._fleets = fleets
        self._spec = spec
        self._source = source
        self._records: dict[World, dict[int, Record]] = {}
        self._failed: dict[World, dict[int, Failure]] = {}
        self._reference: dict[tuple[int, float], dict[int, Record]] = {}
        self.phase = "search"
        self.runs: Counter[str] = Counter()
        self.first_round = 0
        self.alpha = (1.0 - spec.confidence) / len(fleets.cases)

    @property
    def replications(self) -> int:
        """Number of replications on which verdicts rest."""
        return self._spec.replications

    @property
    def total(self) -> int:
        """Number of runs so far."""
        return sum(self.runs.values())

    @property
    def known(self) -> Sequence[World]:
        """The worlds of which there are runs, but for those of which a run failed."""
        return [world for world in self._records if self.of(world)]

    @property
    def done(self) -> tuple[Record, ...]:
        """What every run came to that did not fail, world by world."""
        return tuple(found[n] for found in self._records.values() for n in sorted(found))

    @property
    def failed(self) -> tuple[Failure, ...]:
        """Why runs failed, world by world."""
        return tuple(found[n] for found in self._failed.values() for n in sorted(found))

    def of(self, world: World) -> list[Record]:
        """Return the records of a world in the order of their replications.

        There are none where it was not run. Nor are there where a run failed on which verdicts
        would rest: an estimate from the others would be of calm runs.
        """
        found = self._records.get(world, {})
        if self._failure(world, range(self._spec.replications)) is not None:
            return []
        return [found[number] for number in sorted(found)]

    def judge(self, rule: Rule, replications: int) -> Judgment:
        """Return what is known of a world after so many replications at least."""
        return self._judge(rule, range(replications))

    def fresh(self, rule: Rule) -> Judgment:
        """Return what a world comes to on as many replications that nothing was chosen by."""
        count = self._spec.replications
        return self._judge(rule, range(count, 2 * count))

    def _judge(self, rule: Rule, replications: Sequence[int]) -> Judgment:
        records = self.records(rule.world, replications)
        failure = self._failure(rule.world, replications)
        if failure is None:
            return self.judged(rule, records)
        reason = f"a run failed (seed {failure.seed}): {failure.message.splitlines()[0]}"
        return Judgment("failed", len(replications), reason=reason)

    def _failure(self, world: World, replications: Sequence[int]) -> Failure | None:
        """Return why the first of some replications failed, or None."""
        found = self._failed.get(world, {})
        return next((found[number] for number in replications if number in found), None)

    def judged(self, rule: Rule, records: Sequence[Record]) -> Judgment:
        """Return what records come to."""
        series = self.series(rule, records)
        return judged(series, len(records), self._spec.replications, self.alpha)

    def worse(self, one: World, other: World) -> bool:
        """Return whether *other* is not shown to be better than *one* in what it violates."""
        count = min(len(self.of(one)), len(self.of(other)))
        found = self.judged(Rule(other), self.of(other)[:count])
        better = self.difference(found.name, one, other, count)
        return not better[2] < 0.0

    def difference(self, name: str, one: World, other: World, count: int) -> tuple[float, ...]:
        """Return the mean of *other* minus *one* in a bound's values, and its interval at 99 %.

        Args:
            name: The bound, in words.
            one: A world.
            other: Another one, of the same replications.
            count: Number of replications.
        """
        first, second = (
            next(
                each
                for each in self.series(Rule(world), self.of(world)[:count])
                if each.name == name
            )
            for world in (one, other)
        )
        found = paired_difference(second.values, first.values, confidence=_PAIRED).absolute
        sign = -1.0 if second.share else 1.0
        ends = sorted((sign * found.low, sign * found.high))
        return sign * found.mean, ends[0], ends[1]

    def records(self, world: World, replications: Sequence[int]) -> list[Record]:
        """Return the records of some replications of a world, which are run where need be.

        Those that fail are left out.

        Raises:
            Stopped: They need more runs than there may be, or than there are.
            FedsimError: Nothing but failures came of the first worlds.
        """
        known, failed = self._records.get(world, {}), self._failed.get(world, {})
        missing = [n for n in replications if n not in known and n not in failed]
        if missing:
            budget = self._spec.budget
            if budget is not None and self.total + len(missing) > budget:
                self.first_round = 0 if self.total else len(missing)
                raise BudgetSpent
            cells = [self.cell(world, number) for number in missing]
            for found in self._source(cells):
                if isinstance(found, Failure):
                    self._failed.setdefault(world, {})[found.replication] = found
                else:
                    self._records.setdefault(world, {})[found.replication] = found
            self.runs[self.phase] += len(missing)
            known = self._records.get(world, {})
            self._require_paired(world, [number for number in missing if number in known])
            if len(self._failed) >= _HOPELESS:
                self.require_some()
        return [known[number] for number in replications if number in known]

    def require_some(self) -> None:
        """Check that some run did not fail, if there were any.

        Raises:
            FedsimError: Why the first failed, as all did: the plug-in is wrong everywhere.
        """
        if self._failed and not self._records:
            raise raised(self.failed[0])

    def _require_paired(self, world: World, replications: Sequence[int]) -> None:
        """Check that a world met the arrivals of others with the same traffic."""
        first = self._reference.setdefault((world.choice, world.traffic), {})
        for number in replications:
            record = self._records[world][number]
            both = (first.setdefault(number, record), record)
            require_paired(replace(each, exogenous=_arrivals(each)) for each in both)

    def cell(self, world: World, replication: int) -> Cell:
        """Return a run of a world."""
        return Cell(self.key(world), self.changes(world), replication)

    def key(self, world: World) -> dict[str, Any]:
        """Return what tables call a world: all that is chosen, and what becomes of the fleet."""
        key: dict[str, Any] = {}
        chosen = self._fleets.box.choices[world.choice].changes
        counts = self._counts(world)
        for path in self._spec.vary:
            key[path] = counts.pop(path) if path in counts else _label(chosen[path])
        own = own_counts(self._scenario)
        gone = [
            f"{own[pool] - count} of {pool} absent"
            for pool, count in zip(self._fleets.box.pools, world.counts, strict=True)
            if f"pools.{pool}.count" in counts and count != own[pool]
        ]
        return {**key, WORLD: ", ".join([*gone, *self._events(world)]) or "as chosen"}

    def _events(self, world: World) -> Iterator[str]:
        if world.traffic != 1.0:
            yield f"traffic × {world.traffic:g}"
        if world.lost:
            settle = DURATION.format(world.settle_s)
            yield f"{world.lost} lost, judged after {settle}"

    def _counts(self, world: World) -> dict[str, int]:
        pools = self._fleets.box.pools
        return {f"pools.{p}.count": count for p, count in zip(pools, world.counts, strict=True)}

    def changes(self, world: World) -> dict[str, Any]:
        """Return what makes a world of the scenario, as for `Scenario.changed`."""
        scenario = self._fleets.scenarios[world.choice]
        own = {f"pools.{pool}.count": count for pool, count in own_counts(self._scenario).items()}
        counts = {
            path: count
            for path, count in self._counts(world).items()
            if path in self._spec.vary or own.get(path) != count
        }
        changes = {**self._fleets.box.choices[world.choice].changes, **counts}
        changes |= scaled_traffic(scenario, world.traffic)
        if world.lost:
            faults: Any = scenario.resolved.get("faults") or []
            at_s = lost_s(self._scenario)
            loss = {
                "kind": "outage",
                "region": world.lost,
                "at": f"{at_s!r}s",
                "lasts": f"{scenario.duration_s + scenario.drain_s!r}s",
            }
            # Summaries and verdicts cover what arrives once the loss has settled.
            changes |= {"faults": [*faults, loss], "warmup": f"{at_s + world.settle_s!r}s"}
        return changes

    def failures(self, world: World, count: int) -> Failures:
        """Return what failed around the loss of a world in its first replications."""
        return _failures(self.of(world)[:count])

    def series(self, rule: Rule, records: Sequence[Record]) -> list[Series]:
        """Return what every bound came to, replication by replication."""
        scenario = self._fleets.scenarios[rule.world.choice]
        assert scenario.slo is not None
        names = [stream.traffic.name for stream in scenario.world.streams]
        covers = [part.covers for part in scenario.slo.parts(names)]
        found = []
        for place, streams in enumerate(covers):
            verdicts = [record.objective[place] for record in records]
            requests = [_requests(record, streams) for record in records]
            found.append(_bound(verdicts, np.array(requests)))
            if scenario.slo.every_s is not None:
                found.append(_windows(verdicts))
        for measure in VIOLATIONS:
            values = np.array([record.value(measure) for record in records])
            found.append(_counted(_NAMES[measure], measure, values, 0.0))
        if rule.interruption is not None:
            failed = _failures(records).requests
            limit = float(rule.interruption)
            found.append(_counted("failures at the loss", "interruption", failed, limit))
        return found


def _failures(records: Sequence[Record]) -> Failures:
    found = [record.interruption for record in records if record.interruption is not None]
    return Failures(
        np.array([each.requests for each in found], dtype=float),
        max((each.longest_s for each in found), default=0.0),
    )


def _requests(record: Record, streams: Sequence[str]) -> tuple[float, float]:
    """Return the number of requests of some streams, and that of those that succeeded."""
    groups = record.measures["stream"]
    total = good = 0.0
    for name, row in zip(groups.names, groups.values, strict=True):
        if name in streams:
            count = row[MEASURE_PLACES["requests"]]
            total += count
            good += count * np.nan_to_num(row[MEASURE_PLACES["success_rate"]])
    return total, good


def _bound(verdicts: Sequence[Verdict], requests: NDArray[np.float64]) -> Series:
    first = verdicts[0]
    bounded = Bounded.of(first.key)
    failed = any(each.missing == NO_SUCCESS for each in verdicts)
    words = bounded.words + (f" of {first.stream}" if first.stream else "")
    return Series(
        name=words,
        measure=first.objective,
        values=np.array([each.value for each in verdicts]),
        limit=first.limit,
        share=not bounded.time,
        counts=requests[:, 1 if bounded.time else 0],
        percentile=bounded.share,
        broken=f"{words}: no request succeeded" if failed else "",
        missing=next((each.missing for each in verdicts if each.missing), ""),
    )


def _windows(verdicts: Sequence[Verdict]) -> Series:
    """Return the share of the windows of the objective in which a bound was held."""
    first = verdicts[0]
    words = Bounded.of(first.key).words + (f" of {first.stream}" if first.stream else "")
    windows = np.array([each.windows for each in verdicts], dtype=float)
    held = np.array([each.windows_held for each in verdicts], dtype=float)
    shares = np.divide(held, windows, out=np.full(len(windows), math.nan), where=windows > 0.0)
    name = f"windows with {words} in its limit"
    return Series(name, "windows_held", shares, WINDOWS_HELD / 100.0, True, windows)


def _counted(name: str, measure: str, values: NDArray[np.float64], limit: float) -> Series:
    return Series(name, measure, values, limit, False, np.ones(len(values)))


def _arrivals(record: Record) -> Mapping[str, str]:
    return {
        name: digest for name, digest in record.exogenous.items() if name.startswith("workload.")
    }


def _label(value: Any) -> Any:
    """Return what tables call a chosen value."""
    if isinstance(value, bool | int | float | str):
        return value
    from fedsim.scenario.emit import dump_inline

    return dump_inline(value)
