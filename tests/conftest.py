"""What all tests share: the real data's folder, repeatable Hypothesis, and runs that are cheap."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None, max_examples=2_000)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of published traces and catalogues, or skip the test where it is absent."""
    named = os.environ.get("FEDSIM_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no published traces at {folder}; FEDSIM_DATA can name their folder")
    return folder


@pytest.fixture(scope="session", autouse=True)
def laws_hold() -> Iterator[None]:
    """Check every run of a world in this process against conservation and Little's law."""
    from tests import laws

    with laws.enforced():
        yield


@pytest.fixture(scope="session", autouse=True)
def runs_stay_here() -> Iterator[None]:
    """Let a study start processes only where a test says how many: tests use the other cores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fedsim.studies.workers.usable_cpus", lambda: 1)
        yield


@pytest.fixture(scope="session", autouse=True)
def charts_are_blank() -> Iterator[None]:
    """Build every chart, but draw none: nine tenths of the time of a command were drawing.

    Tests that look at what is drawn take ``drawn``.
    """
    from fedsim.charts.figure import Chart

    with pytest.MonkeyPatch.context() as patch:
        _DRAWS.append(Chart.savefig)
        patch.setattr(Chart, "savefig", _blank)
        yield


_DRAWS: list[Any] = []
"""What draws a chart: the method that ``charts_are_blank`` replaces."""


@pytest.fixture(scope="session")
def drawing() -> Callable[[], AbstractContextManager[None]]:
    """Return a context in which charts are drawn, for a fixture that several tests share."""
    from fedsim.charts.figure import Chart

    @contextmanager
    def within() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Chart, "savefig", _DRAWS[0])
            yield

    return within


@pytest.fixture
def drawn(drawing: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """Draw what the test saves."""
    with drawing():
        yield


_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c636000000002000148afa4710000000049454e44ae426082"
)
"""A picture of one pixel."""

_SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>'


def _blank(_: Any, file: str | Path | BinaryIO, *, format: str = "png", **__: Any) -> None:
    """Stand in for the method that draws a chart into *file*."""
    picture = _SVG if format == "svg" else _PNG
    if isinstance(file, str | Path):
        Path(file).write_bytes(picture)
    else:
        file.write(picture)
