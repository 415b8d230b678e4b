"""Finds a policy that a user gives as ``<file.py>:<Class>``."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def class_in_file(choice: str, directory: Path) -> type[Any]:
    """Return the class that ``<file.py>:<Class>`` names, of a module that is its own each time.

    What a class keeps in its module, such as a registry or the only instance of a class, is so not
    shared with another run.

    Args:
        choice: The file, relative to *directory* or absolute, and the class.
        directory: The scenario's directory.

    Raises:
        ValueError: There is no such file or class, or the file fails when it is run.
    """
    file, _, name = choice.rpartition(":")
    path = (directory / file).resolve()
    if not file.endswith(".py") or not name:
        msg = f"{choice!r} names no class: write <file.py>:<Class>, such as policies.py:RoundRobin"
        raise ValueError(msg)
    if not path.is_file():
        msg = f"there is no file {path}: the file's name is relative to the scenario's folder"
        raise ValueError(msg)
    found = getattr(_run(path), name, None)
    if not isinstance(found, type):
        msg = f"{path} has no class {name}: name one that it defines at its top level"
        raise ValueError(msg)
    return found


def modules_of(kind: type[Any]) -> list[ModuleType]:
    """Return the modules that define a class and its bases, apart from Python's own."""
    names = dict.fromkeys(base.__module__ for base in kind.__mro__)
    return [sys.modules[name] for name in names if name not in {"builtins", "abc", "typing"}]


def _run(path: Path) -> ModuleType:
    """Run a file as a module; it is known by its name, which dataclasses look up."""
    digest = hashlib.blake2b(str(path).encode(), digest_size=6).hexdigest()
    name = f"{path.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        msg = f"running {path} failed with {type(error).__name__}: {error}: mend the file"
        raise ValueError(msg) from error
    return module
