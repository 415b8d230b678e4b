"""Files that are whole as soon as they have their names, and never in the place of others'."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from fedsim.errors import ResultsError

_HEAD = 4096
"""A mark is within so many bytes of the begin of a file."""


def write_file(path: Path, data: str | bytes, *, durable: bool = False) -> Path:
    """Write a file that is whole as soon as it has its name, and return its path.

    It is written next to it under another name, which is gone if that fails. A link stays one, and
    what is no file, such as ``/dev/stdout``, is written to as it is.

    Args:
        path: Its name.
        data: What it holds; a text is written as UTF-8.
        durable: Whether it has to be on the disk by then.

    Raises:
        ResultsError: It cannot be written.
    """
    content = data.encode() if isinstance(data, str) else data
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return path
        target = path.resolve()
        new = target.with_name(f".{target.name}.{os.getpid()}.new")
        try:
            with new.open("wb") as file:
                file.write(content)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            new.replace(target)
        finally:
            with suppress(OSError):
                new.unlink()
    except OSError as error:
        raise unwritable(path, error) from error
    return path


def require_folder(file: Path | None) -> None:
    """Check, before anything is run, that a file to write has a folder.

    Raises:
        ResultsError: It has none, or is a directory itself.
    """
    if file is None:
        return
    try:
        if file.is_dir():
            msg = f"cannot write {file}: it is a directory; name a file"
            raise ResultsError(msg)
        if not file.parent.is_dir():
            msg = f"cannot write {file}: there is no folder {file.parent}; make it first"
            raise ResultsError(msg)
    except OSError as error:
        raise unwritable(file, error) from error


def require_own(file: Path, mark: str, what: str) -> None:
    """Check, before anything is made, that a file can be written and replaces none of others.

    Args:
        file: The file.
        mark: What those that fedsim writes have near their begin.
        what: What such a file is, as in "a page".

    Raises:
        ResultsError: It has no folder, or there is another file of that name.
    """
    require_folder(file)
    if not file.is_file():
        return
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD)
    except OSError as error:
        raise unwritable(file, error) from error
    if head and mark.encode() not in head:
        msg = f"{file} exists and is not {what} that fedsim wrote; choose another name"
        raise ResultsError(msg)


def unwritable(path: Path, error: OSError) -> ResultsError:
    """Return the error that *path* cannot be written."""
    reason = error.strerror or error
    return ResultsError(f"cannot write {path}: {reason}; choose another directory")
