"""The pytest plugin: scenarios as tests, runs and comparisons as fixtures.

It is loaded at every start of pytest wherever fedsim is installed, so that it imports nothing of
fedsim's until something of it is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fedsim.testing.files import expects

if TYPE_CHECKING:
    from fedsim.testing.fixtures import Comparing, Running


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and the setting of the plugin."""
    group = parser.getgroup("fedsim", "fedsim: tests of routing")
    group.addoption(
        "--fedsim",
        action="store_true",
        help="Collect scenario files with an `expect`.",
    )
    group.addoption(
        "--fedsim-update",
        action="store_true",
        help="Write golden decisions where they differ, and fail once.",
    )
    group.addoption(
        "--fedsim-tolerance",
        type=float,
        default=0.0,
        metavar="N",
        help="Golden decisions in 10,000 that may differ (default: 0).",
    )
    parser.addini(
        "fedsim_scenarios",
        type="paths",
        default=[],
        help="Scenario files and folders whose `expect` is tested, also without --fedsim.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Describe the mark, and test the scenarios of the ini where no path is given."""
    config.addinivalue_line(
        "markers",
        "fedsim(scenario, changes=None, replications=None): what fedsim_run and fedsim_compare run",
    )
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args += [str(path) for path in config.getini("fedsim_scenarios")]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a scenario file that expects something, where that is asked for."""
    if file_path.suffix not in {".yaml", ".yml"}:
        return None
    places: list[Path] = parent.config.getini("fedsim_scenarios")
    asked = parent.config.getoption("--fedsim") or any(
        file_path == place or place in file_path.parents for place in places
    )
    if not asked or not expects(file_path):
        return None
    from fedsim.testing.items import ScenarioFile

    collected: pytest.Collector = ScenarioFile.from_parent(parent, path=file_path)
    return collected


@pytest.fixture
def fedsim_run(request: pytest.FixtureRequest) -> Running:
    """Runs scenarios: ``fedsim_run()`` that of the mark, ``fedsim_run(path)`` another.

    A run that was made before, in this session or an earlier one, is read from pytest's cache.
    """
    from fedsim.testing.fixtures import Running, session_of

    return Running(session_of(request.config), _marked(request))


@pytest.fixture
def fedsim_compare(request: pytest.FixtureRequest) -> Comparing:
    """Compares strategies and routers, as ``fedsim.compare`` does, with the runs of the cache."""
    from fedsim.testing.fixtures import Comparing, session_of

    return Comparing(session_of(request.config), _marked(request))


def _marked(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the scenario, changes and replications of the mark of a test; empty without one."""
    mark = request.node.get_closest_marker("fedsim")
    if mark is None:
        return {}
    names = ("scenario", "changes", "replications")
    found: dict[str, Any] = {**dict(zip(names, mark.args, strict=False)), **mark.kwargs}
    unknown = [name for name in found if name not in names]
    if unknown or len(mark.args) > len(names):
        wrong = ", ".join(unknown) or f"{len(mark.args)} values"
        message = f"pytest.mark.fedsim takes scenario, changes and replications, not {wrong}"
        raise pytest.UsageError(message)
    return found
