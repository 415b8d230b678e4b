"""Run the pages' examples and write their new outputs: ``python docs/make_outputs.py [PAGE ...]``.

Without arguments it takes every page, some minutes; see ``blocks.py`` for what is run.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["MPLBACKEND"] = "Agg"

from docs.blocks import PAGES, ROOT, run_page


def rewrite(page: Path) -> None:
    """Run the blocks of *page* and put what comes out in the place of what it shows."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = list(run_page(page, Path(folder).resolve(), slow=True))
    content = page.read_text(encoding="utf-8")
    for output in reversed(outputs):
        start, end = output.block.span
        content = content[:start] + output.text + content[end:]
    page.write_text(content, encoding="utf-8")
    print(f"{page.relative_to(ROOT)}: {len(outputs)} outputs")


if __name__ == "__main__":
    for each in [Path(name).resolve() for name in sys.argv[1:]] or PAGES:
        rewrite(each)
