"""A Dask cluster runs studies: equal digests, also where one of its workers is killed."""

from __future__ import annotations

import importlib
import os
import signal

import pytest
from typer.testing import CliRunner

import fedsim
from fedsim.cli.app import app
from fedsim.errors import ArgumentError
from fedsim.studies.dask_cluster import cluster
from fedsim.studies.progress import Progress
from tests import small_scenario

REASON = "distributed is not installed (the extra dask has it)"


def local_cluster(**how):
    """Return a cluster of this machine whose workers have one thread each."""
    distributed = pytest.importorskip("distributed", reason=REASON)
    return distributed.LocalCluster(threads_per_worker=1, dashboard_address=None, **how)


@pytest.fixture
def threads():
    """A cluster of two threads of this process."""
    with local_cluster(n_workers=2, processes=False, protocol="tcp") as found:
        yield found


@pytest.fixture
def processes():
    """A cluster of two processes."""
    with local_cluster(n_workers=2, processes=True) as found:
        yield found


@pytest.mark.filterwarnings("ignore")
def test_equal_digests(threads, tmp_path):
    """Where the runs are made changes nothing."""
    scenario = fedsim.load(small_scenario.write(tmp_path))
    with cluster(threads.scheduler_address) as executor:
        found = fedsim.compare(scenario, replications=2, executor=executor)
    assert found.digests == fedsim.compare(scenario, replications=2, workers=1).digests


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_equal_digests_though_a_worker_is_killed(processes, tmp_path):
    """A worker that is killed in mid-study costs time alone."""
    workers = processes
    scenario = fedsim.load(small_scenario.write(tmp_path))
    killed: list[int] = []

    def kill(progress: Progress) -> None:
        if progress.done >= 2 and not killed:
            killed.append(next(iter(client.run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)

    client = importlib.import_module("distributed").Client(workers, set_as_default=False)
    with client, cluster(workers.scheduler_address) as executor:
        found = fedsim.compare(scenario, replications=4, executor=executor, progress=kill)
    assert killed
    assert not found.failures
    assert found.digests == fedsim.compare(scenario, replications=4, workers=1).digests


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_command_line_takes_an_address(threads, tmp_path, monkeypatch):
    """``--dask`` runs the study there."""
    monkeypatch.chdir(tmp_path)
    small_scenario.write(tmp_path)
    words = ["compare", "small.yaml", "--replications", "1", "--quiet"]
    done = CliRunner().invoke(app, [*words, "--dask", threads.scheduler_address])
    assert (done.exit_code, done.stdout) == (0, "runs/small-compare-3\n")


def test_processes_and_a_cluster_are_refused():
    """Which of the two is meant cannot be known."""
    with pytest.raises(ArgumentError, match="Leave one of the two out"), cluster("tcp://a:1", 2):
        pass


def test_what_is_missing_is_named(monkeypatch):
    """Without the extra, the message says how to install it."""
    monkeypatch.setitem(importlib.import_module("sys").modules, "distributed", None)
    with pytest.raises(ArgumentError, match=r"fedsim-routing\[dask\]"), cluster("tcp://a:1"):
        pass
