"""The documentation as a site: ``make site`` builds it in ``build/site``, without a network.

The pages are Markdown that reads well on GitHub too, so none has a directive of Sphinx's: the table
of contents follows from the lists of ``index.md``, and links that lead out of this folder become
downloads.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from docs.contents import contents
from fedsim.version import __version__

project = "fedsim"
author = "The fedsim maintainers"
copyright = "the fedsim maintainers"
release = version = __version__

extensions = ["myst_parser"]
exclude_patterns = ["router-project"]
html_theme = "furo"
html_title = "fedsim"
html_static_path = ["site"]
html_css_files = ["site.css"]
myst_heading_anchors = 6
pygments_style = "default"
pygments_dark_style = "monokai"

_OUTSIDE = re.compile(r"\]\((?=\.\./[^)#]+\.md\))")


def _prepare(_app: Sphinx, page: str, source: list[str]) -> None:
    """Give the index its tables of contents, and a page its links to Markdown elsewhere."""
    if page == "index":
        for name, pages in contents(source[0]).items():
            lines = ["```{toctree}", ":hidden:", f":caption: {name}", "", *pages, "```"]
            source[0] += "\n".join(["", *lines, ""])
    source[0] = _OUTSIDE.sub("](path:", source[0])


def setup(app: Sphinx) -> None:
    """Connect what this file adds to Sphinx."""
    app.connect("source-read", _prepare)
    app.add_lexer("csv", TextLexer)  # GitHub knows it, Pygments does not
