"""Run directories: whole or not there, and the same run when read again."""

from __future__ import annotations

import json
import math
import pickle
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fedsim.errors import ResultsError
from fedsim.results.measures import MEASURES
from fedsim.results.plots import CHARTS
from fedsim.results.recorder import Recorder
from fedsim.results.run import Run
from fedsim.results.rundir import whole_directory, write_json
from fedsim.results.slo import Slo
from fedsim.results.storage import SAVED_GROUPINGS
from fedsim.results.tables import NAMES, Tables
from tests.fake_world import FakeWorld, directory


@pytest.fixture(scope="module")
def run() -> Run:
    """A short run with an outage."""
    return FakeWorld(duration_s=90.0, outage_s=(40.0, 60.0)).run(warnings=["made up"])


@pytest.fixture(scope="module")
def saved(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's directory, without charts."""
    return run.save(tmp_path_factory.mktemp("runs") / "a", charts=False)


def like_the_run(tables: Recorder | Tables, **facts: Any) -> Run:
    """Return a run like the fixture's, but with these tables."""
    given: dict[str, Any] = {
        "directory": directory(),
        "name": "made-up",
        "scenario_yaml": "",
        "seed": 1,
        "strategy": "round_robin",
        "warmup_s": 30.0,
        "duration_s": 90.0,
        "slo": Slo({"latency_p99": 4.0, "success_rate": 0.99}),
    }
    return Run(tables, **(given | facts))


class TestRoundTrip:
    @pytest.mark.parametrize("table", NAMES)
    def test_tables(self, run: Run, saved: Path, table: str) -> None:
        """A table read again is equal in values, types and categories."""
        pd.testing.assert_frame_equal(Run.load(saved).tables[table], run.tables[table])

    def test_everything_else(self, run: Run, saved: Path) -> None:
        """Digest, summaries, objective, names and times survive."""
        loaded = Run.load(saved)

        assert loaded.digest == run.digest == run.manifest["digest"]
        assert loaded.directory == run.directory
        assert loaded.slo == run.slo
        assert loaded.end_s == run.end_s
        assert loaded.scenario_yaml == run.scenario_yaml
        assert loaded.warnings == run.warnings
        assert loaded.verdicts() == run.verdicts()
        for by in (None, "stream", "node", "tenant"):
            pd.testing.assert_frame_equal(loaded.summary(by), run.summary(by))
        assert loaded.tables.request_rows.tolist() == run.tables.request_rows.tolist()

    def test_a_run_without_requests(self, tmp_path: Path) -> None:
        """Empty tables keep their types and categories."""
        run = FakeWorld(duration_s=0.0, warmup_s=0.0, outage_s=None).run(wall_s=math.nan)

        loaded = Run.load(run.save(tmp_path / "empty"))

        for table in NAMES:
            pd.testing.assert_frame_equal(loaded.tables[table], run.tables[table])
        assert loaded.digest == run.digest
        assert math.isnan(loaded.wall_s)

    def test_to_another_process(self, run: Run) -> None:
        """A run can be pickled."""
        travelled: Run = pickle.loads(pickle.dumps(run))

        assert travelled.digest == run.digest
        pd.testing.assert_frame_equal(travelled.summary("origin"), run.summary("origin"))


class TestDirectory:
    def test_contents(self, run: Run, tmp_path: Path) -> None:
        """It holds what the documentation says, and JSON that any reader takes."""
        folder = run.save(tmp_path / "b")

        names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*"))
        charts = [f"charts/{name}.png" for name in CHARTS if name != "scaling"]
        tables = [f"{name}.parquet" for name in NAMES]
        plain = ["manifest.json", "scenario.yaml", "summary.json"]
        assert names == sorted([*charts, *tables, *plain])
        for name in ("manifest.json", "summary.json"):
            json.loads((folder / name).read_text(), parse_constant=pytest.fail)

    def test_manifest(self, run: Run) -> None:
        """The manifest has what a digest depends on."""
        manifest = run.manifest

        assert manifest["seed"] == 1
        assert {"fedsim", "python", "numpy", "pandas", "pyarrow", "simpy"} <= set(
            manifest["versions"]
        )
        assert manifest["platform"]["machine"]
        assert manifest["platform"]["cpu_features"]

    def test_summary_has_null_for_missing(self, saved: Path) -> None:
        """A measure that a group has not is null, and each grouping is there but tenants."""
        data = json.loads((saved / "summary.json").read_text())

        assert list(data["by"]) == list(SAVED_GROUPINGS)
        assert data["by"]["stream"][0]["stream"] == "chat"
        assert data["by"]["stream"][0]["utilization_mean"] is None

    def test_replaces_its_own(self, run: Run, tmp_path: Path) -> None:
        """A directory that fedsim wrote is replaced, and nothing is left beside it."""
        target = run.save(tmp_path / "c", charts=False)
        (target / "notes.txt").write_text("of the first run")

        run.save(target, charts=False)

        assert not (target / "notes.txt").exists()
        assert [path.name for path in tmp_path.iterdir()] == ["c"]

    def test_an_empty_one_is_taken(self, run: Run, tmp_path: Path) -> None:
        """An empty directory may be written to."""
        (tmp_path / "d").mkdir()

        assert Run.load(run.save(tmp_path / "d", charts=False)).name == run.name

    @pytest.mark.parametrize("kind", ["file", "folder"])
    def test_refuses_what_is_not_its_own(self, run: Run, tmp_path: Path, kind: str) -> None:
        """Someone else's file or directory stays as it is."""
        target = tmp_path / "thesis"
        if kind == "file":
            target.write_text("two years of work")
        else:
            target.mkdir()
            (target / "chapter-1.tex").write_text("two years of work")

        with pytest.raises(ResultsError, match="not a directory that fedsim wrote; choose another"):
            run.save(target)

        assert [path.name for path in tmp_path.iterdir()] == ["thesis"]

    def test_a_place_that_cannot_be_written(self, run: Run, tmp_path: Path) -> None:
        """A parent that is a file is an error with a remedy, not a traceback of pathlib."""
        (tmp_path / "file").write_text("")

        with pytest.raises(ResultsError, match=r"cannot write .*choose another directory"):
            run.save(tmp_path / "file" / "run")

    def test_nothing_appears_if_writing_fails(self, tmp_path: Path) -> None:
        """An interrupted write leaves the old directory, and no half of a new one."""
        manifest = {"versions": {"fedsim": "0.1.0"}}
        with whole_directory(tmp_path / "e") as folder:
            write_json(folder / "manifest.json", manifest)
        endless: list[Any] = []
        endless.append(endless)

        with pytest.raises(RecursionError), whole_directory(tmp_path / "e") as folder:
            write_json(folder / "manifest.json", endless)

        assert json.loads((tmp_path / "e" / "manifest.json").read_text()) == manifest
        assert [path.name for path in tmp_path.iterdir()] == ["e"]


class TestLoad:
    def test_not_a_run(self, tmp_path: Path) -> None:
        """A directory without a manifest is not a run."""
        with pytest.raises(ResultsError, match=r"is not a run directory: it has no manifest\.json"):
            Run.load(tmp_path)

    def test_broken_manifest(self, tmp_path: Path) -> None:
        """A manifest that is not JSON is named."""
        (tmp_path / "manifest.json").write_text("{")

        with pytest.raises(ResultsError, match=r"manifest\.json cannot be read"):
            Run.load(tmp_path)

    @pytest.mark.parametrize("text", ["[]", "{}", '{"format": 99}'])
    def test_newer_format(self, tmp_path: Path, text: str) -> None:
        """A newer or foreign format is refused rather than half understood."""
        (tmp_path / "manifest.json").write_text(text)

        with pytest.raises(ResultsError, match="another or a newer fedsim"):
            Run.load(tmp_path)

    @pytest.mark.parametrize("loss", ["scenario.yaml", "requests.parquet"])
    def test_a_file_is_gone(self, saved: Path, tmp_path: Path, loss: str) -> None:
        """A missing file is named when it is needed."""
        shutil.copytree(saved, tmp_path / "copy")
        (tmp_path / "copy" / loss).unlink()

        with pytest.raises(ResultsError, match=loss):
            _ = Run.load(tmp_path / "copy").requests

    def test_a_broken_table(self, saved: Path, tmp_path: Path) -> None:
        """A table that is not Parquet is named."""
        shutil.copytree(saved, tmp_path / "copy")
        (tmp_path / "copy" / "events.parquet").write_text("nonsense")

        with pytest.raises(ResultsError, match=r"events\.parquet cannot be read"):
            _ = Run.load(tmp_path / "copy").events


class TestSummaryOnly:
    def test_summary_survives_without_tables(self, run: Run, tmp_path: Path) -> None:
        """With tables: summary, the summaries and the digest are kept and tables are refused."""
        lean = like_the_run(run.tables, record_tables="summary")

        loaded = Run.load(lean.save(tmp_path / "lean", charts=False))

        assert not list((tmp_path / "lean").glob("*.parquet"))
        assert loaded.digest == run.digest
        for by in (None, *SAVED_GROUPINGS):
            pd.testing.assert_frame_equal(
                loaded.summary(by), run.summary(by), check_dtype=False, check_index_type=False
            )
        assert loaded.warnings == []
        assert loaded.verdicts() == run.verdicts()
        with pytest.raises(ResultsError, match=r"record\.tables: summary"):
            _ = loaded.requests

    def test_of_format_1(self, run: Run, tmp_path: Path) -> None:
        """A run of before has no newer measures, which are missing, and no verdicts."""
        folder = like_the_run(run.tables, record_tables="summary").save(
            tmp_path / "old", charts=False
        )
        data = json.loads((folder / "summary.json").read_text())
        del data["objective"], data["all"]["queue_wait_p99_s"]
        (folder / "summary.json").write_text(json.dumps(data))

        loaded = Run.load(folder)

        assert list(loaded.summary().columns) == list(MEASURES)
        assert loaded.summary()["queue_wait_p99_s"].isna().all()
        with pytest.raises(ResultsError, match=r"record\.tables: summary"):
            loaded.verdicts()


def test_a_run_of_before_has_paid_for_all_nodes_all_the_time(run: Run, tmp_path: Path) -> None:
    """Without the columns of scalers its measures are what they were."""
    folder = run.save(tmp_path / "old", charts=False)
    table = pd.read_parquet(folder / "node_totals.parquet").drop(columns="window_paid_s")
    table.to_parquet(folder / "node_totals.parquet", index=False)

    found, expected = (each.summary() for each in (Run.load(folder), run))
    kept = ["cost_usd_per_hour", "utilization_mean", "imbalance"]
    assert found[kept].equals(expected[kept])


def test_a_run_of_before_lacks_time_in_use(run: Run, tmp_path: Path) -> None:
    """Without the column that utilization rests on, utilization is missing, and nothing else."""
    folder = run.save(tmp_path / "old", charts=False)
    table = pd.read_parquet(folder / "node_totals.parquet").drop(columns="window_busy_s")
    table.to_parquet(folder / "node_totals.parquet", index=False)

    summary = Run.load(folder).summary()

    assert summary["utilization_mean"].isna().all()
    expected = run.summary().drop(columns="utilization_mean")
    pd.testing.assert_frame_equal(summary.drop(columns="utilization_mean"), expected)


class TestWarnings:
    def test_plug_ins_are_named_once(self) -> None:
        """What a plug-in did many times is one warning that counts."""
        recorder = FakeWorld(duration_s=20.0, outage_s=None).record()
        for gateway in ("us-east/0", "eu-west/0"):
            recorder.event(
                time_s=1.0,
                kind="plugin",
                subject="my:Router",
                gateway=gateway,
                detail="waited past a deadline",
            )

        run = like_the_run(recorder, warnings=["something else"])

        assert run.warnings == [
            "something else",
            "plug-in my:Router: waited past a deadline (2 times)",
        ]

    def test_unfinished_requests_are_pointed_out(self) -> None:
        """A run whose drain was too short says so."""
        recorder = FakeWorld(duration_s=20.0).record()
        recorder.request_arrived(stream=0, index=999, origin=0, arrived_s=20.0)

        (warning,) = like_the_run(recorder).warnings

        assert warning.startswith("1 request was unfinished when the drain ended; it counts")
