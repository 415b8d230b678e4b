"""Settings of the strategies in the scenario file, made from the strategies' own."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from dataclasses import Field as DataclassField
from typing import TYPE_CHECKING, Any, Self, get_type_hints

from pydantic import Field, create_model, model_validator

from fedsim.federation.strategies.registry import STRATEGIES
from fedsim.scenario.schema.base import Settings, error_from
from fedsim.scenario.schema.types import Duration

_SECONDS = "_s"


class StrategySettings(Settings):
    """Settings of one strategy; a duration's key has no unit, as everywhere in the file."""

    @model_validator(mode="after")
    def _are_possible(self) -> Self:
        self.build()
        return self

    def build(self) -> Any:
        """Return them as the strategy takes them."""
        kind = _KINDS[type(self).__name__]
        values = {field.name: getattr(self, _key(field)) for field in fields(kind)}
        try:
            return kind(**values)
        except ValueError as failure:
            raise error_from(failure) from None

    def values(self) -> dict[str, object]:
        """Return them by the strategy's own names."""
        built = self.build()
        return {field.name: getattr(built, field.name) for field in fields(built)}


def _key(field: DataclassField[Any]) -> str:
    return field.name.removesuffix(_SECONDS)


def _descriptions(kind: type) -> dict[str, str]:
    """Return what the docstring of a dataclass says of its fields."""
    attributes = (inspect.getdoc(kind) or "").partition("Attributes:")[2]
    found = re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", attributes, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", text) for name, text in found}


def _model(strategy: str, kind: type) -> type[StrategySettings]:
    hints, texts = get_type_hints(kind), _descriptions(kind)
    keys: dict[str, Any] = {}
    for field in fields(kind):
        assert field.default is not MISSING, "every setting of a strategy has a default"
        seconds = field.name.endswith(_SECONDS)
        keys[_key(field)] = (
            Duration if seconds else hints[field.name],
            Field(default=field.default, description=texts[field.name]),
        )
    name = "".join(word.capitalize() for word in strategy.split("_")) + "Settings"
    _KINDS[name] = kind
    model: type[StrategySettings] = create_model(
        name, __base__=StrategySettings, __doc__=f"Settings of the strategy ``{strategy}``.", **keys
    )
    return model


_KINDS: dict[str, type] = {}

_MODELS = {
    name: _model(name, entry.settings)
    for name, entry in STRATEGIES.items()
    if entry.settings is not None
}


class AllStrategySettings(Settings):
    """Settings by strategy, for wherever that strategy runs."""

    def given(self) -> Mapping[str, Mapping[str, object]]:
        """Return the settings by strategy, of the strategies that the file names."""
        return {
            name: settings.values()
            for name in _MODELS
            if (settings := getattr(self, name)) is not None
        }


_FIELDS: dict[str, Any] = {
    name: (model | None, Field(default=None, description=f"Settings of ``{name}``."))
    for name, model in _MODELS.items()
}

if TYPE_CHECKING:  # a model that is made at run time is no type
    StrategySettingsByName = AllStrategySettings
else:
    StrategySettingsByName = create_model(
        "StrategySettingsByName",
        __base__=AllStrategySettings,
        __doc__="Settings by strategy, for wherever that strategy runs.",
        **_FIELDS,
    )
