"""Types of settings: the unit and the range of a value, stated where the setting is declared.

A setting is a field, with a default, of a frozen dataclass next to the class that it configures.
Its type is one of those below where it has a unit or a range, and the docstring's ``Attributes``
say what it means. The scenario file's key, its check, its line in the reference and its JSON Schema
follow from that (`fedsim.scenario.schema.derived`): the key is the field's name, without the ``_s``
of seconds; None is left out in the file where it is the default, and is ``off`` where it is not.
What does not fit together is a `SettingError` of ``__post_init__``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal


@dataclass(frozen=True, slots=True)
class Limits:
    """Unit and range of a number.

    Attributes:
        unit: ``seconds``, ``share`` (1 is all) or ``number``.
        above: The value is greater than this; None for no such bound.
        at_least: The value is not less than this; None for no such bound.
        at_most: The value is not greater than this; None for no such bound.
    """

    unit: Literal["number", "seconds", "share"] = "number"
    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A value as it is written in a file, for the reference and for messages."""

    value: str | float


@dataclass(frozen=True, slots=True)
class Bare:
    """A share that a file may also write as a number without a unit."""


@dataclass(frozen=True, slots=True)
class Follows:
    """A setting that a file leaves out is what it gives for another one, or else its default.

    Attributes:
        field: The other field of the same dataclass.
    """

    field: str


@dataclass(frozen=True, slots=True)
class Alone:
    """A group of settings for which a file may write one of them alone.

    Attributes:
        field: That one.
    """

    field: str


@dataclass(frozen=True, slots=True)
class Apart:
    """A setting that a file gives in a form of its own, which the file's model states."""


class SettingError(ValueError):
    """Settings that do not fit together.

    Args:
        message: What is wrong and what to do about it, as ``what is wrong: what to do``.
        field: The field to change first.
    """

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


Seconds = Annotated[float, Limits("seconds", at_least=0.0)]
"""A duration of 0 or more, in seconds."""

PositiveSeconds = Annotated[float, Limits("seconds", above=0.0)]
"""A duration of more than 0, in seconds."""

Share = Annotated[float, Limits("share", at_least=0.0, at_most=1.0)]
"""A share, 0 to 1."""

CountFrom1 = Annotated[int, Limits(at_least=1, at_most=1_000_000)]
"""A whole number of 1 or more."""

Positive = Annotated[float, Limits(above=0.0)]
"""A number of more than 0."""
