"""What the documentation shows is true: its scenarios load, its code runs, its links lead on."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import matplotlib.pyplot as plt
import pytest
import yaml
from typer.main import get_command

import fedsim
from docs import make_tables
from docs.blocks import PAGES, ROOT, Block, blocks, first_command, lines_of, masked, run_page
from docs.make_reference import Reference, rewritten, sections
from fedsim.cli.app import app
from fedsim.results.columns import TABLES
from fedsim.results.kinds import OUTCOMES
from fedsim.results.rows import Table
from fedsim.scenario.json_schema import schema

if TYPE_CHECKING:
    from typer.core import TyperGroup

BASE = Path(__file__).parent / "base.yaml"
MARKDOWN = [
    *PAGES,
    *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "tests/README.md")),
    ROOT / "scenarios" / "traces" / "README.md",
]
SCENARIOS = [block for page in PAGES for block in blocks(page) if block.language == "yaml"]
RUN = [
    page for page in PAGES if any(block.language in {"python", "console"} for block in blocks(page))
]
LONG = {
    "adapters",
    "calibrate",
    "defects",
    "health",
    "pitfalls",
    "resilience",
    "studies",
    "validation",
    "workloads",
}
"""The pages whose examples run for more than a few seconds."""

SLOW = [page for page in RUN if any(block.word == "slow" for block in blocks(page))]


def name_of(thing: Path | Block) -> str:
    """Return what a test is called that is about a page or a block."""
    return thing.relative_to(ROOT).as_posix() if isinstance(thing, Path) else str(thing)


@pytest.mark.parametrize("block", SCENARIOS, ids=name_of)
def test_scenarios_load(block: Block, tmp_path: Path) -> None:
    """A YAML block is a whole scenario, or a fragment that fits into one."""
    file = tmp_path / "scenario.yaml"
    text = block.text
    if block.word == "fragment":
        base = yaml.safe_load(BASE.read_text(encoding="utf-8"))
        text = yaml.safe_dump(merged(base, yaml.safe_load(text)), sort_keys=False)
    file.write_text(text, encoding="utf-8")
    (tmp_path / "traces").symlink_to(ROOT / "scenarios" / "traces")
    for each in blocks(block.page):
        if each.language == "csv" and each.is_file:
            (tmp_path / each.word).write_text(each.text, encoding="utf-8")

    scenario = fedsim.load(file)

    assert scenario.duration_s > 0.0


def merged(base: Any, over: Any) -> Any:
    """Return *base* with the keys of *over*, mappings key by key."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return base | {key: merged(base.get(key), value) for key, value in over.items()}


@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_examples_are_understood(page: Path) -> None:
    """A page's code compiles and imports what there is; its commands are those of fedsim."""
    group = cast("TyperGroup", get_command(app))
    for before, block in zip([None, *blocks(page)], blocks(page), strict=False):
        if block.language == "python":
            found = ast.parse(block.text, f"{block}")
            if before is None or before.language != "diff":
                import_all(found)
        elif block.language == "console":
            for words in commands(block):
                context = group.make_context("fedsim", words[:1])
                name, command, _ = group.resolve_command(context, words[:1])
                assert command is not None, f"{block}: {words}"
                command.make_context(name, words[1:], parent=context)


def import_all(code: ast.Module) -> None:
    """Import what *code* imports of fedsim."""
    for node in ast.walk(code):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fedsim"):
            exec(compile(ast.Module([node], []), "import", "exec"), {})


def commands(block: Block) -> list[list[str]]:
    """Return the words after ``fedsim`` of each command of a block that begins with it."""
    found = [first_command(line)[0] for line in lines_of(block)]
    return [words[1:] for words in found if words[0] == "fedsim"]


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] * (page.stem in LONG)) for page in RUN],
    ids=name_of,
)
def test_examples_run(page: Path, tmp_path: Path) -> None:
    """Code and commands of a page run, and print what the page shows, figures apart."""
    for output in run_page(page, tmp_path, slow=False):
        assert masked(output.text) == masked(output.block.text), f"{output.block}: make docs"
    plt.close("all")


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW, ids=name_of)
def test_slow_examples_run(page: Path, tmp_path: Path) -> None:
    """So do the examples that take longer; commands to the figure, the time of the run apart."""
    for output in run_page(page, tmp_path, slow=True):
        alike = timeless if output.block.word == "slow" else masked
        assert alike(output.text) == alike(output.block.text), f"{output.block}: make docs"
    plt.close("all")


