"""Reading YAML with positions: YAML 1.2 scalars, no duplicate keys, and where every value stands.

The reader differs from plain PyYAML in what a person is surprised by there: ``no`` and ``off`` are
strings, ``1e3`` is a number, ``1:30`` is a string, and a key that stands twice is an error. What it
builds is plain: dicts with string keys, lists, and scalars.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from fedsim.errors import Problem, ScenarioError

KeyPath = tuple[str | int, ...]
"""A path into the tree: keys of mappings and indices of lists."""

_DEEPEST = 60
_MOST_VALUES = 200_000
_CORE = "tag:yaml.org,2002:"
_CORE_SCALARS = (
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
)


def _core_resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    table: dict[str, list[tuple[str, re.Pattern[str]]]] = {"": []}
    for name, pattern, first_letters in _CORE_SCALARS:
        entry = (_CORE + name, re.compile(rf"(?:{pattern})\Z"))
        for letter in first_letters:
            table.setdefault(letter, []).append(entry)
    table[""].append((_CORE + "null", re.compile(r"\Z")))
    return table


CORE_RESOLVERS = _core_resolvers()
"""What plain scalars mean in YAML 1.2, by their first letter, as PyYAML wants it."""

_ADVICE = (
    ("cannot start any token", "Indent with spaces, and quote text that starts with @, ` or %."),
    ("mapping values are not allowed", "Quote text that contains ': ', and check the indentation."),
    ("undefined alias", "Quote text that starts with *, or define the anchor before its use."),
    ("expected a single document", "Keep one document in a file."),
    ("end of stream", "Close the quote or bracket that is still open."),
    ("expected ',' or", "Close the bracket that is still open, or add the missing comma."),
)
_GENERAL_ADVICE = "Check the indentation, quotes and brackets of this line and the one above."


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: a file, and a one-based line and column where it has text."""

    file: str
    line: int | None = None
    column: int | None = None


@dataclass(slots=True)
class Document:
    """A YAML file as plain values, and where each of them stands.

    Attributes:
        file: The file's name as the user gave it.
        tree: The values.
        values: Places of values.
        keys: Places of the keys of mappings.
        problems: What is wrong but does not stop the reading.
        objects: Python objects by the texts in their place in the tree.
    """

    file: str
    tree: Any
    values: dict[KeyPath, Place] = field(default_factory=dict)
    keys: dict[KeyPath, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    objects: dict[str, Any] = field(default_factory=dict)

    def place(self, path: KeyPath, *, at_key: bool = False) -> Place:
        """Return where the value or key at *path* stands, or else the nearest thing around it."""
        if at_key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Place(self.file))

    def problem(
        self, path: KeyPath, message: str, remedy: str = "", *, at_key: bool = False
    ) -> Problem:
        """Return a problem with the value, or with the key, at *path*."""
        place = self.place(path, at_key=at_key)
        return Problem(message, remedy, dotted(path), place.file, place.line, place.column)


def dotted(path: Sequence[str | int]) -> str:
    """Return *path* as a person writes it, such as ``faults.2.node``."""
    return ".".join(str(part) for part in path)


def has(value: Any, step: Any) -> bool:
    """Return whether *value* is a mapping with the key *step*, or a list with that index."""
    if isinstance(value, list):
        return isinstance(step, int) and step < len(value)
    return isinstance(value, dict) and step in value


def read_document(path: Path) -> Document:
    """Read the YAML file at *path*.

    Raises:
        ScenarioError: If it cannot be read, or is not YAML.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        problem = Problem(f"The file cannot be read: {reason}.", _meant(path), file=str(path))
        raise ScenarioError([problem]) from None
    except UnicodeDecodeError as error:
        message = f"The file is not UTF-8 text: byte {error.start} is wrong."
        problem = Problem(message, "Save it as UTF-8.", file=str(path))
        raise ScenarioError([problem]) from None
    return parse_document(text, str(path))


def _meant(path: Path) -> str:
    """Return which file may be meant by one that is not there, or nothing."""
    if path.exists() or not path.parent.is_dir():
        return ""
    files = sorted(each for each in path.parent.iterdir() if each.suffix in {".yaml", ".yml"})
    stem = path.stem if path.suffix in {".yaml", ".yml"} else path.name
    close = get_close_matches(stem, [each.stem for each in files], 1)  # endings look alike
    meant = [each for each in files if close and each.stem == close[0]]
    return f"Did you mean {meant[0]}?" if meant else ""


def parse_document(text: str, file: str) -> Document:
    """Return the YAML document *text*; *file* names it in problems.

    Raises:
        ScenarioError: If it is not YAML.
    """
    _refuse_unprintable(text, file)
    try:
        _refuse_depth(text, file)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise ScenarioError([_syntax_problem(error, file)]) from None
    except yaml.YAMLError as error:
        raise ScenarioError([Problem(f"The file is not YAML: {error}.", file=file)]) from None
    document = Document(file, None)
    if root is not None:
        builder = _Builder(document)
        document.tree = builder.build(root, ())
    return document


def parse_value(text: str, file: str) -> Any:
    """Return the plain value of the YAML *text*, all problems raised at once.

    Raises:
        ScenarioError: If it is not YAML.
    """
    document = parse_document(text, file)
    if document.problems:
        raise ScenarioError(document.problems)
    return document.tree


_FastestLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_FastestLoader):  # type: ignore[misc]  # with or without libyaml
    """PyYAML's loader, in C where there is one, with the scalars of YAML 1.2."""

    yaml_implicit_resolvers = CORE_RESOLVERS


