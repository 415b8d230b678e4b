"""Documents as HTML: every text is there and escaped, and what is cut says so."""

from __future__ import annotations

import re

from fedsim.document import (
    Cell,
    Chart,
    Code,
    Column,
    Document,
    Heading,
    Sentence,
    Table,
    figure,
    words,
)
from fedsim.html import MOST_ITEMS, anchored, html
from tests.reading import Reader
from tests.unit.test_document import DOCUMENT, HOSTILE


def test_has_every_text_and_no_element_of_it():
    """Texts are escaped, styles are classes, and only the elements of a document are there."""
    read = Reader(html(DOCUMENT))

    known = {"section", "h1", "p", "ul", "li", "div", "table", "thead", "tbody", "tr", "th", "td"}
    assert set(read.tags) == known | {"figure", "img", "figcaption", "pre", "code"}
    assert read.texts.count(HOSTILE) == 2
    assert "50 ± 10" in read.texts
    assert ("src", "charts/a%20b%22%281%29.png") in read.attributes
    assert ("class", "bad left") in read.attributes
    assert f"Note: {HOSTILE}" in read.texts


def test_control_characters_are_seen():
    """What would be invisible, end the file or turn the line around is a mark."""
    text = html(Document((Sentence("a\x00b\x1b[1m\u202egnp.exe\ud800\tc"),)))

    assert "<p>a\ufffdb\ufffd[1m\ufffdgnp.exe\ufffd\tc</p>" in text
    text.encode()


def test_numbers_are_sorted_by_their_values():
    """A number that is written otherwise than it is has its value; what is not known has none."""
    cells = (figure(0.981, "percent"), figure(12345.0, "count"), Cell(7, text="–"), Cell("x"))
    text = html(Document((Table((Column("a", cells),)),)))

    assert re.findall('data-value="([^"]+)"', text) == ["0.981", "12345"]


def test_tables_are_cut_alike():
    """Tables have so many cells and rows together, at least a row each, and say what is left."""
    tables = [
        Table((words("a", list("xyz" * n)), words("b", list("xyz" * n))), "here.json")
        for n in (1, 20, 40)
    ]
    document = Document(tuple(tables))
    read = Reader(html(document, most_cells=100))

    assert read.tags.count("td") + read.tags.count("th") - 6 == 2 * (3 + 15 + 15)
    cut = [text for text in read.texts if "rows" in text]
    assert cut == [f"The first 15 of {n} rows; here.json has all." for n in (60, 120)]
    assert Reader(html(document)).tags.count("tr") == 3 + 9 + 60 + 120 - 6
    assert Reader(html(document, most_cells=0)).tags.count("tr") == 6


def test_long_lists_are_counted():
    """Items beyond a hundred are counted."""
    items = tuple(Sentence(f"item {number}", item=True) for number in range(MOST_ITEMS + 7))
    read = Reader(html(Document(items)))

    assert read.tags.count("li") == MOST_ITEMS + 1
    assert "and 7 more" in read.texts


def test_parts_can_be_linked_to():
    """Each heading below the title has the id under which it is listed."""
    blocks = (Heading("Title", 1), Heading("<One>"), Sentence("x"), Heading("Two"))
    read = Reader(html(Document(blocks), anchors=True))

    assert anchored(Document(blocks)) == {"part-0": "<One>", "part-1": "Two"}
    assert read.ids == ["part-0", "part-1"]
    assert read.references == {"part-0", "part-1"}
    assert read.tags.count("section") == 3


def test_long_code_is_folded_and_pictures_stand_in_for_files():
    """Folded lines are within ``details``; a picture that is given replaces that of the file."""
    blocks = (Code("a: 1", folded="The <file>"), Chart("Load", "charts/a.png"))
    read = Reader(html(Document(blocks), pictures={"charts/a.png": "<svg></svg>"}))

    assert read.tags == [
        "section",
        "details",
        "summary",
        "pre",
        "code",
        "figure",
        "figcaption",
        "svg",
    ]
    assert "The <file>" in read.texts
