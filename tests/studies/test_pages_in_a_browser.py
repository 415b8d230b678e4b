"""Pages in Chromium: no request, no serious fault of access, every fact without scripts."""

from __future__ import annotations

import re

import pytest

import fedsim
from tests import small_scenario
from tests.browser import axe, browser
from tests.reading import check_page

pytestmark = pytest.mark.slow

KINDS = ("run", "comparison", "sweep", "plan")
_PLAN = {
    "plan": {"vary": {"pools.east-chat.count": [1, 3]}, "replications": 4, "survive": []},
    "pools.east-chat.cost": "2 USD/h",
}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A browser for all tests of this file."""
    with browser(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory, drawing):
    """A page of each kind, with its charts."""
    folder = tmp_path_factory.mktemp("browser")
    scenario = fedsim.load(small_scenario.write(folder))
    rates = {"workload.chat.arrivals.rate": ["5/s", "60/s"]}
    strategies = {"federation.strategy": ["round_robin", "least_latency"]}
    results = {
        "run": fedsim.simulate(scenario),
        "comparison": fedsim.compare(scenario, replications=3, workers=1),
        "sweep": fedsim.sweep(scenario, grid=rates | strategies, replications=2, workers=1),
        "plan": fedsim.plan(scenario.changed(_PLAN), workers=1),
    }
    with drawing():
        return {kind: each.report(folder / f"{kind}.html") for kind, each in results.items()}


@pytest.fixture
def page(request, pages):
    """The page of a kind."""
    return pages[request.param]


def words(text):
    """Return a text without the marks and spaces at which a renderer may break it."""
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize("page", KINDS, indirect=True)
def test_reads_without_scripts_and_without_a_network(chromium, page):
    """Every text of the file is shown with scripts off, and nothing but the file is asked for."""
    read = check_page(page.read_text(encoding="utf-8"))
    chromium.open(page, scripts=False)
    shown = words(chromium.text())

    assert chromium.requested[0] == page.as_uri()
    assert all(each.startswith("data:") for each in chromium.requested[1:])
    missing = [each for each in read.texts if words(each) and words(each) not in shown]
    assert [each.splitlines()[0] for each in missing] == ["name: small"]  # folded, until asked for


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("page", KINDS, indirect=True)
def test_has_no_serious_fault_of_access(chromium, page, width, dark):
    """axe-core finds nothing serious, the page is no wider than the window, and small."""
    source = axe()
    chromium.open(page, width=width, dark=dark)

    chromium.ask(f"{source}; 0")
    passed, found = chromium.ask(
        "axe.run().then((done) => [done.passes.map((each) => each.id), done.violations])"
    )
    serious = [
        f"{each['id']}: {each['nodes'][0]['html'][:200]}"
        for each in found
        if each["impact"] in {"serious", "critical"}
    ]
    assert serious == []
    assert {"color-contrast", "region", "svg-img-alt", "scrollable-region-focusable"} <= {*passed}
    assert chromium.ask("document.documentElement.scrollWidth") <= width
    assert chromium.ask("document.querySelectorAll('*').length") <= 5_000
    background = chromium.ask("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(21, 24, 27)" if dark else "rgb(255, 255, 255)")


@pytest.mark.parametrize("page", ["sweep"], indirect=True)
def test_tables_are_sorted_by_keys(chromium, page):
    """Enter on a heading sorts by numbers, says so, and turns the order the next time."""
    chromium.open(page)
    column = (
        "(() => { const table = document.querySelector('table');"
        "const place = [...table.tHead.rows[0].cells].findIndex("
        "  (each) => each.textContent.startsWith('p50'));"
        "return [table, place, table.tHead.rows[0].cells[place]]; })()"
    )
    for order in ("ascending", "descending"):
        chromium.ask(f"{column}[2].querySelector('button').focus()")
        for kind in ("keyDown", "keyUp"):
            key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
            chromium.call("Input.dispatchKeyEvent", type=kind, **key)
        assert chromium.ask(f"{column}[2].getAttribute('aria-sort')") == order
        cells = f"[...{column}[0].tBodies[0].rows].map((row) => row.cells[{column}[1]])"
        values = chromium.ask(f"{cells}.map((cell) => cell.dataset.value ?? null)")
        numbers = [float(each) for each in values if each is not None]
        assert len(set(numbers)) > 1
        assert numbers == sorted(numbers, reverse=order == "descending")


@pytest.mark.usefixtures("drawn")
def test_a_large_run_has_a_small_page(tmp_path):
    """100,000 requests give a page of the same size as a thousand do: 2 MB and 5,000 elements."""
    folder = tmp_path / "scenario"
    folder.mkdir()
    scenario = fedsim.load(
        small_scenario.write(folder),
        {
            "duration": "1100s",
            "workload.chat.arrivals.rate": "100/s",
            "pools.east-chat.count": 40,
            "pools.west-chat.count": 40,
        },
    )
    run = fedsim.simulate(scenario)
    assert len(run.requests) > 100_000
    check_page(run.report(tmp_path / "page.html").read_text(encoding="utf-8"))
