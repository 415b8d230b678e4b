"""Opens traces, compressed or not, and words what can go wrong between a path and its text."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from fedsim.workload.traces.errors import TraceError

_GZIP_MAGIC = b"\x1f\x8b"
_SIGNED = "utf-8-sig"


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
        raise TraceError(file, None, "The trace does not exist.", remedy) from error
    except gzip.BadGzipFile as error:
        message = "The compressed trace is damaged."
        raise TraceError(file, None, message, "Fetch it again.") from error
    except (EOFError, zlib.error) as error:
        message = "The compressed trace is cut off or damaged."
        raise TraceError(file, None, message, "Fetch it again.") from error
    except OSError as error:
        message = f"The trace cannot be read: {error.strerror or error}."
        raise TraceError(file, None, message, "Name a file that can be read.") from error
    except UnicodeDecodeError as error:
        raise TraceError(file, None, "The trace is not a text file.", expected) from error


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


def lines(file: str) -> Iterator[str]:
    """Yield the lines of a text file without their ends, which may be LF, CR or CRLF."""
    with opened(file) as content, io.TextIOWrapper(content, encoding=_SIGNED, newline=None) as text:
        for line in text:
            yield line.removesuffix("\n")


def first_line(file: str, expected: str) -> str:
    """Return the first line of a text file.

    Raises:
        TraceError: The file cannot be read, is no text or is empty.
    """
    with readable(file, expected):
        line = next(lines(file), "")
    if not line:
        with readable(file, expected):
            if not any(lines(file)):
                raise TraceError(file, None, "The trace is empty.", expected)
    return line


def full_lines(file: str, expected: str) -> Iterator[tuple[int, str]]:
    """Yield all lines but empty ones at the end, each with its number.

    Raises:
        TraceError: An empty line stands between others, or the file cannot be read.
    """
    empty: int | None = None
    with readable(file, expected):
        for number, line in enumerate(lines(file), start=1):
            if empty is not None and line:
                raise TraceError(file, empty, "The line is empty.", "Remove it.")
            if line:
                yield number, line
            elif empty is None:
                empty = number
