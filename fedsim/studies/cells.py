"""Cells: one variant of a scenario in one replication, which is one run.

A run is known by its id, a hash of all that decides what comes out of it. So a finished run is
found again whatever study asks for it, and one that anything has changed for is another run.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cloudpickle

from fedsim.scenario.installed import module_offering
from fedsim.scenario.schema.sweep import NOT_OF_A_RUN
from fedsim.scenario.spec import Scenario
from fedsim.version import __version__

_PLUGIN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_INSTALLED = ("site-packages", "dist-packages")
_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Cell:
    """A variant of a scenario in one replication.

    Attributes:
        key: What tables call it, by column: ``{"strategy": "random"}``. Cells of one replication
            differ in it.
        changes: What is changed in the scenario, as by `Scenario.changed`.
        replication: The replication, from 0.
        notes: What a user should know of the variant, as sentences.
        commit: The hash of the commit that its plug-ins come from; empty for what is there now.
    """

    key: Mapping[str, Any]
    changes: Mapping[str, Any] = field(default_factory=lambda: _NONE)
    replication: int = 0
    notes: tuple[str, ...] = ()
    commit: str = ""


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A cell with what is known of its run before it begins.

    Attributes:
        id: The run's id, 32 hexadecimal digits.
        seed: The run's seed.
        cell: The cell.
        texts: The cell's changes as plain values, an object by the text that names it.
        plugins: The digest of the source of each plug-in, by the text that names it; and that of
            each file that the scenario names, such as a trace, by its path.
        partly_known: The plug-ins of which only their own source can be known, not what it uses.
    """

    id: str
    seed: int
    cell: Cell
    texts: Mapping[str, Any] = field(default_factory=lambda: _NONE)
    plugins: Mapping[str, str] = field(default_factory=lambda: _NONE)
    partly_known: tuple[str, ...] = ()


def replication_seed(seed: int, replication: int) -> int:
    """Return the seed of a replication, from 0, of a study with *seed*; it is below 2**53.

    It is a hash, so that studies with the seeds 7 and 8 have no run in common.
    """
    name = f"{seed}/replication/{replication}".encode()
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "big") >> 11


class Variants:
    """The scenarios that cells make of one, each made once.

    Args:
        scenario: What the cells change.
        seeds: The seed of each replication; None for those of ``replication_seed``.
    """

    def __init__(self, scenario: Scenario, seeds: Iterable[int] | None = None) -> None:
        self.scenario = scenario
        self._seeds = None if seeds is None else tuple(seeds)
        self._known: dict[str, tuple[Any, ...]] = {}

    def planned(self, cell: Cell) -> PlannedRun:
        """Return the run of *cell*.

        Raises:
            ScenarioError: Its changes make no scenario.
        """
        seed = self.seed(cell.replication)
        named = repr(sorted(cell.key.items(), key=lambda item: item[0]))
        if named not in self._known:
            self._known[named] = self._variant(cell)
        begun, *facts = self._known[named]
        state = begun.copy()
        state.update(str(seed).encode())
        return PlannedRun(state.hexdigest(), seed, cell, *facts)

    def seed(self, replication: int) -> int:
        """Return the seed of a replication."""
        if self._seeds is not None:
            return self._seeds[replication]
        return replication_seed(self.scenario.seed, replication)

    def _variant(self, cell: Cell) -> tuple[Any, ...]:
        """Return the state of the id's hash but for the seed, and the facts of `PlannedRun`."""
        scenario = self.scenario.changed(cell.changes)
        at = {f"git commit {cell.commit}": cell.commit}
        plugins = at if cell.commit else plugin_digests(scenario)
        plugins |= file_digests(scenario)
        decisive = {**of_a_run(scenario), "seed": None}
        data = json.dumps([__version__, plugins, decisive], default=str)
        begun = blake2b(data.encode(), digest_size=16)
        partly = tuple(text for text, each in scenario.objects.items() if _at_prompt(_kind(each)))
        return begun, _texts(scenario, cell.changes), plugins, partly


def of_a_run(scenario: Scenario) -> dict[str, Any]:
    """Return what of a resolved scenario decides on its runs."""
    return {key: value for key, value in scenario.resolved.items() if key not in NOT_OF_A_RUN}


def plugin_digests(scenario: Scenario) -> dict[str, str]:
    """Return the digest of the source of each plug-in that lies outside site-packages.

    That of an imported plug-in covers the modules which it imports from next to it; that of a class
    of the running script covers the script, too. That of an object given in Python covers its
    state, where the object can be pickled.
    """
    found = {}
    for text in texts_in([scenario.resolved.get(part) for part in ("federation", "pools")]):
        given = scenario.objects.get(text)
        sources = plugin_sources(text, scenario.plugin_directory) or {}
        if given is None or (isinstance(given, type) and sources):
            digest = source_digest(sources)
        else:
            source = _object_source(given, scenario.plugin_directory)
            digest = blake2b(source, digest_size=16).hexdigest() if source else ""
        if digest:
            found[text] = digest
    return found


