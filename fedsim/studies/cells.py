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
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from importlib.machinery import PathFinder
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cloudpickle

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
    """

    id: str
    seed: int
    cell: Cell
    texts: Mapping[str, Any] = field(default_factory=lambda: _NONE)
    plugins: Mapping[str, str] = field(default_factory=lambda: _NONE)


def replication_seed(seed: int, replication: int) -> int:
    """Return the seed of a replication, from 0, of a study with *seed*; it is below 2**53.

    It is a hash, so that studies with the seeds 7 and 8 have no run in common.
    """
    name = f"{seed}/replication/{replication}".encode()
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "big") >> 11


def run_command(scenario: str, seed: int, changes: Mapping[str, Any]) -> str:
    """Return the command line that repeats one run.

    Args:
        scenario: The scenario file of its study.
        seed: The run's seed.
        changes: The changes of its cell as plain values.
    """
    words = ["fedsim", "run", scenario, "--seed", str(seed)]
    for path, value in changes.items():
        words += ["--set", f"{path}={value if isinstance(value, str) else json.dumps(value)}"]
    return shlex.join(words)


def repeat_command(scenario: str, run: PlannedRun) -> str:
    """Return the command line that repeats one run of the study of a scenario file.

    That of a commit's router repeats the replications before it too, next to a strategy.
    """
    if not run.cell.commit:
        return run_command(scenario, run.seed, run.texts)
    router = f"git:{run.cell.commit}:{run.texts['federation.router']}"
    words = ["fedsim", "compare", scenario, "--set", 'compare={"strategies": ["round_robin"]}']
    words += ["--replications", str(run.cell.replication + 1), "--router", router]
    return shlex.join(words)


class Variants:
    """The scenarios that cells make of one, each made once.

    Args:
        scenario: What the cells change.
        seeds: The seed of each replication; None for those of ``replication_seed``.
    """

    def __init__(self, scenario: Scenario, seeds: Iterable[int] | None = None) -> None:
        self.scenario = scenario
        self._seeds = None if seeds is None else tuple(seeds)
        self._known: dict[str, tuple[Any, dict[str, Any], dict[str, str]]] = {}

    def planned(self, cell: Cell) -> PlannedRun:
        """Return the run of *cell*.

        Raises:
            ScenarioError: Its changes make no scenario.
        """
        seed = self.seed(cell.replication)
        named = repr(sorted(cell.key.items(), key=lambda item: item[0]))
        if named not in self._known:
            self._known[named] = self._variant(cell)
        begun, texts, plugins = self._known[named]
        state = begun.copy()
        state.update(str(seed).encode())
        return PlannedRun(state.hexdigest(), seed, cell, texts, plugins)

    def seed(self, replication: int) -> int:
        """Return the seed of a replication."""
        if self._seeds is not None:
            return self._seeds[replication]
        return replication_seed(self.scenario.seed, replication)

    def _variant(self, cell: Cell) -> tuple[Any, dict[str, Any], dict[str, str]]:
        scenario = self.scenario.changed(cell.changes)
        at = {f"git commit {cell.commit}": cell.commit}
        plugins = at if cell.commit else plugin_digests(scenario)
        plugins |= file_digests(scenario)
        decisive = {**of_a_run(scenario), "seed": None}
        data = json.dumps([__version__, plugins, decisive], default=str)
        return blake2b(data.encode(), digest_size=16), _texts(scenario, cell.changes), plugins


def of_a_run(scenario: Scenario) -> dict[str, Any]:
    """Return what of a resolved scenario decides on its runs."""
    return {key: value for key, value in scenario.resolved.items() if key not in NOT_OF_A_RUN}


def plugin_digests(scenario: Scenario) -> dict[str, str]:
    """Return the digest of the source of each plug-in that lies outside site-packages.

    That of an imported plug-in covers the modules which it imports from next to it. That of an
    object given in Python covers its state too, where the object can be pickled.
    """
    found = {}
    for text in texts_in([scenario.resolved.get(part) for part in ("federation", "pools")]):
        module = plugin_module(text)
        if text in scenario.objects:
            source = _object_source(scenario.objects[text], scenario.plugin_directory)
            digest = blake2b(source, digest_size=16).hexdigest() if source else ""
        elif module is not None:
            digest = source_digest(plugin_sources(module, scenario.plugin_directory))
        else:
            continue
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


def plugin_module(text: str) -> str | None:
    """Return the module of a text of the form ``module:Class``; None of another."""
    return text.partition(":")[0] if _PLUGIN.fullmatch(text) else None


def plugin_sources(module: str, directory: Path) -> dict[Path, bytes]:
    """Return the sources of a module and of those next to it that it imports, by file.

    Args:
        module: Its dotted name.
        directory: Where it may be, in addition to Python's path and the current directory.
    """
    places = [str(Path.cwd()), str(directory.resolve())]
    sources: dict[Path, bytes] = {}
    _gather(module, [*sys.path, *places], sources)
    return {path: sources[path] for path in sorted(sources)}


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


def _object_source(value: Any, directory: Path) -> bytes:
    kind = value if isinstance(value, type) else type(value)
    try:
        source = inspect.getsource(kind).encode()
    except (OSError, TypeError):
        source = b""
    if kind.__module__ != "__main__":  # a script may change with what it asks
        source += b"\0".join(plugin_sources(kind.__module__, directory).values())
    if value is kind and source:
        return source
    try:
        packed: bytes = cloudpickle.dumps(value)
    except Exception:  # noqa: BLE001 - whatever an object of the user's raises
        packed = b""
    return source + packed


def _gather(module: str, places: list[str], sources: dict[Path, bytes]) -> None:
    for name in _parents(module):
        found = PathFinder.find_spec(name, places)
        origin = None if found is None else found.origin
        if origin is None or not origin.endswith(".py") or _is_installed(origin):
            return
        file = Path(origin).resolve()
        if file not in sources:
            sources[file] = file.read_bytes()
            for imported in _imports(sources[file], module):
                _gather(imported, [os.fspath(file.parent), *places[-2:]], sources)
        places = list(found.submodule_search_locations or ()) if found is not None else []


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
