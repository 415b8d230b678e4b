"""Documents: numbers as people read them, Markdown, HTML and JSON."""

from __future__ import annotations

import json
import math

import pytest

from fedsim.document import (
    Cell,
    Chart,
    Code,
    Column,
    Document,
    Heading,
    Notes,
    Sentence,
    Table,
    figure,
    from_json,
    markdown,
    percent,
    plain,
    to_json,
    with_interval,
    words,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.91234, "0.912"),
        (9.996, "10.00"),
        (12.345, "12.3"),
        (1234.5, "1,234"),
        (-0.0123, "-0.0123"),
        (0.00001234, "1.2e-05"),
        (math.nan, "–"),
        (math.inf, "inf"),
    ],
)
def test_plain_numbers_have_three_digits(value, text):
    """Three significant digits, no exponent unless it is tiny, a dash where nothing is known."""
    assert plain(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100"),
        (0.0, "0"),
        (0.99996, "99.9960"),
        (0.99999999, "99.9999"),
        (0.00001, "0.0010"),
        (1e-9, "0.0001"),
        (0.5, "50.00"),
        (math.nan, "–"),
    ],
)
def test_percent_is_never_rounded_to_all_or_nothing(share, text):
    """Only a share of exactly 1 is 100 %, and only 0 is 0 %."""
    assert percent(share) == text


@pytest.mark.parametrize(
    ("mean", "low", "high", "text"),
    [
        (99.1234, 99.0185, 99.2283, "99.12 ± 0.10"),
        (4.2137, 2.6037, 5.8237, "4.2 ± 1.6"),
        (12345.6, 12024.6, 12666.6, "12,346 ± 321"),
        (0.5, 0.5, 0.5, "0.5000 ± 0"),
        (2.0, 1.05, 3.0, "2.00 ± 0.97"),
        (2.0, 1.2, 3.0, "2.00 [1.20, 3.00]"),
        (99.95, 99.7, 100.0, "99.95 [99.70, 100.00]"),
        (-0.001, -0.2, 0.001, "0.00 [-0.20, 0.00]"),
        (0.0, 0.0, 12345.6, "0 [0, 12,346]"),
    ],
)
def test_means_are_written_as_exactly_as_they_are_known(mean, low, high, text):
    """The interval has two digits, the mean as many decimals, and unequal sides both ends."""
    assert with_interval(mean, low, high) == text


def test_differences_have_a_sign():
    """A difference says its direction even where it is positive, and zero has none."""
    assert with_interval(1.5, 1.25, 1.75, signed=True) == "+1.50 ± 0.25"
    assert with_interval(-1.5, -1.75, -1.25, signed=True) == "-1.50 ± 0.25"
    assert with_interval(0.0, 0.0, 0.0, signed=True) == "0 ± 0"
    assert with_interval(-0.001, -0.251, 0.249, signed=True) == "+0.00 ± 0.25"
    assert with_interval(0.4, -0.3, 1.6, signed=True) == "+0.40 [-0.30, +1.60]"


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Cell("us-east"), "us-east"),
        (Cell(None), "–"),
        (figure(math.nan), "–"),
        (figure(math.inf), "inf"),
        (figure(0.97301, "percent"), "97.30"),
        (figure(0.97301, "percent", interval=(0.9709, 0.9751)), "97.30 ± 0.21"),
        (figure(0.97301, "percent", interval=(math.nan, math.nan)), "97.30"),
        (figure(0.97301, "percent", interval=(-math.inf, math.inf)), "97.30"),
        (figure(12345.0, "count"), "12,345"),
        (figure(12.345, digits=4), "12.35"),
        (figure(7.0, "decimals", 1, signed=True), "+7.0"),
        (figure(-0.01, "decimals", 1, signed=True), "0.0"),
        (figure(-1e-7, "percent", signed=True), "-1.0e-05"),
        (figure(0.0023, "percent", signed=True), "+0.2300"),
        (Cell(300.0, text="5min"), "5min"),
    ],
)
def test_cells_are_written_by_their_form(cell, text):
    """A cell keeps its number, and its text follows from the form."""
    assert str(cell) == text


HOSTILE = "a|b <script>alert('x')</script> *c* `d` [e](f) & _g_ #1 \\ $h$\nnext"
DOCUMENT = Document(
    (
        Heading("# title <b>", 1),
        Sentence("1. no list"),
        Sentence("- no item", "warning"),
        Sentence(HOSTILE, item=True),
        Sentence("least_latency", "good", item=True),
        Table(
            (
                words("name", [HOSTILE, "b"], styles={"b": "bad"}),
                Column("p99", (figure(1.25), Cell(None)), "s", 3, note=f"Note: {HOSTILE}"),
                Column(
                    "good", (figure(0.5, "percent", interval=(0.4, 0.6)), Cell(0, "count")), "%"
                ),
            ),
            "summary.json",
        ),
        Chart("chart <of> *it*", 'charts/a b"(1).png'),
        Code("fedsim run 'a.yaml' ```\n<b>", "shell"),
    )
)


def test_json_keeps_a_document_and_its_numbers():
    """What is read back is equal, and numbers are numbers."""
    data = json.loads(json.dumps(to_json(DOCUMENT), allow_nan=False))

    assert from_json(data) == DOCUMENT
    table = next(block for block in data["blocks"] if block["kind"] == "table")
    assert table["columns"][1]["unit"] == "s"
    assert [cell["value"] for cell in table["columns"][1]["cells"]] == [1.25, None]
    assert table["columns"][2]["cells"][0]["high"] == 0.6
    with pytest.raises(KeyError):
        from_json({"blocks": [{"kind": "picture", "text": "x"}]})


def test_markdown_is_escaped():
    """Nothing of a text has a meaning, names stay as they are, and tables have all their cells."""
    lines = markdown(DOCUMENT).splitlines()

    assert lines[0] == r"# \# title \<b\>"
    assert r"1\. no list" in lines
    assert r"\- no item" in lines
    assert "- least_latency" in lines
    escaped = r"a\|b \<script\>alert('x')\</script\> \*c\* \`d\` \[e\](f) \& \_g\_ #1 \\ \$h\$ next"
    assert f"- {escaped}" in lines
    assert f"| {escaped} | 1.25 | 50 ± 10 |" in lines
    assert "| :--- | ---: | ---: |" in lines
    assert r"![chart \<of\> \*it\*](charts/a%20b%22%281%29.png)" in lines
    assert lines[-4:] == ["````shell", "fedsim run 'a.yaml' ```", "<b>", "````"]


def test_a_note_is_shown_once():
    """The second table with a column does not repeat its note."""
    columns = [Column("p99", (), note="One."), Column("p50", ())]
    notes = Notes()

    assert len(notes.of(columns)) == 1
    assert notes.of(columns) == []


def test_a_table_needs_cells_in_every_row():
    """Columns of different lengths are refused."""
    with pytest.raises(ValueError, match="as many cells each"):
        Table((words("a", ["b"]), words("c", [])))
