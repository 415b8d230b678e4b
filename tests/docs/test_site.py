"""The documentation as a site: every page is in its contents, and it builds without a warning."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from docs.blocks import PAGES, ROOT
from docs.contents import INDEX, contents

PARTS = ["Tutorials", "How-to guides", "Reference", "Explanation"]


def test_every_page_can_be_found() -> None:
    """The README leads to the index, and that to every page, once: a new one needs a line there."""
    listed = contents(INDEX.read_text(encoding="utf-8"))

    assert "(docs/index.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert list(listed) == PARTS
    pages = Counter(page.stem for page in PAGES if page.name not in {"README.md", "index.md"})
    assert Counter(name for names in listed.values() for name in names) == pages


@pytest.mark.slow
def test_the_site_builds(tmp_path: Path) -> None:
    """As `make site` builds it: a warning is an error, and no page needs a network to be read."""
    options = ["--quiet", "--fail-on-warning", "--keep-going", "-d", str(tmp_path / "doctrees")]
    folders = [str(ROOT / "docs"), str(tmp_path / "site")]

    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, *folders],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    for page in PAGES[1:]:
        html = (tmp_path / "site" / f"{page.stem}.html").read_text(encoding="utf-8")
        assert 'src="http' not in html
        assert '<link rel="stylesheet" href="http' not in html
