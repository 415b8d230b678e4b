"""Write the keys of the scenario file into ``docs/scenario.md``, from the models that check it.

``python docs/make_reference.py`` replaces what stands between the page's two markers. A test in
``tests/docs`` fails when the page and the models disagree.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from docs.blocks import between
from fedsim.scenario import instants, units
from fedsim.scenario.json_schema import schema
from fedsim.scenario.schema.base import Later, Settings, fields_by_key, listed
from fedsim.scenario.schema.derived import SettingsOf
from fedsim.scenario.schema.distributions import AnyDuration, DistributionSettings
from fedsim.scenario.schema.root import ScenarioFile

PAGE = Path(__file__).resolve().parent / "scenario.md"
BEGIN = "<!-- keys: written by `python docs/make_reference.py` -->"
END = "<!-- end of the keys -->"

DISTRIBUTIONS = """\
## Distributions

Of durations, as in `service`, and of counts, as in `tokens`: where a table says *duration*, a count
is a number without a unit. Drawn counts are rounded to whole numbers, token counts to at least 1.
Give one of the sets of parameters that the sentence names, and no others.
"""

TEXTS = {
    instants.PATTERN: "date and time with its zone",
    units.DURATION.pattern(): "duration",
    units.RATE.pattern(): "rate",
    units.TOKEN_RATE.pattern(): "rate of tokens",
    units.PRICE.pattern(): "price",
    units.SHARE.pattern(): "percentage",
    units.GROWTH.pattern(): "growth per month",
}

MOST_LINKS = 3
"""Mappings of one list that are linked one by one."""

HEAD = ("| key | value | default | meaning |", "|---|---|---|---|")
"""What a table begins with."""

MANY = 3
"""Mappings at one place that have a row in common which is then written once for all of them."""


@dataclass(frozen=True, eq=False)
class Section:
    """A part of the reference: the keys of one mapping of the file.

    Attributes:
        model: Its model.
        path: Where it stands in the file, or in another such mapping.
        words: What tells it from others at that place, or empty.
        keys: The keys of its table.
        elsewhere: Sections of the keys that it has in common with other mappings.
    """

    model: type[Settings]
    path: str
    words: str
    keys: tuple[str, ...]
    elsewhere: tuple[Section, ...] = ()

    @cached_property
    def heading(self) -> str:
        """The heading."""
        if not self.path:
            return self.words or "The file"
        return f"`{self.path}`, {self.words}" if self.words else f"`{self.path}`"

    @property
    def anchor(self) -> str:
        """What a link to the heading ends in."""
        return _anchor(self.heading)

    @property
    def label(self) -> str:
        """What it is called among others at that place: the last word that tells it from them."""
        found: list[str] = re.findall(r"`(?:\w+: )?([^`]+)`", self.words or self.heading)
        return found[-1]

    @property
    def link(self) -> str:
        """A link to it, for the column of values."""
        return f"[{self.words}](#{self.anchor})" if self.words else f"[see below](#{self.anchor})"


@dataclass(frozen=True)
class Row:
    """A row of a table: a key, and what is said of it."""

    key: str
    value: str
    default: str
    meaning: str

    def __str__(self) -> str:
        return f"| `{self.key}` | {self.value} | {self.default} | {self.meaning} |"


class SharedRows:
    """The rows that many mappings at one place have, but for their defaults.

    Args:
        path: The place.
        tables: The rows of each mapping there.
    """

    def __init__(self, path: str, tables: Mapping[Section, list[Row]]) -> None:
        self.heading = f"`{path}`, keys of several kinds"
        self.level = 2 + _depth(path)
        found: dict[tuple[str, str, str], dict[Section, str]] = {}
        for section, rows in tables.items():
            for row in rows:
                alike = found.setdefault((row.key, row.value, row.meaning), {})
                alike[section] = row.default
        self._defaults = {row: held for row, held in found.items() if len(held) >= MANY}

    def keys_of(self, section: Section) -> tuple[str, ...]:
        """Return the keys of a mapping whose rows are here."""
        return tuple(key for (key, _, _), held in self._defaults.items() if section in held)

    def rows(self) -> list[Row]:
        """Return the rows, each with the defaults of all that have it."""
        return [
            Row(key, value, _defaults(held), meaning)
            for (key, value, meaning), held in self._defaults.items()
        ]


def _defaults(held: Mapping[Section, str]) -> str:
    """Return a default; where mappings differ, the most frequent one and the others by name."""
    (usual, _), *others = Counter(held.values()).most_common()
    said = [
        f"{default} for {_named(each.label for each in held if held[each] == default)}"
        for default, _ in others
    ]
    return "; ".join([usual, *said])


def sections() -> list[Section]:
    """Return all sections but those of distributions, in the order of the file."""
    found: list[Section] = []
    _visit({ScenarioFile: ""}, "", found)
    return found


def distributions() -> list[Section]:
    """Return the sections of distributions, as of durations."""
    kinds = [model for model, _ in _inside(AnyDuration, "")]
    return [Section(kind, "", _words(kind), _shown(kind)) for kind in kinds]


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _visit(models: Mapping[type[Settings], str], path: str, found: list[Section]) -> None:
    """Add the sections of *models*, which may stand at *path*, and of all that they hold.

    Args:
        models: The models, each with what is said of what it stands in.
        path: Where they stand.
        found: The sections so far.
    """
    known = {section.model for section in found}
    new = {model: around for model, around in models.items() if model not in known}
    for model, around in new.items():
        shared = tuple(_common(parent, path, found) for parent in _parents(model))
        common = {key for section in shared for key in section.keys}
        keys = tuple(key for key in _shown(model) if key not in common)
        words = ", ".join(filter(None, (_words(model, by_keys=len(new) > 1), around)))
        found.append(Section(model, path, words, keys, shared))
    inner: dict[str, dict[type[Settings], set[type[Settings]]]] = {}
    for model in new:
        for key, (_, field) in fields_by_key(model).items():
            for each, step in _inside(field.annotation, f"{path}.{key}".lstrip(".")):
                if not issubclass(each, DistributionSettings):
                    inner.setdefault(step, {}).setdefault(each, set()).add(model)
    for step, holders in inner.items():
        several = len(set().union(*holders.values())) > 1
        _visit(
            {
                each: _around([_words(one) or new[one] for one in held]) if several else ""
                for each, held in holders.items()
            },
            step,
            found,
        )


def _around(holders: list[str]) -> str:
    """Return what is said of the mappings that hold one, if they are few and all have a word."""
    return listed(sorted(holders), "or") if len(holders) < MANY and all(holders) else ""


def _common(parent: type[Settings], path: str, found: list[Section]) -> Section:
    """Return the section of the keys that mappings have from *parent*; add it where it is new."""
    for section in found:
        if section.model is parent:
            return section
    keys = _own_keys(parent)
    noun = "common key" if len(keys) == 1 else "common keys"
    found.append(Section(parent, path, f"{noun} {_named(keys)}", keys))
    return found[-1]


def _named(keys: Iterable[str]) -> str:
    return ", ".join(f"`{key}`" for key in keys)


def _inside(hint: Any, path: str) -> Iterator[tuple[type[Settings], str]]:
    """Yield the models in a type, each with where it stands."""
    if isinstance(hint, Later) and hint.make is not None:
        hint = hint.make()
    if isinstance(hint, type) and issubclass(hint, Settings):
        yield hint, path
    step = f"{path}.<name>" if get_origin(hint) is dict else path
    for inner in get_args(hint):
        yield from _inside(inner, step)


def _parents(model: type[Settings]) -> list[type[Settings]]:
    """Return the models from which *model*, as others, has some keys, the furthest first."""
    return [parent for parent in reversed(model.__mro__) if _CHILDREN[parent] > 1]


def _own_keys(model: type[Settings]) -> tuple[str, ...]:
    own = vars(model).get("__annotations__", {})
    return tuple(key for key, (name, _) in fields_by_key(model).items() if name in own)


def _children() -> Counter[type]:
    """Count the mappings of the file that have keys from each parent."""
    counted: Counter[type] = Counter()
    seen: set[type] = set()

    def count(hint: Any) -> None:
        for model, _ in _inside(hint, ""):
            if model not in seen and not issubclass(model, DistributionSettings):
                seen.add(model)
                counted.update(
                    parent
                    for parent in model.__mro__[1:]
                    if issubclass(parent, Settings)
                    and not issubclass(parent, SettingsOf)
                    and _own_keys(parent)
                )
                for field in model.model_fields.values():
                    count(field.annotation)

    count(ScenarioFile)
    return counted


_CHILDREN = _children()


def _choosing(model: type[Settings]) -> dict[str, tuple[str, ...]]:
    """Return the words by which *model* is chosen, by their keys."""
    return {
        key: get_args(field.annotation)
        for key, (_, field) in fields_by_key(model).items()
        if get_origin(field.annotation) is Literal and field.is_required()
    }


def _shown(model: type[Settings]) -> tuple[str, ...]:
    """Return the keys of *model* but those that its heading says."""
    return tuple(key for key in fields_by_key(model) if key not in _choosing(model))


def _words(model: type[Settings], *, by_keys: bool = False) -> str:
    """Return what tells *model* from others: the words that choose it, or the keys that it needs.

    Args:
        model: The model.
        by_keys: Whether there are others at its place.
    """
    choosing = [
        listed([f"`{key}: {words[0]}`", *(f"`{word}`" for word in words[1:])])
        for key, words in _choosing(model).items()
    ]
    if choosing or not by_keys:
        return ", ".join(choosing)
    needed = [f"`{key}`" for key, (_, each) in fields_by_key(model).items() if each.is_required()]
    return f"with {' and '.join(needed)}" if needed else ""


class Reference:
    """Writes the sections as Markdown."""

    def __init__(self) -> None:
        self._whole = schema()
        self._sections = sections()
        self._distributions = distributions()
        self._links = {section.model.__name__: section for section in self._sections}
        tables: dict[str, dict[Section, list[Row]]] = {}
        for section in self._sections:
            tables.setdefault(section.path, {})[section] = self._rows(section)
        self._shared = {path: SharedRows(path, found) for path, found in tables.items()}

    def text(self) -> str:
        """Return the tables of all keys."""
        written: list[str] = []
        begun: set[str] = set()
        for section in self._sections:
            shared = self._shared[section.path]
            if section.path not in begun and shared.keys_of(section):
                begun.add(section.path)
                written.append(self._table_of(shared))
            written.append(self._section(section, 2 + _depth(section.path)))
        written.append(DISTRIBUTIONS)
        written += [self._section(each, 3) for each in self._distributions]
        return "\n".join(written)

    def covered(self) -> set[str]:
        """Return the names of the schema's definitions that the reference describes."""
        named = {each.model.__name__ for each in (*self._sections, *self._distributions)}
        return named | {name.replace("Duration", "Count") for name in named}

    def _table_of(self, shared: SharedRows) -> str:
        rows = [str(row) for row in shared.rows()]
        return "\n".join([f"{'#' * shared.level} {shared.heading}", "", *HEAD, *rows, ""])

    def _section(self, section: Section, level: int) -> str:
        lines = [f"{'#' * level} {section.heading}", "", self._about(section.model), ""]
        shared = self._shared[section.path] if section in self._sections else None
        keys = shared.keys_of(section) if shared else ()
        rows = [
            f"| {key} | {self._value(found)} | – | {self._meaning(found)} |"
            for key, found in self._percentiles(section.model)
        ]
        rows += [str(row) for row in self._rows(section) if row.key not in keys]
        lines += [*HEAD, *rows] if rows else []
        also = [f"[{_named(each.keys)}](#{each.anchor})" for each in section.elsewhere]
        also += [f"[{_named(keys)}](#{_anchor(shared.heading)})"] if shared and keys else []
        if also:
            lines += [*[""][: len(rows)], f"Also {listed(also, 'and')}."]
        return "\n".join([*lines, ""])

    def _rows(self, section: Section) -> list[Row]:
        properties, rows = self._properties(section.model), []
        for key in section.keys:
            (_, field), found = fields_by_key(section.model)[key], properties[key]
            row = Row(key, self._value(found), _default(field, found), self._meaning(found))
            rows.append(row)
        return rows

    def _properties(self, model: type[Settings]) -> Mapping[str, Any]:
        if model is ScenarioFile:
            found: Mapping[str, Any] = self._whole["properties"]
        elif model.__name__ in self._whole["$defs"]:
            found = self._whole["$defs"][model.__name__]["properties"]
        else:  # what mappings have in common, as one of them has it
            child = next(each.model for each in self._sections if model in each.model.__mro__[1:])
            found = self._properties(child)
        return found

    def _percentiles(self, model: type[Settings]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the keys that a mapping has for any percentile, as examples."""
        found = self._whole["$defs"].get(model.__name__, {}).get("patternProperties", {})
        for pattern, each in found.items():
            time = pattern.removeprefix("^").partition("_p(")[0]
            yield f"`{time}_p50`, `{time}_p99`, …", each

    def _about(self, model: type[Settings]) -> str:
        found = self._whole if model is ScenarioFile else self._whole["$defs"].get(model.__name__)
        return _plain((model.__doc__ if found is None else found["description"]) or "")

    def _value(self, found: dict[str, Any]) -> str:
        return " or ".join(dict.fromkeys(self._kinds(found)))

    def _kinds(self, found: dict[str, Any]) -> Iterator[str]:
        """Yield what a value may be, in words."""
        if "$ref" in found:
            yield from self._mappings([found])
        elif "anyOf" in found or "oneOf" in found:
            choices = found.get("anyOf") or found["oneOf"]
            yield from self._mappings([each for each in choices if "$ref" in each])
            for each in choices:
                if "$ref" not in each:
                    yield from self._kinds(each)
        elif found.keys() & {"const", "enum", "pattern"}:
            yield _of_text(found)
        elif "type" not in found:
            yield "anything"
        elif found["type"] == "array":
            yield f"list of: {self._value(found['items'])}"
        elif found["type"] == "object":
            inner = found.get("additionalProperties") or _first(found.get("patternProperties"))
            inner = None if inner is True else inner
            value = f": {self._value(inner)}" if inner else ""
            yield f"mapping by name{value}".replace(": mapping,", ",")
        elif found["type"] != "null":
            yield _of_type(found)

    def _mappings(self, references: Iterable[dict[str, Any]]) -> Iterator[str]:
        """Yield links to the sections of mappings; to the first, where there are many."""
        names = [each["$ref"].rpartition("/")[2] for each in references]
        linked = [self._links[name] for name in names if name in self._links]
        if len(linked) < len(names):
            yield "[distribution](#distributions)"
        if len(linked) > MOST_LINKS:
            yield f"mapping, one of those [below](#{linked[0].anchor})"
        elif linked:
            yield f"mapping, {linked[0].link}"
            yield from (section.link for section in linked[1:])

    def _meaning(self, found: dict[str, Any]) -> str:
        if "description" not in found:
            found = self._whole["$defs"][found["$ref"].rpartition("/")[2]]
        text = _plain(found["description"])
        example = found.get("examples", [{}])[0]
        return text if isinstance(example, dict | list) else f"{text} Example: `{example}`."


def _depth(path: str) -> int:
    return min(max(len([step for step in path.split(".") if step != "<name>"]), 1), 3)


def _first(mapping: Mapping[str, Any] | None) -> Any:
    return next(iter(mapping.values())) if mapping else None


def _of_text(found: dict[str, Any]) -> str:
    if "const" in found:
        return f"`{found['const']}`"
    return _of_words(found["enum"]) if "enum" in found else _of_pattern(found["pattern"])


def _of_words(words: list[str]) -> str:
    if words[0] == "round_robin":
        return "name of a strategy"
    if len(words) > 20:
        return "name in the [catalogue](catalogues.md)"
    return ", ".join(f"`{word}`" for word in words)


def _of_pattern(pattern: str) -> str:
    if pattern.endswith("ya?ml$"):
        return "name of a file"
    if pattern.startswith("^custom:"):
        return "`custom:<name>`"
    if ":" in pattern and "USD" not in pattern and pattern not in TEXTS:
        return "`module:Class`"
    return TEXTS.get(pattern, "name")


def _of_type(found: dict[str, Any]) -> str:
    words = {"string": "text", "boolean": "`true` or `false`"}
    if found["type"] in words:
        return words[found["type"]]
    word = "whole number" if found["type"] == "integer" else "number"
    low, high = found.get("minimum"), found.get("maximum")
    if "exclusiveMinimum" in found:
        return f"{word} > {found['exclusiveMinimum']:g}"
    if low is not None and high is not None and high < 1_000_000:
        return f"{word}, {low:g} to {high:g}"
    return word if low is None else f"{word} ≥ {low:g}"


def _default(field: Any, found: dict[str, Any]) -> str:
    if field.is_required():
        return "**required**"
    default = found.get("default")
    if default is None and field.default_factory is not None:
        default = field.get_default(call_default_factory=True)
        if not default:
            return "none"
        if isinstance(default, Settings | dict):
            return "as below"
    if default is None:
        return "–"
    if isinstance(default, float) and default.is_integer():
        default = int(default)
    if default == "":
        return "empty"
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def rewritten(page: Path = PAGE) -> str:
    """Return the text of *page* with the tables as the models have them now.

    Raises:
        ValueError: The page lacks the markers.
    """
    return between(page.read_text(encoding="utf-8"), BEGIN, END, Reference().text())


if __name__ == "__main__":
    PAGE.write_text(rewritten(), encoding="utf-8")
    print("docs/scenario.md")
