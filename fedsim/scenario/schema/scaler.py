"""A pool's scaler in the scenario file: the settings of each preset, or a class of one's own.

The settings are derived from the presets themselves, in ``fedsim.world.scalers``.
"""

from __future__ import annotations

import inspect
from dataclasses import MISSING, fields
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_type_hints

from pydantic import BeforeValidator, Discriminator, Field, create_model, model_validator

from fedsim.scenario.schema.base import (
    Choice,
    Settings,
    error,
    shown,
    union_of,
)
from fedsim.scenario.schema.derived import SettingsOf, default_of, key_of, keys_of
from fedsim.scenario.schema.distributions import AnyDuration
from fedsim.scenario.schema.types import (
    CountFrom1,
    Duration,
    PlugInName,
    PositiveDuration,
    Unit,
    names_class,
)
from fedsim.scenario.units import DURATION, RATE, SHARE, Quantity
from fedsim.world.scalers.config import OwnScaler, OwnSignal, ScalerConfig
from fedsim.world.scalers.preset import SHARES, Preset, SignalConfig
from fedsim.world.scalers.registry import PRESETS
from fedsim.world.scalers.schedule import Appointment, Schedule


def _quantity(of: str) -> Quantity | None:
    """Return what a signal is measured in; None for a number of requests."""
    if of in SHARES:
        return SHARE
    if of == "arrival_rate":
        return RATE
    return DURATION if "_p" in of else None


if TYPE_CHECKING:
    _Derived = SettingsOf[Any]
else:
    _Derived = SettingsOf


class SignalSettings(_Derived):
    """What a scaler goes by, and what it aims at."""

    @model_validator(mode="after")
    def _has_a_target(self) -> Self:
        self.build()
        return self

    of: str
    target: float | str

    def build(self, **others: object) -> Any:
        """Return what is measured, and its target in base units."""
        target, quantity = self.target, _quantity(self.of)
        if quantity is not None and isinstance(target, str):
            target = Unit(quantity, above=0.0).validate(target)
        elif quantity is not None or isinstance(target, str):
            example = "8" if quantity is None else quantity.format(0.8)
            message = f"{shown(target)} is no target for {self.of}."
            raise error(message, f"Write for instance {example}.", "target")
        return super().build(**{"target": float(target), **others})


def _signal_model(config: type[SignalConfig]) -> type[SignalSettings]:
    (field,) = (each for each in fields(config) if each.name == "target")
    keys: dict[str, Any] = keys_of(config)
    text = (
        "What a ready node should have of it: a number of requests, a rate such as 10/s, a share "
        "such as 80%, or a time such as 2s."
    )
    default: Any = ... if field.default is MISSING else field.default
    target: Any = Annotated[float, Field(gt=0.0)] | str
    made: Any = create_model(
        config.__name__ + "Settings",
        __base__=SignalSettings,
        __doc__=inspect.cleandoc(config.__doc__ or "").partition("\n")[0],
        **{
            "of": keys.pop("of"),
            "target": (target, Field(default=default, description=text, examples=[8])),
            **keys,
        },
    )
    made.config = config
    model: type[SignalSettings] = made
    return model


class Scaler(Settings):
    """How the number of nodes of a pool changes; its count is that of the start."""

    min: int = Field(
        default=default_of(ScalerConfig, "min"), ge=0, description="Fewest nodes, 1 or more."
    )
    max: CountFrom1 = Field(
        description="Most nodes that are paid for at once, those that drain included.",
        examples=[20],
    )
    start: AnyDuration | None = Field(
        default=None,
        description=(
            "Time from a node's order until it is ready; the pool's cold_start where not given, or "
            "else none."
        ),
        examples=[{"distribution": "lognormal", "median": "3min", "p99": "8min"}],
    )
    drain: Duration = Field(
        default=default_of(ScalerConfig, "drain_s"),
        description=(
            "Longest time that a node which is given up may take to finish what it has; the rest "
            "fails."
        ),
    )
    advisory: Literal["on", "off"] = Field(
        default="off", description="Whether decisions are recorded only, and nodes stay."
    )

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.min == 0:
            message = "min: 0 needs a queue at the gateway, which is not built yet in this version."
            raise error(message, "Write 1 or more.", "min")
        if self.max < self.min:
            message = f"At most {self.max} nodes are fewer than the {self.min} of min."
            raise error(message, "Raise max, or lower min.", "max")
        return self

    def decides(self) -> Preset | OwnScaler:
        """Return the preset with its settings, or the user's own."""
        raise NotImplementedError


