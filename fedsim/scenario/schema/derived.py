"""Models of the scenario file that are made from the dataclass that holds the settings.

``SettingsOf[BreakerConfig]`` is a model with a key for each setting of `BreakerConfig`, and its
``build`` returns one. `fedsim.federation.settings` says how a field becomes a key. Where the file
has more to say than the dataclass, or says it in another form, the model is a subclass.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from dataclasses import Field as DataclassField
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Generic,
    Literal,
    Self,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import BeforeValidator, Discriminator, Field, Tag, create_model, model_validator
from pydantic.fields import FieldInfo

from fedsim.federation.settings import Alone, Apart, Bare, Example, Follows, Limits
from fedsim.scenario.schema.base import OffOr, Settings, error, error_from, shown
from fedsim.scenario.schema.types import Unit
from fedsim.scenario.units import DURATION, SHARE

C = TypeVar("C")

_SECONDS = "_s"
_QUANTITIES = {"seconds": DURATION, "share": SHARE}


class SettingsOf(Settings, Generic[C]):
    """A mapping of the file with the settings that a dataclass holds."""

    config: ClassVar[type[Any]]
    """The dataclass."""

    if not TYPE_CHECKING:

        def __class_getitem__(cls, config: type) -> type:
            """Return the model of a dataclass."""
            return model_of(config)

    @model_validator(mode="after")
    def _are_possible(self) -> Self:
        if all(map(_has_default, fields(self.config))):
            self.build()
        return self

    def build(self, **others: object) -> C:
        """Return the dataclass, in which *others* are fields that no key gives as they are.

        Raises:
            PydanticCustomError: The settings do not fit together.
        """
        completed = self.completed()
        values = {
            name: setting.built(getattr(completed, setting.key))
            for name, setting in _settings(self.config).items()
            if name not in others and setting.default is not ...
        }
        try:
            built: C = self.config(**values, **others)
        except ValueError as failure:
            raise error_from(failure, key_of(getattr(failure, "field", ""))) from None
        return built

    def completed(self) -> Self:
        """Return the same with those settings filled in that follow others."""
        filled: dict[str, object] = {}
        for setting in _settings(self.config).values():
            if setting.follows is not None and getattr(self, setting.key) is None:
                leader = key_of(setting.follows)
                stated = leader in self.model_fields_set
                filled[setting.key] = getattr(self, leader) if stated else setting.default
        return self.model_copy(update=filled) if filled else self


def model_of(config: type[C], text: str = "") -> type[SettingsOf[C]]:
    """Return the model of a dataclass of settings.

    Args:
        config: The dataclass.
        text: What the mapping is for; what the docstring of *config* begins with where empty.
    """
    if config in _MODELS:
        return _MODELS[config]
    keys: dict[str, Any] = {
        key: (form, info) for key, (form, info) in keys_of(config).items() if not info.is_required()
    }
    made: Any = create_model(
        config.__name__.removesuffix("Config").removesuffix("Settings") + "Settings",
        __base__=SettingsOf,
        __doc__=text or (inspect.getdoc(config) or "").partition("\n")[0],
        **keys,
    )
    made.config = config
    model: type[SettingsOf[C]] = made
    _MODELS[config] = model
    return model


_MODELS: dict[type[Any], type[SettingsOf[Any]]] = {}


def keys_of(config: type[Any]) -> dict[str, tuple[Any, FieldInfo]]:
    """Return the keys of a dataclass of settings, each with its type and all that is said of it."""
    texts = _descriptions(config)
    return {
        each.key: (each.form, each.info(texts[name])) for name, each in _settings(config).items()
    }


def default_of(config: type[Any], field: str) -> Any:
    """Return the default of a *field* of a dataclass, for a key of another form."""
    return next(each.default for each in fields(config) if each.name == field)


def key_of(field: str) -> str:
    """Return the key in the file of a *field* of a dataclass."""
    return field.removesuffix(_SECONDS)


class _Setting:
    """A field of a dataclass of settings, and the key of the file that gives it.

    Attributes:
        key: The key.
        default: The field's default, or ``...`` where it has none.
        form: The type of the key.
        follows: The field that it follows, or None.
    """

    def __init__(self, field: DataclassField[Any], hint: Any) -> None:
        self.key = key_of(field.name)
        marks = {type(mark): mark for mark in _marks(hint)}
        self.follows = marks[Follows].field if Follows in marks else None
        self._alone = marks[Alone].field if Alone in marks else None
        self._members, optional = _members(hint)
        self._examples = [mark.value for mark in _all_marks(hint) if isinstance(mark, Example)]
        self._group: Any = self._members[0] if is_dataclass(self._members[0]) else None
        self.default = ... if field.default is MISSING else field.default
        if field.default_factory is not MISSING:
            self.default = field.default_factory()
        self._off = optional and (self.default is not None or self._group is not None)
        self.form = self._form(field.name)
        if self.follows is not None or (optional and not self._off):
            self.form |= None

    def built(self, value: Any) -> Any:
        """Return what the dataclass takes for a *value* of the key."""
        if isinstance(value, SettingsOf):
            return value.build()
        if self._off and value == "off":
            return None
        if self._alone is not None and self._group is not None:
            return self._group(**{self._alone: value})
        return value

    def info(self, text: str) -> FieldInfo:
        """Return the key's default, with what the docstring says of the field for the file."""
        text = re.sub(r"\bNone\b", "off" if self._off else "not given", text)
        text = text.replace(", in seconds", "")
        found: Any = Field(
            default=self._written(), description=text, examples=self._examples or None
        )
        if self._group is not None and self.default is not None and self._alone is None:
            found = Field(default_factory=model_of(self._group), description=text)
        info: FieldInfo = found
        return info

    def _written(self) -> Any:
        """Return the default as the file's value."""
        if self.follows is not None:
            return None
        if self.default is None:
            return "off" if self._off else None
        if self._group is not None:
            assert self.default == self._group(), "the default of a group is that of its settings"
        return self.default if self._alone is None else getattr(self.default, self._alone)

    def _form(self, name: str) -> Any:
        if self._group is not None:
            return self._form_of_group(self._group)
        words = [each for each in self._members if get_origin(each) is Literal]
        values = [_value(name, each, self._off) for each in self._members if each not in words]
        if not (words and values):
            return (words or values)[0]
        return _value_or_word(values[0], words[0])

    def _form_of_group(self, group: Any) -> Any:
        model: Any = model_of(group)
        if self._alone is None:
            or_off: Any = OffOr
            return or_off[model] if self._off else model
        one = _value(self._alone, _hints(group)[self._alone], self._off)
        return Annotated[
            Annotated[model, Tag("<settings>")] | Annotated[one, Tag("<value>")],
            Discriminator(_tag_of_group),
        ]


