"""The errors that fedsim raises, one class per cause.

    FedsimError
    ├── ScenarioError (ValueError)        the scenario file is wrong
    ├── ArgumentError (ValueError)        a call has an argument of the wrong kind
    ├── PlugInError                       a user's router, policy, breaker or middleware misbehaved
    ├── SimulationError                   the simulated world cannot go on
    │   ├── DeadlockError                 nothing is scheduled and tasks still wait
    │   └── UnsupportedInSimulationError  something asked for the real world
    ├── ResultsError                      a run or its directory cannot be read or written
    └── InternalError                     a bug in fedsim

What fails *inside* the simulated world (a node that crashes, a queue that is full) is an outcome in
the tables and never one of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class FedsimError(Exception):
    """The base of all errors that fedsim raises."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a scenario.

    Attributes:
        message: What is wrong, as a sentence without the position.
        remedy: What to write instead, as a sentence; empty when the message says it all.
        path: Dotted path of the value, such as ``pools.us-chat.count``; empty for the whole file.
        file: The file's name as the user gave it, or ``--set`` for an override.
        line: One-based line, or None where there is no text to point at.
        column: One-based column, or None.
    """

    message: str
    remedy: str = ""
    path: str = ""
    file: str = ""
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = self.file
        if self.line is not None:
            place += f":{self.line}:{self.column or 1}"
        parts = [part for part in (place, self.path) if part]
        text = ": ".join([*parts, self.message])
        return f"{text} {self.remedy}".rstrip()


class ScenarioError(FedsimError, ValueError):
    """A scenario is wrong; ``problems`` holds everything that is, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class RemediedError(ValueError):
    """A value is not what is wanted.

    Args:
        message: What is wrong, as a sentence.
        remedy: What to write instead, as a sentence.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}"


class ArgumentError(FedsimError, RemediedError):
    """A call has an argument of the wrong kind."""


class PlugInError(FedsimError):
    """A plug-in raised, or returned something that its contract does not allow.

    Args:
        plugin: The plug-in's name, such as ``my_routers:Sticky``.
        problem: What it did, as a sentence.
        request_id: The request it was working on, or None.
        time_s: Simulated time in seconds, or None before the run.
    """

    def __init__(
        self,
        plugin: str,
        problem: str,
        request_id: str | None = None,
        time_s: float | None = None,
    ) -> None:
        super().__init__(plugin, problem, request_id, time_s)
        self.plugin = plugin
        self.problem = problem
        self.request_id = request_id
        self.time_s = time_s

    def __str__(self) -> str:
        where = ""
        if self.request_id is not None:
            where += f", request {self.request_id}"
        if self.time_s is not None:
            where += f", simulated time {self.time_s:.6f} s"
        return f"plug-in {self.plugin}{where}: {self.problem}"


def in_words(error: BaseException) -> str:
    """Return what a plug-in raised, as ``ValueError: the text``."""
    text = str(error)
    words = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, SystemExit):
        words += " (a plug-in must not end the process)"
    return words


class SimulationError(FedsimError):
    """The simulated world cannot go on."""


class DeadlockError(SimulationError):
    """Nothing is scheduled any more, yet tasks still wait."""


class UnsupportedInSimulationError(SimulationError):
    """A plug-in asked for something that cannot be simulated, such as a socket or a thread."""


class ResultsError(FedsimError):
    """A run, a table or a run directory cannot be read or written."""


class InternalError(FedsimError):
    """A bug in fedsim itself; please report it with the scenario and the seed."""
