"""Files are whole or as they were, and those of others stay."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from fedsim.errors import ResultsError
from fedsim.results.files import require_own, write_file


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No half of a file has the name, and nothing lies beside it."""
    file = tmp_path / "a.html"
    file.write_text("before")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ResultsError, match=r"cannot write .*a\.html: No space left on device"):
        write_file(file, "after", durable=True)

    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("a.html", "before")]


def test_links_and_devices_stay(tmp_path: Path):
    """What a link names is replaced, not the link; a device is written to."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "file")
    write_file(link, "text")
    write_file(Path("/dev/null"), b"text")

    assert link.is_symlink()
    assert (tmp_path / "file").read_text() == "text"
    assert Path("/dev/null").is_char_device()


def test_only_files_of_ours_are_replaced(tmp_path: Path):
    """A free name, an empty file and one with the mark may be taken; the rest is named."""
    (tmp_path / "empty").touch()
    (tmp_path / "ours").write_text("<html>fedsim made this")
    (tmp_path / "theirs").write_text("seed: 1\n")
    for name in ("free", "empty", "ours"):
        require_own(tmp_path / name, "fedsim made", "a page")

    for path, reason in (
        (tmp_path / "theirs", "exists and is not a page that fedsim wrote; choose another name"),
        (tmp_path, "it is a directory; name a file"),
        (Path(), "it is a directory; name a file"),
        (tmp_path / "no" / "x.html", "there is no folder .*no; make it first"),
        (tmp_path / "theirs" / "x.html", "there is no folder .*theirs; make it first"),
        (tmp_path / ("x" * 300), "File name too long"),
    ):
        with pytest.raises(ResultsError, match=reason):
            require_own(path, "fedsim made", "a page")