def _settings(config: type[Any]) -> Mapping[str, _Setting]:
    """Return the settings of a dataclass that have a key, by field."""
    if config in _SETTINGS:
        return _SETTINGS[config]
    hints = _hints(config)
    _SETTINGS[config] = {
        field.name: _Setting(field, hints[field.name])
        for field in fields(config)
        if not any(isinstance(mark, Apart) for mark in _marks(hints[field.name]))
    }
    return _SETTINGS[config]


_SETTINGS: dict[type[Any], Mapping[str, _Setting]] = {}


def _has_default(field: DataclassField[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _hints(config: type) -> Mapping[str, Any]:
    return get_type_hints(config, include_extras=True)


def _descriptions(config: type) -> Mapping[str, str]:
    """Return what the docstrings of a dataclass and its bases say of its fields."""
    texts: dict[str, str] = {}
    for base in reversed(config.__mro__):
        attributes = inspect.cleandoc(base.__doc__ or "").partition("Attributes:")[2]
        found: list[tuple[str, str]] = re.findall(
            r"^ {4}(\w+): (.+(?:\n {8}.+)*)", attributes, re.MULTILINE
        )
        texts |= {name: re.sub(r"\s+", " ", text) for name, text in found}
    return texts


def _marks(hint: Any) -> tuple[Any, ...]:
    return get_args(hint)[1:] if get_origin(hint) is Annotated else ()


def _all_marks(hint: Any) -> Iterator[Any]:
    """Yield the marks of a type, and of what it is a union of."""
    yield from _marks(hint)
    if get_origin(hint) in {Union, UnionType}:
        for member in get_args(hint):
            yield from _marks(member)


def _members(hint: Any) -> tuple[tuple[Any, ...], bool]:
    """Return what a value of type *hint* may be but None, and whether it may be None."""
    if not any(isinstance(mark, Limits) for mark in _marks(hint)) and _marks(hint):
        hint = get_args(hint)[0]
    if get_origin(hint) not in {Union, UnionType}:
        return (hint,), False
    members = tuple(each for each in get_args(hint) if each is not NoneType)
    return members, len(members) < len(get_args(hint))


def _value(name: str, hint: Any, off: bool) -> Any:
    """Return the type of a single value, or of one that may be ``off``."""
    limits = next((mark for mark in _marks(hint) if isinstance(mark, Limits)), None)
    if limits is None and name.endswith(_SECONDS):
        limits = Limits("seconds", at_least=0.0)
    if limits is None:
        return hint
    if limits.unit == "number":
        bounds = Field(gt=limits.above, ge=limits.at_least, le=limits.at_most)
        number: Any = Annotated[get_args(hint)[0], bounds]
        return _count_or_off(number) if off else number
    unit = Unit(
        _QUANTITIES[limits.unit],
        above=-math.inf if limits.above is None else limits.above,
        at_most=math.inf if limits.at_most is None else limits.at_most,
        word="off" if off else None,
        bare=any(isinstance(mark, Bare) for mark in _marks(hint)),
    )
    return Annotated[float | str, unit] if off else Annotated[float, unit]


def _count_or_off(count: Any) -> Any:
    """Return the type of a whole number, or ``off``."""

    def check(value: Any) -> Any:
        if isinstance(value, str) and value != "off":
            message = f"{shown(value)} is neither a whole number nor off."
            raise error(message, "Write a whole number, or off.")
        return value

    return Annotated[
        Annotated[count, Tag("<count>")] | Annotated[Literal["off"], Tag("<word>")],
        Discriminator(lambda value: "<word>" if isinstance(value, str) else "<count>"),
        BeforeValidator(check),
    ]


def _value_or_word(value: Any, words: Any) -> Any:
    """Return the type of a value, or of a word; what begins with the letter of all words is one."""
    (letter,) = {word[0] for word in get_args(words)}

    def tag(given: Any) -> str:
        return "<word>" if isinstance(given, str) and given.startswith(letter) else "<value>"

    return Annotated[
        Annotated[words, Tag("<word>")] | Annotated[value, Tag("<value>")], Discriminator(tag)
    ]


def _tag_of_group(value: Any) -> str:
    return "<settings>" if isinstance(value, dict | Settings) else "<value>"
