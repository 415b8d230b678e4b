"""Reads HTML for tests: elements, attributes and texts, and what holds for every page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from fedsim.report.html.page import MOST_BYTES, MOST_NODES

_VOID = {"meta", "img", "link", "br", "hr", "input"}
_ELSEWHERE = re.compile(r"""(?:https?:)?//\w|url\((?!#)|@import|javascript:""", re.IGNORECASE)


class Reader(HTMLParser):
    """What is in a page.

    Attributes:
        tags: The names of all elements.
        attributes: All attributes, as pairs.
        texts: All texts, but for styles and scripts.
        headings: The texts of headings, in their order.
        code: The styles and scripts.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.headings: list[str] = []
        self.code = ""
        self._open: list[str] = []
        self.feed(text)
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element's name and attributes."""
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in _VOID:
            self._open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element without content."""
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        """Close the element that was opened last."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        if self._open and self._open[-1] in {"style", "script"}:
            self.code += data
            return
        self.texts.append(data)
        if self._open and re.fullmatch("h[1-6]", self._open[-1]):
            self.headings[-1] += data

    @property
    def ids(self) -> list[str]:
        """The ids of elements."""
        return [value or "" for name, value in self.attributes if name == "id"]

    @property
    def references(self) -> set[str]:
        """The ids that elements refer to."""
        found = set()
        for name, value in self.attributes:
            if name in {"href", "xlink:href"} and value and value.startswith("#"):
                found.add(value[1:])
            elif name in {"aria-labelledby", "aria-describedby"}:
                found.update((value or "").split())
            else:
                found.update(re.findall(r"url\(#([^)]+)\)", value or ""))
        return found

    @property
    def elsewhere(self) -> list[str]:
        """What would ask another file or host for something: attributes, styles and scripts."""
        said = {"aria-label", "alt", "title", "content", "xmlns", "xmlns:xlink"}
        values = [value or "" for name, value in self.attributes if name not in said]
        links = {"src", "href", "srcset", "data", "action", "poster"}
        loaded = [
            value or ""
            for name, value in self.attributes
            if name in links and not (value or "").startswith(("#", "data:"))
        ]
        values = [each for each in values if not each.startswith("data:")]
        return loaded + [each for each in (*values, self.code) if _ELSEWHERE.search(each)]


def check_page(text: str) -> Reader:
    """Check what holds for every page, and return what is in it."""
    read = Reader(text)
    assert len(text.encode()) <= MOST_BYTES
    assert len(read.tags) <= MOST_NODES
    assert read.elsewhere == []
    assert len(read.ids) == len(set(read.ids))
    assert read.references <= set(read.ids)
    assert read.headings[-1] == "What would change this conclusion"
    assert read.tags.count("h1") == read.tags.count("main") == 1
    assert {"header", "nav", "footer"} <= set(read.tags)
    assert ("lang", "en") in read.attributes
    return read


def answer_of(text: str) -> str:
    """Return the sentence with which a page begins."""
    (found,) = re.findall('<p class="answer">(.*?)</p>', text)
    return str(found)