def file_digests(scenario: Scenario) -> dict[str, str]:
    """Return the digest of each file that a resolved scenario names, such as a trace, by path."""
    return {
        text: _file_digest(path, path.stat().st_mtime_ns)
        for text in texts_in(scenario.resolved)
        if (path := Path(text)).is_absolute() and path.is_file()
    }


@lru_cache(maxsize=64)
def _file_digest(path: Path, _: int) -> str:
    return blake2b(path.read_bytes(), digest_size=16).hexdigest()


def plugin_sources(text: str, directory: Path) -> dict[Path, bytes] | None:
    """Return the sources of the plug-in that a text names, by file; None where it names none.

    They are those outside site-packages, with those next to them that they import.

    Args:
        text: Such as ``module:Class``, the name that an installed package offers, or what
            stands behind an adapter's slash, as in ``skypilot/file.py:Class``.
        directory: Where its module may be, in addition to Python's path and the current directory.
    """
    named = text.partition("/")[2] or text
    file = directory / named.rpartition(":")[0] if named != text else directory
    if file.suffix == ".py" and file.is_file():
        return _file_sources(file.resolve(), file.stem, directory)
    module = named.partition(":")[0] if _PLUGIN.fullmatch(named) else module_offering(named)
    return None if module is None else _module_sources(module, directory)


def source_digest(sources: Mapping[Path, bytes]) -> str:
    """Return the digest of what `plugin_sources` gives; empty for no sources."""
    source = b"\0".join(sources.values())
    return blake2b(source, digest_size=16).hexdigest() if source else ""


def texts_in(tree: Any) -> Iterator[str]:
    """Yield every text of plain values, keys included."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield str(key)
            yield from texts_in(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from texts_in(value)


def _texts(scenario: Scenario, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return *changes* with plain values: what the changed scenario has at their paths."""
    found = {}
    for path, value in changes.items():
        try:
            json.dumps(value)
            found[path] = value
        except TypeError:
            found[path] = _at(scenario.resolved, path)
    return found


def _at(tree: Any, path: str) -> Any:
    for key in path.split("."):
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _kind(value: Any) -> type:
    return value if isinstance(value, type) else type(value)


def _script() -> Path | None:
    """Return the file of the script that runs; None in a notebook, at a prompt and for a pipe."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is None or _is_installed(file) or not Path(file).is_file():
        return None
    return Path(file).resolve()


def _at_prompt(kind: type) -> bool:
    """Return whether a class was defined in a notebook or at a prompt."""
    return kind.__module__ == "__main__" and _script() is None


def _object_source(value: Any, directory: Path) -> bytes:
    kind, script = _kind(value), _script()
    try:
        source = inspect.getsource(kind).encode()
    except (OSError, TypeError):
        source = b""
    if kind.__module__ != "__main__":
        source += b"\0".join(_module_sources(kind.__module__, directory).values())
    elif script is not None:
        source += b"\0".join(_file_sources(script, "__main__", directory).values())
    if value is kind and source:
        return source
    try:
        packed: bytes = cloudpickle.dumps(value)
    except Exception:  # noqa: BLE001 - whatever an object of the user's raises
        packed = b""
    return source + packed


def _module_sources(module: str, directory: Path) -> dict[Path, bytes]:
    sources: dict[Path, bytes] = {}
    _gather(module, [*sys.path, *_places(directory)], sources)
    return {path: sources[path] for path in sorted(sources)}


def _file_sources(file: Path, module: str, directory: Path) -> dict[Path, bytes]:
    sources: dict[Path, bytes] = {}
    _gather_file(file, module, _places(directory), sources)
    return {path: sources[path] for path in sorted(sources)}


def _places(directory: Path) -> list[str]:
    return [str(Path.cwd()), str(directory.resolve())]


def _gather(module: str, places: list[str], sources: dict[Path, bytes]) -> None:
    for name in _parents(module):
        found = PathFinder.find_spec(name, places)
        if found is None and "." not in name:
            with suppress(ImportError, ValueError):
                found = find_spec(name)  # by the finder of an editable installation
        origin = None if found is None else found.origin
        if origin is None or not origin.endswith(".py") or _is_installed(origin):
            return
        _gather_file(Path(origin).resolve(), module, places[-2:], sources)
        places = list(found.submodule_search_locations or ()) if found is not None else []


def _gather_file(file: Path, module: str, places: list[str], sources: dict[Path, bytes]) -> None:
    if file not in sources:
        sources[file] = file.read_bytes()
        for imported in _imports(sources[file], module):
            _gather(imported, [os.fspath(file.parent), *places], sources)


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


def _is_installed(origin: str) -> bool:
    house, library = str(Path(__file__).parent.parent), str(Path(os.__file__).parent)
    return origin.startswith((house, library)) or any(part in origin for part in _INSTALLED)


def _imports(source: bytes, module: str) -> list[str]:
    """Return the modules that a source imports; a relative import counts from its own package."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.append(node.module)
        elif isinstance(node, ast.ImportFrom) and node.level:
            stem = module.rsplit(".", node.level)[0] if "." in module else ""
            names.append(".".join(part for part in (stem, node.module) if part))
    return [name for name in dict.fromkeys(names) if name and name != "fedsim"]
