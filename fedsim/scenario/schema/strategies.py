"""Settings of the strategies in the scenario file, made from the strategies' own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, create_model

from fedsim.federation.strategies.registry import STRATEGIES
from fedsim.scenario.schema.base import Later, Settings
from fedsim.scenario.schema.derived import model_of


class AllStrategySettings(Settings):
    """Settings by strategy, for wherever that strategy runs."""

    def given(self) -> Mapping[str, Mapping[str, object]]:
        """Return the settings by strategy, of the strategies that the file names."""
        return {
            name: asdict(settings.build())
            for name in type(self).model_fields
            if (settings := getattr(self, name)) is not None
        }


def _model(name: str) -> type[Settings]:
    settings = STRATEGIES[name].settings
    assert settings is not None
    return model_of(settings, f"Settings of the strategy ``{name}``.")


_FIELDS: dict[str, Any] = {
    name: (
        Annotated[Any, Later(partial(_model, name))] | None,
        Field(default=None, description=f"Settings of ``{name}``."),
    )
    for name, entry in STRATEGIES.items()
    if entry.has_settings
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
