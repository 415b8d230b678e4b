"""What all models of the scenario file share: strictness, error texts, and choices by a key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache, reduce
from importlib import import_module
from operator import or_
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Tag,
    TypeAdapter,
    ValidationInfo,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

Wording = tuple[str, str]
"""What is wrong, and what to write instead."""

PROBLEM = "fedsim"
"""The type of the errors that are raised here, which already are in our words."""


@dataclass(slots=True)
class Notes:
    """What a validation notes for whoever words its errors: the model of each mapping by ``id``."""

    models: dict[int, type[Settings]] = field(default_factory=dict)


class Settings(BaseModel):
    """A mapping of the scenario file with a fixed set of keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True
    )

    unbuilt: ClassVar[Mapping[str, str]] = {}
    """Keys of the file's format that this version does not support, and what to write instead."""

    lacks: ClassVar[Mapping[str, Wording]] = {}
    """Keys that such a mapping has elsewhere in the format, but not here, and what to say of it."""

    @model_validator(mode="before")
    @classmethod
    def _note_model(cls, data: Any, info: ValidationInfo) -> Any:
        if isinstance(info.context, Notes):
            info.context.models[id(data)] = cls
        return data


class Later:
    """Marks a type in an annotation: its validator is built when a file first has such a value.

    A file uses few of all models, and building the validators of all takes longer than its check.

    Attributes:
        make: Returns the type, for one that is not made before either; None for the marked one.
    """

    def __init__(self, make: Callable[[], Any] | None = None) -> None:
        self.make = None if make is None else cache(make)

    @classmethod
    def at(cls, module: str, name: str) -> Later:
        """Return the mark for the type of a *name* in a *module* that is not imported before."""
        return cls(lambda: getattr(import_module(module), name))

    def __get_pydantic_core_schema__(self, source: Any, _: GetCoreSchemaHandler) -> CoreSchema:
        @cache
        def adapter() -> TypeAdapter[Any]:
            return TypeAdapter(source if self.make is None else self.make())

        def validate(value: Any, info: ValidationInfo) -> Any:
            return adapter().validate_python(value, context=info.context)

        metadata = {_ADAPTER: adapter}
        return core_schema.with_info_plain_validator_function(validate, metadata=metadata)

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        adapter: TypeAdapter[Any] = core["metadata"][_ADAPTER]()
        adapter.rebuild()
        return handler(core_schema.definitions_schema(adapter.core_schema, []))


_ADAPTER = "fedsim_adapter"


def union_of(models: Mapping[str, Callable[[], type[Settings]]]) -> Any:
    """Return the union of models that are made later, for a `Choice` among their tags.

    Args:
        models: What returns the model, by its tag.
    """
    return reduce(or_, [Annotated[Any, Later(make), Tag(tag)] for tag, make in models.items()])


@cache
def fields_by_key(model: type[Settings]) -> Mapping[str, tuple[str, FieldInfo]]:
    """Return name and field of each key of a *model*."""
    return {info.alias or name: (name, info) for name, info in model.model_fields.items()}


def error(message: str, remedy: str, at: str = "") -> PydanticCustomError:
    """Return an error for a validator to raise.

    Args:
        message: What is wrong, as a sentence.
        remedy: What to write instead, as a sentence.
        at: The key inside the validated mapping that is to blame, if there is one.
    """
    context = {"message": message, "remedy": remedy, "at": at}
    return PydanticCustomError(PROBLEM, "{message} {remedy}", context)


def error_from(failure: Exception, at: str = "") -> PydanticCustomError:
    """Return the error for a *failure* whose text has the form ``what is wrong: what to do``.

    Args:
        failure: The failure.
        at: The key inside the validated mapping that is to blame, if there is one.
    """
    message, _, remedy = str(failure).partition(": ")
    remedy = f"{remedy[:1].upper()}{remedy[1:]}." if remedy else "Correct the values."
    return error(f"{message[:1].upper()}{message[1:]}.", remedy, at)


def shown(value: object, longest: int = 60) -> str:
    """Return *value* as a short text for a message."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= longest else text[:longest] + "…"


def suggestion(word: object, known: list[str]) -> str:
    """Return a remedy that names what *word* may have meant, or else all that is *known*."""
    close = get_close_matches(str(word), known, 1)
    if close:
        return f"Did you mean {close[0]}?"
    return f"Write {listed(known)}." if known else ""


def listed(words: list[str], last: str = "or") -> str:
    """Return *words* as an enumeration in prose."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Picks one of several models by the word under a key, such as ``kind: outage``.

    Attributes:
        key: The key.
        tags: The tag of the model for each word.
        noun: What the word names, such as ``kind of fault``.
        unbuilt: Words of the file's format that this version does not support.
    """

    key: str
    tags: Mapping[str, str]
    noun: str
    unbuilt: tuple[str, ...] = ()

    def check(self, value: Any) -> Any:
        """Return *value* if it is a mapping with a known word, for use before the choice."""
        words = list(self.tags)
        if not isinstance(value, dict):
            remedy = f"Write {{{self.key}: {words[0]}, …}}."
            message = f"{shown(value)} is not a mapping."
            raise error(message, remedy)
        if self.key not in value:
            message = f"The key {self.key!r} is missing."
            raise error(message, f"Add it: {self.key}: {listed(words)}.")
        word = value[self.key]
        if word in self.unbuilt:
            message = f"The {self.noun} {word!r} is not built yet in this version."
            raise error(message, f"Write {listed(words)}.", self.key)
        if not isinstance(word, str) or word not in self.tags:
            message = f"There is no {self.noun} {shown(word)}."
            raise error(message, suggestion(word, words), self.key)
        return value

    def tag(self, value: Any) -> str:
        """Return the tag of the model for *value*, a checked mapping or a model."""
        word = value[self.key] if isinstance(value, dict) else getattr(value, self.key)
        return self.tags[word]


def tag_of_word(value: Any) -> str:
    """Return the tag that tags a plain word such as ``off`` from any other value."""
    return "<word>" if isinstance(value, str) else "<value>"


def off_or_mapping(value: Any) -> Any:
    """Return *value* if it is a mapping or ``off``, for use before the choice between them."""
    if value == "off" or isinstance(value, dict):
        return value
    message = f"{shown(value)} is neither a mapping nor off."
    if value == "on" or value is True:
        raise error(message, "Write {} for all defaults, or a mapping with its settings.")
    raise error(message, "Write off to switch it off, or a mapping with its settings.")


S = TypeVar("S", bound=Settings)

OffOr = Annotated[
    Annotated[S, Later(), Tag("<value>")] | Annotated[Literal["off"], Tag("<word>")],
    Discriminator(tag_of_word),
    BeforeValidator(off_or_mapping),
]
"""Settings, or ``off``."""


def only(word: str, *, unbuilt: str) -> Callable[[Any], Any]:
    """Return a validator that lets *word* pass and says that all else is not built yet.

    Args:
        word: The one value of the key in this version.
        unbuilt: What the others would switch on, as the subject of a sentence.
    """

    def check(value: Any) -> Any:
        if value != word:
            message = f"{unbuilt} is not built yet in this version."
            raise error(message, f"Write {word}.")
        return value

    return check