class PresetScaler(Scaler, _Derived):
    """A scaler as in a product."""

    @model_validator(mode="after")
    def _works(self) -> Self:
        self.build()
        return self

    def build(self, **others: object) -> Any:
        """Return the preset with its settings."""
        signal, times = getattr(self, "signal", None), getattr(self, "times", None)
        if signal is not None:
            others["signal"] = signal.build()
        if times is not None:
            others["times"] = tuple(Appointment(each.at, each.nodes) for each in times)
        for field in fields(self.config):
            needed = field.default is MISSING and field.default_factory is MISSING
            if needed and field.name not in others:
                others[field.name] = getattr(self, key_of(field.name))
        return super().build(**others)

    def decides(self) -> Preset:
        """Return the preset with its settings."""
        built: Preset = self.build()
        return built


class PlannedNodes(Settings):
    """From when on there should be how many nodes."""

    at: Duration = Field(description="When, from the start of each period.", examples=["7h"])
    nodes: CountFrom1 = Field(description="How many.", examples=[12])


_TIMES: Any = (
    Annotated[list[PlannedNodes], Field(min_length=1)],
    Field(
        description=(
            "From when on there should be how many nodes, in the order of time; before the first, "
            "as many as after the last."
        ),
        examples=[[{"at": "7h", "nodes": 12}, {"at": "19h", "nodes": 4}]],
    ),
)


def _model(kind: type[Preset]) -> type[PresetScaler]:
    keys: dict[str, Any] = {"preset": (Literal[kind.name], ...)}
    signal = next((each for each in fields(kind) if each.name == "signal"), None)
    if signal is not None:
        model = _signal_model(get_type_hints(kind)["signal"])
        needed: Any = Field(
            description="What it goes by, and what it aims at.", examples=[{"target": 8}]
        )
        usual: Any = Field(default_factory=model, description="What it goes by.")
        keys["signal"] = (model, needed if signal.default_factory is MISSING else usual)
    if kind is Schedule:
        keys["times"] = _TIMES
    keys |= keys_of(kind)
    text = (inspect.getdoc(kind) or "").partition("\n\n")[0]
    made: Any = create_model(f"{kind.__name__}Scaler", __base__=PresetScaler, __doc__=text, **keys)
    made.config = kind
    finished: type[PresetScaler] = made
    return finished


class OwnSettings(Scaler):
    """A scaler of one's own."""

    preset: PlugInName = Field(description="The class, as module:Class.")
    every: PositiveDuration = Field(
        default=default_of(OwnScaler, "every_s"), description="Time between two decisions."
    )
    signal: SettingsOf[OwnSignal] = Field(
        default_factory=SettingsOf[OwnSignal], description="What is measured for it."
    )
    settings: dict[str, Any] = Field(
        default_factory=dict, description="What its context has as settings."
    )

    def decides(self) -> OwnScaler:
        """Return the user's own scaler."""
        signal = self.signal.build()
        return OwnScaler(
            plugin=self.preset, every_s=self.every, signal=signal, settings=self.settings
        )


_PRESET = Choice(
    key="preset",
    tags={name: f"<{name}>" for name in PRESETS},
    noun="preset of a scaler",
)


def _check(value: Any) -> Any:
    own = isinstance(value, dict) and names_class(value.get("preset"))
    return value if own else _PRESET.check(value)


def _tag(value: Any) -> str:
    preset = value["preset"] if isinstance(value, dict) else value.preset
    return "<own>" if names_class(preset) else _PRESET.tag(value)


AnyScaler: Any = Annotated[
    union_of(
        {f"<{name}>": partial(_model, kind) for name, kind in PRESETS.items()}
        | {"<own>": lambda: OwnSettings}
    ),
    Discriminator(_tag),
    BeforeValidator(_check),
]
"""A scaler, a preset's or one's own."""
