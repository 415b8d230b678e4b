"""fedsim against theory: it agrees, and whatever is made wrong in it is found."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from fedsim.cli.app import app
from fedsim.cli.terminal import fitted
from fedsim.document import Sentence, Table
from fedsim.federation.circuits import Circuits
from fedsim.federation.strategies import hashing
from fedsim.report.verification import verification_report
from fedsim.scenario.load import load
from fedsim.studies.known_systems import known_systems
from fedsim.studies.verify import verify
from fedsim.world.engine.steps import Coefficients
from fedsim.world.network import Network
from fedsim.world.service import DistributedService

QUICK = ("M/D/1", "engine")


@pytest.fixture(autouse=True)
def few(request, monkeypatch):
    """Have fast tests run 8 replications."""
    if "slow" not in request.keywords:
        monkeypatch.setattr("fedsim.studies.verify.REPLICATIONS", 8)


@pytest.fixture
def quick(few):
    """Two systems, in this process."""
    return verify(only=QUICK, workers=1)


def differing(*names):
    """Return the checks of some systems that differ from theory."""
    return {each.check for each in verify(only=names, workers=1).differing}


class TestFedsim:
    def test_agrees_on_the_quick_ones(self, quick):
        """Two systems agree with theory, each check with an interval that holds it."""
        assert not quick.differing
        assert [each.system for each in quick.findings] == ["M/D/1"] * 2 + ["engine"] * 2
        assert all(each.low <= each.measured <= each.high for each in quick.findings)

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_agrees(self, seed):
        """All systems do, with any seed."""
        assert not verify(seed).differing

    def test_workers_change_nothing(self):
        """Two processes find the same as one."""
        one, two = (verify(only=("engine",), workers=count) for count in (1, 2))
        assert one.to_json() == two.to_json()

    def test_seeds_differ(self, quick):
        """Another seed draws other runs, and every replication has draws of its own."""
        other = verify(2, only=("M/D/1",), workers=1)
        assert other.findings[1].measured != quick.findings[1].measured
        assert other.findings[1].low < other.findings[1].high

    def test_the_scenarios_are_whole(self):
        """Each is one that a file may have, with names of its own and checks with sources."""
        systems = known_systems()
        assert len({each.name for each in systems}) == len(systems)
        for system in systems:
            load(json.loads(json.dumps(system.scenario_of(3))))
            assert system.checks
            assert all(check.source for check in system.checks)


class LastInFirstOut(deque):
    """A queue that is served from the wrong end."""

    popleft = deque.pop


class TestWhatIsWrong:
    """A fault of a few percent, put into one part, fails the checks about it."""

    def test_services_that_take_3_percent_longer(self, monkeypatch):
        """Constant services show it at once."""
        self.slow_down(monkeypatch)
        assert "mean service" in differing("M/D/1")

    @pytest.mark.slow
    def test_random_services_that_take_3_percent_longer(self, monkeypatch):
        """The mean of exponential ones does, too, with all replications."""
        self.slow_down(monkeypatch)
        assert "mean service" in differing("M/M/1")

    @staticmethod
    def slow_down(monkeypatch):
        """Make services 3 % longer."""
        right = DistributedService.service_s
        monkeypatch.setattr(DistributedService, "service_s", lambda *of: 1.03 * right(*of))

    def test_steps_that_take_1_percent_longer(self, monkeypatch):
        """The time to the first token is that of a prefill, and stays."""
        right = Coefficients.decode_line

        def longer(*of):
            fixed_s, *others = right(*of)
            return (1.01 * fixed_s, *others)

        monkeypatch.setattr(Coefficients, "decode_line", longer)
        assert differing("engine") == {"time per token"}

    def test_round_trips_that_take_1_percent_longer(self, monkeypatch):
        """80 ms are 80.8 ms."""
        right = Network._round_trip_s
        longer = staticmethod(lambda *of: 1.01 * right(*of))
        monkeypatch.setattr(Network, "_round_trip_s", longer)
        assert differing("jitter 0%") == {"latency − service"}

    def test_the_wrong_order_of_service(self, monkeypatch):
        """The mean wait does not depend on the order, but single waits do."""
        monkeypatch.setattr("fedsim.world.nodes.counting.deque", LastInFirstOut)
        assert differing("M/G/1") == {"largest wait error"}

    def test_a_circuit_that_closes_3_percent_too_early(self, monkeypatch):
        """Requests come before the open time is over, and more often."""
        right = Circuits.__init__
        monkeypatch.setattr(
            Circuits,
            "__init__",
            lambda self, clock, open_s, observer: right(self, clock, 0.97 * open_s, observer),
        )
        assert differing("breaker") == {"time between sends", "sent while open"}

    @pytest.mark.slow
    def test_a_hash_ring_with_too_few_points(self, monkeypatch):
        """64 points a node spread the shares twice as far as 256."""
        monkeypatch.setattr(hashing, "POINTS_PER_NODE", 64)
        hashing.hash_ring.cache_clear()
        try:
            assert differing("consistent hash") == {"spread / theory"}
        finally:
            hashing.hash_ring.cache_clear()


class TestReports:
    @pytest.fixture
    def missed(self, quick):
        """The same with a finding that differs."""
        first, *others = quick.findings
        return replace(quick, findings=(replace(first, expected=1.5), *others))

    def test_says_what_differs(self, quick, missed):
        """The first sentence names the checks that differ, and a row says so."""
        for result, begins, style in (
            (quick, "All 4 checks agree", "good"),
            (missed, "1 of 4 checks differ from theory: M/D/1: mean service (s).", "bad"),
        ):
            _, verdict, table, *_ = verification_report(result, "fedsim verify").blocks
            assert isinstance(verdict, Sentence)
            assert verdict.text.startswith(begins)
            assert verdict.style == style
            assert isinstance(table, Table)
            assert [cell.style for cell in table.columns[4].cells] == [style, *["good"] * 3]

    def test_fits_into_80_columns(self, quick):
        """The longest names leave room for the numbers, the interval and the verdict."""
        first = quick.findings[1]
        findings = tuple(
            replace(first, system=system.name, check=check.name, unit=check.unit)
            for system in known_systems()
            for check in system.checks
        )
        table = verification_report(replace(quick, findings=findings), "fedsim verify").blocks[2]
        assert isinstance(table, Table)
        shown, left_out = fitted(table.columns, 78)
        assert [column.heading for column in left_out] == ["theory"]
        sizes = [max(len(column.title), *map(len, map(str, column.cells))) for column in shown]
        assert sum(sizes) + 2 * (len(sizes) - 1) <= 78


class TestTheCommand:
    @pytest.fixture(autouse=True)
    def _few(self, monkeypatch):
        """Have the command know one system."""
        engine = {each.name: each for each in known_systems() if each.name == "engine"}
        monkeypatch.setattr("fedsim.studies.verify._by_name", lambda: engine)

    def test_agreement(self):
        """Status 0, and the command that repeats it."""
        done = CliRunner().invoke(app, ["verify", "--workers", "1", "--seed", "5"])
        assert done.exit_code == 0
        assert "All 2 checks agree with theory." in done.stdout
        assert "fedsim verify --seed 5" in done.stdout

    def test_difference(self, monkeypatch):
        """Status 1, with the numbers as JSON."""
        right = Coefficients.prefill_s
        monkeypatch.setattr(Coefficients, "prefill_s", lambda *of: 1.01 * right(*of))
        done = CliRunner().invoke(app, ["verify", "--workers", "1", "--json"])
        assert done.exit_code == 1
        found = json.loads(done.stdout)
        assert not found["agrees"]
        assert [each["agrees"] for each in found["findings"]] == [False, True]
        assert found["findings"][0]["expected"] == pytest.approx(0.03)
        assert load(found["systems"]["engine"]).name == "verify"