def timeless(output: str) -> str:
    """Return an output without the time that the run took."""
    return " ".join(re.sub(r"in [\d.]+\s+s\.", "in # s.", output).split())


@pytest.mark.parametrize("page", MARKDOWN, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """A link into the repository names a file that exists, and a heading that is in it."""
    text = re.sub(
        r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), f"{name_of(page)}: {target}"
        if anchor:
            assert anchor in anchors(found), f"{name_of(page)}: {target}"


def anchors(page: Path) -> list[str]:
    """Return the anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    words = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return [word.replace(" ", "-") for word in words]


class TestTables:
    """docs/tables.md against the tables."""

    def test_columns(self) -> None:
        """The page has the columns as they are declared: `python docs/make_tables.py`."""
        text = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")

        assert make_tables.rewritten(text) == text

    @pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
    def test_units(self, table: Table) -> None:
        """A column whose name ends in a unit has that unit."""
        units = {"slot_s": "slot-seconds", "_usd": "USD", "_tokens": "tokens", "_per_hour": "USD/h"}
        for column in table.shown:
            ends = [each for each in units if column.name.endswith(each)]
            wanted = units[ends[0]] if ends else "s" if column.name.endswith("_s") else None
            assert wanted is None or column.kind.unit == wanted, column.name

    def test_outcomes(self) -> None:
        """The page has every outcome."""
        assert {row[0] for row in documented("Outcomes")} == set(OUTCOMES)


def documented(heading: str) -> list[tuple[str, str, str]]:
    """Return the first three cells of each row of the first table under *heading*."""
    text = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    part = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    table = re.search(r"^\|.*\n\|---.*\n((?:\|.*\n)+)", part, re.MULTILINE)
    assert table is not None, heading
    rows = [[cell.strip() for cell in row.split("|")[1:4]] for row in table[1].splitlines()]
    return [(first.strip("`"), second, third) for first, second, third in rows]


class TestScenarioReference:
    """docs/scenario.md against the model of the scenario file."""

    def test_is_current(self) -> None:
        """The page has the keys of the model; `make docs` writes them again."""
        page = ROOT / "docs" / "scenario.md"

        assert page.read_text(encoding="utf-8") == rewritten(page)

    def test_is_complete(self) -> None:
        """Every mapping of the model has its table."""
        assert set(schema()["$defs"]) <= Reference().covered()

    def test_every_key_can_be_found(self) -> None:
        """Under the heading of its mapping: in its table, or in one of those that it links to."""
        text = (ROOT / "docs" / "scenario.md").read_text(encoding="utf-8")
        parts = [part.partition("\n") for part in re.split(r"^#+ ", text, flags=re.MULTILINE)]
        has = {
            heading: re.findall(r"^\| `(\w+)` \|", body, re.MULTILINE) for heading, _, body in parts
        }
        by_anchor = {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-"): name for name in has}
        links = {
            heading: re.findall(
                r"\[((?:`\w+`(?:, )?)+)\]\(#([^)]+)\)", body.rpartition("\nAlso ")[2]
            )
            for heading, _, body in parts
        }
        assert len(by_anchor) == len(parts)
        for section in sections():
            found = set(has[section.heading])
            for names, anchor in links[section.heading]:
                linked = set(re.findall(r"\w+", names))
                assert linked <= set(has[by_anchor[anchor]]), section.heading
                found |= linked
            assert set(section.keys) <= found, section.heading


def test_the_router_of_the_plug_ins_may_be_copied() -> None:
    """In the scenario of the demo it serves through every fault, and breaks no privacy level."""
    page = ROOT / "docs" / "plugins.md"
    (router,) = [block for block in blocks(page) if block.word == "my_routers.py"]
    names: dict[str, Any] = {"__name__": "copied_routers"}
    exec(router.text, names)
    four_times_sooner = {
        "duration": "5min",
        "warmup": "30s",
        **{f"faults.{number}.at": at for number, at in enumerate(("60s", "120s", "210s"))},
        **{f"faults.{number}.lasts": lasts for number, lasts in enumerate(("30s", "45s", "30s"))},
    }
    scenario = fedsim.load(ROOT / "scenarios" / "three-regions.yaml", four_times_sooner)

    summary = fedsim.simulate(scenario, router=names["TwoChoices"]).summary()

    assert summary["success_rate"].item() >= 0.999
    assert summary["privacy_violations"].item() == 0