class _Builder:
    """Turns nodes into plain values, and notes their places in a document."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._open: list[yaml.Node] = []
        self._count = 0

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        place = _place(node, self._document.file)
        self._document.values[path] = place
        self._count += 1
        if self._count > _MOST_VALUES:
            self._stop(place, "The file has too many values.", "Use fewer aliases.")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if any(node is parent for parent in self._open):
            self._stop(place, "An alias contains itself.", "Write the values out.")
        self._open.append(node)
        value: Any
        if isinstance(node, yaml.MappingNode):
            value = self._mapping(node, path)
        else:
            assert isinstance(node, yaml.SequenceNode)
            value = [self.build(item, (*path, n)) for n, item in enumerate(node.value)]
        self._open.pop()
        return value

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = _place(key_node, self._document.file)
            if not isinstance(key_node, yaml.ScalarNode):
                self._note(place, path, "A key must be a plain word.", "Quote it if it is text.")
                continue
            key = str(key_node.value)
            child = (*path, key)
            if key in mapping:
                first = self._document.keys[child].line
                message = f"The key {key!r} stands twice; the first is in line {first}."
                self._note(place, child, message, "Remove or rename one.")
                continue
            self._document.keys[child] = place
            mapping[key] = self.build(value_node, child)
        return mapping

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        text, kind = str(node.value), str(node.tag).removeprefix(_CORE)
        try:
            return _SCALARS[kind](text)
        except KeyError:
            problem = f"The tag {node.tag!r} is not supported."
        except ValueError:
            problem = f"{text[:40]!r} is not a value of type {kind}."
        place = self._document.values[path]
        self._note(place, path, problem, "Write a plain value, or quote it if it is text.")
        return text

    def _note(self, place: Place, path: KeyPath, message: str, remedy: str) -> None:
        problem = Problem(message, remedy, dotted(path), place.file, place.line, place.column)
        self._document.problems.append(problem)

    def _stop(self, place: Place, message: str, remedy: str) -> None:
        problem = Problem(message, remedy, "", place.file, place.line, place.column)
        raise ScenarioError([*self._document.problems, problem])


def _place(node: Any, file: str) -> Place:
    """Return the place of a node or an event."""
    return Place(file, node.start_mark.line + 1, node.start_mark.column + 1)


def _integer(text: str) -> int:
    return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: dict[str, Any] = {
    "null": lambda _: None,
    "bool": lambda text: text.lower() == "true",
    "int": _integer,
    "float": _float,
    "str": str,
}


def _refuse_unprintable(text: str, file: str) -> None:
    match = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if match is None:
        return
    before = text[: match.start()].split("\n")
    message = f"The character U+{ord(match[0]):04X} is not allowed in YAML."
    problem = Problem(message, "Remove it.", "", file, len(before), len(before[-1]) + 1)
    raise ScenarioError([problem])


def _refuse_depth(text: str, file: str) -> None:
    """Refuse what would overflow the stack of the composer, which recurses."""
    depth = 0
    for event in _events(text):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            message = f"The values are nested more than {_DEEPEST} levels deep."
            place = _place(event, file)
            problem = Problem(message, "Write it flatter.", "", file, place.line, place.column)
            raise ScenarioError([problem])


def _events(text: str) -> Iterator[yaml.Event]:
    return iter(yaml.parse(text, Loader=_Loader))


def _syntax_problem(error: yaml.MarkedYAMLError, file: str) -> Problem:
    reason = error.problem or "it cannot be parsed"
    context = f"{error.context}, " if error.context else ""
    advice = (remedy for symptom, remedy in _ADVICE if symptom in reason)
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (None, None)
    message = f"The file is not YAML: {context}{reason}."
    return Problem(message, next(advice, _GENERAL_ADVICE), "", file, line, column)
