"""The points of a sweep: what is changed in the scenario, and where the file says so."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import product
from typing import Any

import numpy as np

from fedsim.errors import Problem, ScenarioError
from fedsim.kernel.streams import generator
from fedsim.scenario.emit import dump_inline
from fedsim.scenario.source import Place
from fedsim.scenario.spec import Scenario, SweepSpec
from fedsim.scenario.units import measured_in, number_and_unit

_STREAM = "study/latin_hypercube"


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a sweep.

    Attributes:
        changes: What is changed in the scenario, by dotted path.
        places: The dotted path at which the scenario says so, by the path that is changed.
    """

    changes: Mapping[str, Any]
    places: Mapping[str, str]


def points_of(spec: SweepSpec, seed: int) -> list[Point]:
    """Return the points of a sweep, in the order in which tables have them.

    Args:
        spec: What is varied.
        seed: The study's seed, on which a Latin hypercube depends.
    """
    if spec.grid is not None:
        return _grid(spec.grid)
    if spec.points is not None:
        return [
            Point(changes, {path: f"sweep.list.{number}.{path}" for path in changes})
            for number, changes in enumerate(spec.points)
        ]
    return _latin_hypercube(spec.latin_hypercube or {}, spec.count, seed)


def keys_of(
    scenario: Scenario, points: Sequence[Point], places: Mapping[str, Place]
) -> list[dict[str, Any]]:
    """Return what tables call each point: plain values by path, in one order for all.

    A path that a point of a list leaves out has the scenario's own value.

    Args:
        scenario: What is varied.
        points: The points.
        places: Where the text of the scenario has what, by dotted path.

    Raises:
        ScenarioError: Two points are equal.
    """
    paths = list(dict.fromkeys(path for point in points for path in point.changes))
    keys = [
        {
            path: _label(point.changes[path])
            if path in point.changes
            else _label(_at(scenario.resolved, path))
            for path in paths
        }
        for point in points
    ]
    known: dict[str, int] = {}
    problems = []
    for number, key in enumerate(keys):
        # 2/s and 120/min are one point.
        same = json.dumps([measured_in(value) or value for value in key.values()])
        first = known.setdefault(same, number)
        if first != number:
            where = next(iter(points[number].places.values()))
            message = (
                f"The points {first} and {number}, counted from 0, are equal: {in_words(key)}."
            )
            problems.append(_placed(Problem(message, "Remove one."), where, places))
    if problems:
        raise ScenarioError(problems)
    return keys


def in_words(key: Mapping[str, Any]) -> str:
    """Return a point in words, such as ``strategy random, rate 20/s``."""
    short = headings(list(key))
    return ", ".join(f"{short[path]} {value}" for path, value in key.items())


def headings(paths: Sequence[str]) -> dict[str, str]:
    """Return a short name for each path: as many of its last words as tell it from the others."""
    found: dict[str, str] = {}
    for path in paths:
        words = path.split(".")
        for size in range(1, len(words) + 1):
            short = ".".join(words[-size:])
            if not any(("." + other).endswith("." + short) for other in paths if other != path):
                break
        found[path] = short
    return found


def require_valid(
    make: Callable[[int], object], points: Sequence[Point], places: Mapping[str, Place]
) -> None:
    """Check that every point makes a scenario.

    Args:
        make: Makes the scenario of the point with that number, from 0.
        points: The points.
        places: Where the text of the scenario has what, by dotted path.

    Raises:
        ScenarioError: Some do not. It holds every problem once, with the position at which the
            file has the value; one that all values of a path have stands at the path.
    """
    found: dict[tuple[str, Problem], list[str]] = {}
    values: dict[str, set[str]] = {}
    for number, point in enumerate(points):
        for path, place in point.places.items():
            values.setdefault(path, set()).add(place)
        try:
            make(number)
        except ScenarioError as error:
            for problem in error.problems:
                path, bare = _blamed(problem, point)
                found.setdefault((path, bare), []).append(point.places.get(path, ""))
    problems: dict[Problem, None] = {}
    for (path, problem), wheres in found.items():
        distinct = list(dict.fromkeys(wheres))
        if path and 1 < len(distinct) == len(values[path]):
            distinct = distinct[:1]
            if distinct[0].startswith("sweep.grid."):
                distinct = [f"sweep.grid.{path}"]
        for where in distinct:
            problems[_placed(problem, where, places) if path else problem] = None
    if problems:
        raise ScenarioError(_in_order(list(problems)))


def _grid(grid: Mapping[str, Sequence[Any]]) -> list[Point]:
    return [
        Point(
            {path: value for path, (_, value) in zip(grid, chosen, strict=True)},
            {path: f"sweep.grid.{path}.{n}" for path, (n, _) in zip(grid, chosen, strict=True)},
        )
        for chosen in product(*(list(enumerate(values)) for values in grid.values()))
    ]


def _latin_hypercube(ranges: Mapping[str, Sequence[Any]], count: int, seed: int) -> list[Point]:
    """Return points spread over *ranges* (McKay, Beckman and Conover, Technometrics 21, 1979).

    Points that coincide, as those of few whole numbers do, are one.
    """
    columns = [_spread(path, low, high, count, seed) for path, (low, high) in ranges.items()]
    places = {path: f"sweep.latin_hypercube.{path}" for path in ranges}
    rows = dict.fromkeys(zip(*columns, strict=True))
    return [Point(dict(zip(ranges, row, strict=True)), places) for row in rows]


def _spread(path: str, low: Any, high: Any, count: int, seed: int) -> list[Any]:
    """Return a value of each of *count* equal parts of a range, in random order."""
    draws = generator(seed, f"{_STREAM}/{path}")
    shares = (draws.permutation(count) + draws.random(count)) / count
    if isinstance(low, int) and isinstance(high, int):
        return [low + int(share * (high - low + 1)) for share in shares.tolist()]
    ends = [number_and_unit(end) for end in (low, high)]
    (least, unit), (most, _) = (end for end in ends if end is not None)
    values = [float(f"{value:.6g}") for value in (least + shares * (most - least)).tolist()]
    return [f"{value:g}{unit}" if unit else value for value in values]


def _label(value: Any) -> Any:
    """Return what a table calls a value: itself, or the name of a class or object."""
    value = value.value if isinstance(value, Enum) else value
    if value is None or isinstance(value, dict | list):
        return dump_inline(value)
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    kind = value if isinstance(value, type) else type(value)
    return kind.__qualname__.rpartition(".")[2]


def _at(tree: Any, path: str) -> Any:
    for key in path.split("."):
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _blamed(problem: Problem, point: Point) -> tuple[str, Problem]:
    """Return the path whose change makes a problem, and the problem without a position.

    The path is empty where no single change is to blame; the problem then names the point.
    """
    if not problem.line:
        for path in point.changes:
            if problem.path == path or problem.path.startswith(f"{path}."):
                inside = problem.path.removeprefix(path)
                return path, replace(problem, path=inside, file="", line=None, column=None)
    message = f"With {in_words({p: _label(v) for p, v in point.changes.items()})}: "
    return "", replace(problem, message=message + problem.message)


def _placed(problem: Problem, where: str, places: Mapping[str, Place]) -> Problem:
    """Return a problem at a path of the scenario, with the position of the text there."""
    place = places.get(where) or Place("")
    return replace(
        problem, path=where + problem.path, file=place.file, line=place.line, column=place.column
    )


def _in_order(problems: list[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda each: (each.file, each.line or 0, each.column or 0))
