"""Opens files, compressed or not, and says what went wrong between a path and its text."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from fedsim.workload.traces.errors import TraceError, unreadable

_GZIP_MAGIC = b"\x1f\x8b"
_SIGNED = "utf-8-sig"
_Line = TypeVar("_Line", str, list[str])


@contextmanager
def readable(file: str, expected: str) -> Iterator[None]:
    """Turn what can go wrong between a path and its text into a ``TraceError``.

    Args:
        file: The file.
        expected: What to give in place of a file that is no text, as a sentence.
    """
    try:
        yield
    except FileNotFoundError as error:
        remedy = "Correct the name, or the folder that it is relative to."
        raise TraceError(file, None, "The file does not exist.", remedy) from error
    except gzip.BadGzipFile as error:
        message = "The compressed file is damaged."
        raise TraceError(file, None, message, "Fetch it again.") from error
    except (EOFError, zlib.error) as error:
        message = "The compressed file is cut off or damaged."
        raise TraceError(file, None, message, "Fetch it again.") from error
    except OSError as error:
        raise unreadable(file, error.strerror or error, "Name a file that can be read.") from error
    except UnicodeDecodeError as error:
        raise TraceError(file, None, "The file is not a text file.", expected) from error


@contextmanager
def opened(file: str) -> Iterator[BinaryIO]:
    """Yield the content of a file, without its compression."""
    with Path(file).open("rb") as content:
        compressed = content.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        content.seek(0)
        if not compressed:
            yield content
            return
        with gzip.GzipFile(fileobj=content) as unpacked:
            yield cast("BinaryIO", io.BufferedReader(unpacked, 1 << 20))


def full_lines(file: str, expected: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file with their numbers; see ``without_gaps``."""
    return without_gaps(file, enumerate(lines(file), start=1), expected)


def lines(file: str) -> Iterator[str]:
    """Yield the lines of a text file without their ends, which may be LF, CR or CRLF."""
    with opened(file) as content, io.TextIOWrapper(content, encoding=_SIGNED, newline=None) as text:
        for line in text:
            yield line.removesuffix("\n")


def without_gaps(
    file: str, numbered: Iterable[tuple[int, _Line]], expected: str
) -> Iterator[tuple[int, _Line]]:
    """Yield *numbered* lines, as texts or fields, but empty ones at the end of the file.

    Raises:
        TraceError: An empty line stands between others, all are empty, or the file cannot be read.
    """
    empty: int | None = None
    found = False
    with readable(file, expected):
        for number, line in numbered:
            if not line:
                empty = empty or number
                continue
            if empty is not None:
                raise TraceError(file, empty, "The line is empty.", "Remove it.")
            found = True
            yield number, line
    if not found:
        raise TraceError(file, None, "The file is empty.", expected)
