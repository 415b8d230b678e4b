"""The pytest plugin: scenarios as tests, fixtures, assertions, golden files, and no cost unused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import small_scenario

pytest_plugins = ["pytester"]

TEXT = small_scenario.TEXT.replace("duration: 40s", "duration: 10s").replace(
    "warmup: 5s", "warmup: 1s"
)
EXPECT = """\
expect:
  replications: 2
  measures: {privacy_violations: "= 0", attempts_per_request: "<= 1.0"}
  decisions: golden
"""


class _Kept:
    """Stands in for pytester's snapshot of modules: numpy cannot be imported twice."""

    def __init__(self, preserve=None):
        pass

    def restore(self):
        """Keep what was imported."""


@pytest.fixture(scope="module", autouse=True)
def _modules_stay():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("_pytest.pytester.SysModulesSnapshot", _Kept)
        yield


@pytest.fixture
def house(pytester, monkeypatch):
    """A folder with the small scenario, in which pytest runs in this process."""
    monkeypatch.delenv("CI", raising=False)
    small_scenario.write(pytester.path, TEXT)
    return pytester


def run_pytest(house, *words: str):
    """Run pytest in this process, with the plugin whether it is installed or not."""
    known = house._request.config.pluginmanager.hasplugin("fedsim")
    loaded = [] if known else ["-p", "fedsim.testing.plugin"]
    return house.runpytest_inprocess(*loaded, *words)


def test_scenarios_are_collected_where_that_is_asked_for(house):
    """Without --fedsim or the ini nothing is; with them an item for each key of ``expect``."""
    small_scenario.write(house.path, TEXT + EXPECT)
    assert run_pytest(house).ret == pytest.ExitCode.NO_TESTS_COLLECTED
    done = run_pytest(house, "--fedsim", "-v")
    done.assert_outcomes(failed=2)
    done.stdout.fnmatch_lines(
        [
            "*small.yaml::measures FAILED*",
            "*small.yaml::decisions FAILED*",
            "*measures: attempts ≤ 1; measured *: failed. The mean is *",
            "*small.golden does not exist. Write it with: pytest --fedsim-update*",
        ]
    )
    assert not Path("small.golden").exists()
    house.makeini("[pytest]\nfedsim_scenarios = small.yaml\n")
    run_pytest(house, "--fedsim-update", "-k", "decisions").assert_outcomes(failed=1, deselected=1)
    assert Path("small.golden").exists()
    run_pytest(house, "-k", "decisions").assert_outcomes(passed=1, deselected=1)


def test_known_failures_are_expected_failures(house):
    """What is known to fail is an xfail; what passes nevertheless fails."""
    known = "  known_failure: https://example.org/issues/1\n"
    small_scenario.write(house.path, TEXT + EXPECT.replace("  decisions: golden\n", known))
    run_pytest(house, "--fedsim").assert_outcomes(xfailed=1, passed=1)
    small_scenario.write(
        house.path, TEXT + EXPECT.replace("  decisions: golden\n", known).replace("1.0", "3")
    )
    done = run_pytest(house, "--fedsim")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["*Everything is held. Remove known_failure*"])


def test_a_broken_scenario_is_an_error_with_its_place(house):
    """A scenario that is wrong cannot be collected, and says where it is wrong."""
    small_scenario.write(house.path, TEXT + "expect: {best: fastest}\n")
    done = run_pytest(house, "--fedsim")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*small.yaml:*expect.best: 'fastest' is not among what is*"])


