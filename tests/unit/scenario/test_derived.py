"""Models that are made from dataclasses of settings."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Literal

import pytest
from pydantic import ValidationError

from fedsim.federation.settings import (
    Alone,
    CountFrom1,
    Follows,
    Limits,
    PositiveSeconds,
    SettingError,
    Share,
)
from fedsim.scenario.schema.derived import SettingsOf, key_of
from tests.unit.scenario.writing import models


@dataclass(frozen=True, slots=True)
class Inner:
    """Settings of a group.

    Attributes:
        ratio: A share.
        window_s: A time, in seconds.
    """

    ratio: Share = 0.2
    window_s: PositiveSeconds = 10.0


@dataclass(frozen=True, slots=True)
class Outer:
    """Settings of everything.

    Attributes:
        wait_s: How long, in seconds; None for ever.
        idle_s: The same, in seconds.
        least: How many; None for any number.
        slow_s: What is slow, in seconds; 5 s where None.
        after_s: A time in seconds, or a percentile.
        factor: More than 1.
        group: A group; None for none.
        short: A group, or its ratio.
    """

    wait_s: PositiveSeconds | None = 60.0
    idle_s: Annotated[PositiveSeconds | None, Follows("wait_s")] = 30.0
    least: CountFrom1 | None = 5
    slow_s: PositiveSeconds | None = None
    after_s: PositiveSeconds | Literal["p50", "p95"] = "p95"
    factor: Annotated[float, Limits(above=1.0)] = 3.0
    group: Inner | None = None
    short: Annotated[Inner | None, Alone("ratio")] = Inner()

    def __post_init__(self) -> None:
        if self.least == 7:
            message = "seven is too many: write six"
            raise SettingError(message, "least")


def built(**keys: object) -> Outer:
    """Return what the keys of a file mean."""
    return SettingsOf[Outer].model_validate(keys).build()


def test_defaults_are_those_of_the_dataclass():
    """A mapping without keys is the dataclass without arguments."""
    assert built() == Outer()


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"wait": "90s"}, Outer(wait_s=90.0, idle_s=90.0)),
        ({"wait": "off"}, Outer(wait_s=None, idle_s=None)),
        ({"wait": "90s", "idle": "off"}, Outer(wait_s=90.0, idle_s=None)),
        ({"least": "off"}, Outer(least=None)),
        ({"slow": None}, Outer()),
        ({"after": "p50"}, Outer(after_s="p50")),
        ({"after": "250ms"}, Outer(after_s=0.25)),
        ({"group": {"window": "1min"}}, Outer(group=Inner(window_s=60.0))),
        ({"group": "off"}, Outer(group=None)),
        ({"short": "50%"}, Outer(short=Inner(0.5))),
        ({"short": {"ratio": "50%", "window": "1s"}}, Outer(short=Inner(0.5, 1.0))),
        ({"short": "off"}, Outer(short=None)),
    ],
)
def test_each_form(keys: dict[str, object], expected: Outer):
    """Units, off, percentiles, groups and their short forms give the dataclass's values."""
    assert built(**keys) == expected


@pytest.mark.parametrize(
    "keys",
    [
        {"wait": "0s"},
        {"wait": 3},
        {"wait": None},
        {"least": 0},
        {"least": "none"},
        {"after": "p80"},
        {"factor": 1},
        {"group": {"ratio": "101%"}},
        {"wait_s": 3.0},
    ],
)
def test_each_range(keys: dict[str, object]):
    """What is out of its range, without its unit or no key at all is refused."""
    with pytest.raises(ValidationError):
        built(**keys)


def test_errors_name_the_key():
    """What does not fit together is worded by the dataclass, and placed at the key to change."""
    with pytest.raises(ValidationError) as failure:
        built(least=7)
    (error,) = failure.value.errors()
    assert error["ctx"] == {"message": "Seven is too many.", "remedy": "Write six.", "at": "least"}


def test_texts_speak_of_the_file():
    """What the docstring says of a field is said of the key, without the unit, and None as off."""
    texts = {key: each.description for key, each in SettingsOf[Outer].model_fields.items()}
    assert texts["wait"] == "How long; off for ever."
    assert texts["slow"] == "What is slow; 5 s where not given."


def test_no_default_is_stated_twice():
    """Where a model has a dataclass, a key that both have gets its default from there."""
    derived = [model for model in models() if issubclass(model, SettingsOf)]
    assert len(derived) > 25
    for model in derived:
        if "config" in vars(model):
            continue  # made from the dataclass
        own = set(vars(model).get("__annotations__", ()))
        stated = {key_of(each.name) for each in fields(model.config) if each.default is not MISSING}
        assert not own & stated, f"{model.__name__} states {own & stated} again"
