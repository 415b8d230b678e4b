"""One HTML file of a report: the answer first, then its parts, then what would change it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from fedsim.document import Block, Chart, Code, Document, Heading, Sentence, Table, words
from fedsim.html import MOST_ITEMS, anchored, html, text_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_BYTES = 2_000_000
"""The size of a page, at most."""

MOST_NODES = 5_000
"""The elements of a page, at most."""

MARK = '<meta name="generator" content="fedsim">'
"""What a page has in its head, by which it is known as ours."""

_MOST_CELLS = 2_500
_MOST_YAML = 400_000
"""Bytes that the scenario takes, escaped."""

_OF_CHARTS = 1_200_000
"""Bytes that all charts take together, at most."""

_NODES_OF_CHARTS = 1_800
"""The elements that all charts have together, at most."""

_ELEMENT = re.compile("<[a-z]")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart of a page.

    Attributes:
        name: A name that no other chart of the page has.
        draw: Draws it.
        file: Where it is in the result's directory.
    """

    name: str
    draw: Callable[[], Figure]

    @property
    def file(self) -> str:
        """Its file in the result's directory."""
        return f"charts/{self.name}.png"


@dataclass(frozen=True, slots=True)
class Made:
    """How a result came about.

    Attributes:
        scenario: The resolved scenario as YAML.
        command: What gives the result again where that is saved as ``scenario.yaml``, or why
            nothing does.
        facts: Further facts in words, such as seeds and digests, by name.
        versions: Versions by what they are of.
        repeats: Whether *command* is one.
    """

    scenario: str
    command: str
    facts: Mapping[str, str]
    versions: Mapping[str, str | None]
    repeats: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says.

    Attributes:
        answer: The answer in a sentence.
        report: The report; its first block is the title.
        charts: Its charts.
        made: How the result came about.
        changes: What would change the conclusion, in sentences.
    """

    answer: str
    report: Document
    charts: Sequence[Drawn]
    made: Made
    changes: Sequence[str]

    def document(self, shown: Iterable[Chart], left_out: Sequence[Drawn]) -> Document:
        """Return the whole page as a document, with the charts that it has room for."""
        title, *blocks = self.report.blocks
        lost = [f"{each.file}: left out, as it would make this page too large" for each in left_out]
        charts: list[Block] = [*shown, *(Sentence(text, item=True) for text in lost)]
        return Document(
            (
                title,
                Sentence(self.answer),
                *blocks,
                *([Heading("Charts"), *charts] if charts else []),
                Heading("How to get this again"),
                *_made(self.made),
                Heading("What would change this conclusion"),
                *(Sentence(text, item=True) for text in self.changes),
            )
        )


def rendered(page: Page) -> str:
    """Return a page as one HTML file, the same bytes each time.

    Where it would be too large, its tables and lists have half as many rows and items, and so on.
    """
    shown, pictures, left_out = _pictures(page.charts)
    document = page.document(shown, left_out)
    title, answer, *blocks = document.blocks
    assert isinstance(title, Heading)
    assert isinstance(answer, Sentence)
    body = Document(tuple(blocks))
    links = "".join(
        f'<li><a href="#{name}">{text_of(text)}</a></li>' for name, text in anchored(body).items()
    )

    def text(most_cells: int, most_items: int) -> str:
        main = html(
            body, pictures=pictures, anchors=True, most_cells=most_cells, most_items=most_items
        )
        return _file(title.text, answer.text, links, main, page.made.versions.get("fedsim"))

    cells, items = _MOST_CELLS, MOST_ITEMS
    file = text(cells, items)
    while cells > 1 and _too_large(file):
        cells, items = cells // 2, max(1, items // 2)
        file = text(cells, items)
    return file


def _too_large(file: str) -> bool:
    return len(file.encode()) > MOST_BYTES or len(_ELEMENT.findall(file)) > MOST_NODES


def _file(title: str, answer: str, links: str, main: str, version: str | None) -> str:
    """Return the whole file around what is in ``main``."""
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            MARK,
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{text_of(title)}</title>",
            f"<style>\n{_asset('style.css')}</style>\n</head>\n<body>",
            '<a class="skip" href="#main">Skip to the report</a>',
            f"<header>\n<h1>{text_of(title)}</h1>",
            f'<p class="answer">{text_of(answer)}</p>\n</header>',
            f'<div class="page">\n<nav aria-label="Contents">\n<ul>{links}</ul>\n</nav>',
            '<main id="main" tabindex="-1">',
            main,
            "</main>\n</div>",
            f"<footer><p>fedsim {text_of(version or '')}</p></footer>",
            f"<script>\n{_asset('sort.js')}</script>\n</body>\n</html>\n",
        ]
    )


def _pictures(charts: Sequence[Drawn]) -> tuple[list[Chart], dict[str, str], list[Drawn]]:
    """Return the charts that there is room for, their elements by file, and those left out."""
    from fedsim.charts.figure import Chart as Drawing
    from fedsim.charts.svg import svg

    shown: list[Chart] = []
    pictures: dict[str, str] = {}
    left_out: list[Drawn] = []
    size = nodes = 0
    for each in charts:
        figure = each.draw()
        assert isinstance(figure, Drawing)  # as it is where no axes are given
        element = svg(figure, each.name)
        own = len(_ELEMENT.findall(element))
        if size + len(element) > _OF_CHARTS or nodes + own > _NODES_OF_CHARTS:
            left_out.append(each)
            continue
        size, nodes = size + len(element), nodes + own
        shown.append(Chart(figure.title, each.file))
        label = text_of(figure.title)
        pictures[each.file] = (
            f'<p class="muted">{text_of(figure.subtitle)}</p>'
            f'<div class="chart" role="region" aria-label="{label}" tabindex="0">{element}</div>'
        )
    return shown, pictures, left_out


def _made(made: Made) -> list[Block]:
    """Return the command, facts and versions, and the scenario folded away."""
    versions = {name: each or "unknown" for name, each in made.versions.items()}
    facts = {**made.facts, **versions}
    text = shown = made.scenario
    while (size := len(text_of(shown).encode())) > _MOST_YAML:
        shown = shown[: len(shown) * _MOST_YAML // size]
    scenario = text if shown == text else f"{shown}\n# … cut here: scenario.yaml has all"
    command: list[Block] = [Sentence(made.command, "warning")]
    if made.repeats:
        command = [
            Sentence(
                "Save the scenario below as scenario.yaml. With the same versions, this gives "
                "the same tables bit for bit:"
            ),
            Code(made.command, "shell"),
        ]
    return [
        *command,
        Table((words("made with", list(facts)), words("value", list(facts.values())))),
        Code(scenario, "yaml", folded="The scenario with all its defaults (YAML)"),
    ]


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