def test_fixtures_and_assertions(house):
    """Runs and comparisons come by mark or by name; assertions say what is not held."""
    house.makepyfile(
        """
        import pytest
        from fedsim.testing import assert_decisions_unchanged, assert_no_worse, assert_slo

        @pytest.mark.fedsim("small.yaml", changes={"federation.retries": "off"}, replications=2)
        def test_run(fedsim_run):
            run = fedsim_run()
            assert run is fedsim_run()
            assert (run.attempts["attempt"] == 1).all()
            other = fedsim_run("small.yaml", seed=4)
            assert other.seed == 4
            assert_slo(run)

        @pytest.mark.fedsim("small.yaml", replications=2)
        def test_comparison(fedsim_compare):
            comparison = fedsim_compare(strategies=["round_robin", "least_connections"])
            assert len(comparison.seeds) == 2
            assert_no_worse(
                comparison, "least_connections", than="round_robin", measure="success_rate",
                margin=0.5,
            )
            with pytest.raises(AssertionError, match="latency p99 ≤ 5 s; measured .* needs 1,000"):
                assert_slo(comparison, "round_robin")
            with pytest.raises(AssertionError, match="no_worse: latency mean no worse than"):
                assert_no_worse(
                    comparison, "round_robin", than="least_connections",
                    measure="latency_mean_s", margin=1e-9,
                )

        def test_golden(fedsim_run):
            assert_decisions_unchanged(fedsim_run("small.yaml"), "own.golden")
        """
    )
    run_pytest(house).assert_outcomes(passed=2, failed=1)
    run_pytest(house, "--fedsim-update", "-k", "golden").assert_outcomes(failed=1, deselected=2)
    done = run_pytest(house)
    done.assert_outcomes(passed=3)
    text = Path("own.golden").read_text(encoding="utf-8")
    first = next(line for line in text.splitlines() if line.startswith("     0 "))
    letter = "1" if first.endswith("0") else "0"
    Path("own.golden").write_text(text.replace(first, first[:-1] + letter), encoding="utf-8")
    run_pytest(house, "--fedsim-tolerance", "200", "-k", "golden").assert_outcomes(
        passed=1, deselected=2
    )
    done = run_pytest(house, "-k", "golden")
    done.stdout.fnmatch_lines(
        ["*1 of * attempts differ*", "*First difference*chat-63, attempt 1 goes to*", "*expected*"]
    )
    assert Path("runs/tests/own/own.golden").read_text(encoding="utf-8") == text


def test_runs_are_found_again_in_later_sessions(house, monkeypatch):
    """A second session reads the runs of the first, and simulates nothing."""
    house.makepyfile(
        """
        def test_run(fedsim_run, fedsim_compare):
            assert len(fedsim_run("small.yaml").requests)
            assert fedsim_compare("small.yaml", strategies=["random"], replications=2).digests
        """
    )
    run_pytest(house).assert_outcomes(passed=1)
    for name in ("fedsim.studies.records", "fedsim.testing.fixtures"):
        monkeypatch.setattr(f"{name}.simulate", None)
    run_pytest(house).assert_outcomes(passed=1)


def test_a_fixture_without_a_scenario_says_what_to_write(house):
    """No mark and no argument, and a mark with an unknown word, are errors with a remedy."""
    house.makepyfile(
        """
        import pytest

        def test_none(fedsim_run):
            fedsim_run()

        @pytest.mark.fedsim("small.yaml", sead=3)
        def test_word(fedsim_run):
            pass
        """
    )
    done = run_pytest(house)
    done.assert_outcomes(failed=1, errors=1)
    done.stdout.fnmatch_lines(
        ["*takes scenario, changes and replications, not sead*", "*Mark the test with *"]
    )


def test_the_plugin_costs_nothing_where_it_is_not_used():
    """Loading it imports neither numpy nor pydantic nor anything else of fedsim's."""
    code = (
        "import sys; import pytest; before = set(sys.modules); import fedsim.testing.plugin;"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    new = done.stdout.split()
    assert {name for name in new if name.startswith("fedsim")} == {
        "fedsim",
        "fedsim.testing",
        "fedsim.testing.files",
        "fedsim.testing.plugin",
        "fedsim.version",
    }
    assert not {"numpy", "pandas", "pydantic", "yaml"} & set(new)
