"""Two versions of one router in one paired study: ``git:REF:module:Class``."""

from __future__ import annotations

import json
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

import fedsim
from fedsim.cli.app import app
from fedsim.errors import ArgumentError, ScenarioError
from fedsim.studies.inventory import Inventory
from tests import small_scenario

ROUTER = """\
from fedsim.federation.contracts import RouteTarget
from versioned_{name}.choice import NODE


class R:
    def route(self, request):
        return RouteTarget(NODE, "west")
"""


def git(folder: Path, *words: str) -> str:
    """Run git in *folder*."""
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def repository(folder: Path, name: str) -> Path:
    """Make a repository whose router sends to one node in the tag old, and to another now."""
    small_scenario.write(folder)
    package = folder / f"versioned_{name}"
    package.mkdir()
    (package / "router.py").write_text(ROUTER.replace("{name}", name))
    (package / "choice.py").write_text("NODE = 'west-chat-0'\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Old")
    git(folder, "tag", "old")
    (package / "choice.py").write_text("NODE = 'west-chat-1'\n")
    return folder


def nodes(run):
    """Return the nodes that attempts went to."""
    return set(run.attempts["node"].astype(str))


def test_two_versions_of_a_router_are_compared(tmp_path, monkeypatch):
    """Each runs with its own imports, on the same requests; the worktree is gone afterwards."""
    folder = repository(tmp_path, "two")
    monkeypatch.chdir(folder)
    scenario = fedsim.load("small.yaml")
    routers = {"new": "versioned_two.router:R", "old": "git:old:versioned_two.router:R"}
    found = fedsim.compare(
        scenario,
        strategies=[],
        routers=routers,
        replications=2,
        workers=1,
        directory="study",
    )
    assert nodes(found.run("new")) == {"west-chat-1"}
    assert nodes(found.run("old")) == {"west-chat-0"}
    assert found.seeds == tuple(dict.fromkeys(each.seed for each in found.records))
    assert git(folder, "worktree", "list").count("\n") == 1
    before = {path: path.stat().st_mtime_ns for path in Path("study/runs").glob("*.json")}
    git(folder, "commit", "-qam", "New")
    again = fedsim.compare(
        scenario, strategies=[], routers=routers, replications=2, workers=1, directory="study"
    )
    assert again.digests == found.digests
    assert before == {path: path.stat().st_mtime_ns for path in Path("study/runs").glob("*.json")}
    row = Inventory("study").rows[1]
    assert f"git:{git(folder, 'rev-parse', 'old').strip()}:versioned_two.router:R" in row["command"]
    repeated = CliRunner().invoke(app, [*shlex.split(row["command"])[1:], "--json"])
    assert [row["digest"]] in json.loads(repeated.stdout)["digests"]


POLICY = """\
from versioned_{name}.choice import NODE


class Only:
    def __init__(self, context):
        pass

    def name(self):
        return "only"

    def score(self, candidate, request):
        return 1.0

    def is_eligible(self, candidate, request):
        return candidate.target.node_id == NODE
"""


def test_a_sweep_takes_other_plug_ins_of_a_commit(tmp_path, monkeypatch):
    """A policy next to its version in a commit, each with its own imports, and the command."""
    folder = repository(tmp_path, "swept")
    (folder / "versioned_swept" / "policy.py").write_text(POLICY.replace("{name}", "swept"))
    git(folder, "add", "-A")
    git(folder, "stash", "-q")
    git(folder, "checkout", "-q", "stash@{0}", "--", "versioned_swept/policy.py")
    git(folder, "commit", "-qm", "Policy")
    git(folder, "tag", "first")
    git(folder, "stash", "pop", "-q")
    monkeypatch.chdir(folder)
    texts = ["versioned_swept.policy:Only", "git:first:versioned_swept.policy:Only"]
    found = fedsim.sweep(
        fedsim.load("small.yaml"),
        grid={"federation.policies": [{text: {}} for text in texts]},
        replications=1,
        workers=1,
        directory="sweep",
    )
    assert not found.failures
    now, then = found.planned
    assert (now.cell.commit, then.cell.commit) == ("", git(folder, "rev-parse", "first").strip())
    assert list(then.cell.changes.values()) == [{texts[0]: {}}]
    (first,), (second,) = found.digests
    assert first != second
    row = Inventory("sweep").rows[1]
    assert f"git:{then.cell.commit}:{texts[0]}" in row["command"]


def test_a_scenario_has_what_is_there_now(tmp_path, monkeypatch):
    """A run of a plug-in of a commit is refused with where it can be; so are two commits."""
    monkeypatch.chdir(repository(tmp_path, "here"))
    text = "git:old:versioned_here.router:R"
    for path, value in (
        ("federation.router", text),
        ("federation.strategy", text),
        ("federation.health", text),
        ("federation.policies", {text: {}}),
        ("federation.circuit_breaker", text),
    ):
        with pytest.raises(ScenarioError, match="a plug-in of another commit") as raised:
            fedsim.load("small.yaml", {path: value})
        assert "A sweep takes it as a value" in str(raised.value)
    git(Path(), "commit", "-qam", "New")
    git(Path(), "tag", "new")
    both = {"federation.router": text, "federation.health": text.replace("old", "new")}
    with pytest.raises(ScenarioError, match="these come from several"):
        fedsim.sweep(fedsim.load("small.yaml"), list=[both])


@pytest.mark.slow
def test_the_command_line_names_versions(tmp_path, monkeypatch):
    """``--router NAME=ROUTER`` gives each version a name."""
    monkeypatch.chdir(repository(tmp_path, "cli"))
    words = ["compare", "small.yaml", "--set", "compare.strategies=[random]", "--replications", "1"]
    words += ["--router", "new=versioned_cli.router:R"]
    words += ["--router", "old=git:old:versioned_cli.router:R"]
    done = CliRunner().invoke(app, [*words, "--workers", "1", "--json"])
    assert {row["strategy"] for row in json.loads(done.stdout)["ranking"]} == {
        "random",
        "new",
        "old",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("git:old:versioned_bad.router", "not of the form git:REF:module:Class"),
        ("git:none:versioned_bad.router:R", "has no commit 'none'"),
        ("git:old:versioned_bad.missing:R", r"has no versioned_bad/missing\.py or"),
    ],
)
def test_what_is_not_there_is_named(tmp_path, monkeypatch, text, message):
    """The form, the commit, the module."""
    monkeypatch.chdir(repository(tmp_path, "bad"))
    with pytest.raises(ScenarioError, match=message):
        fedsim.compare(fedsim.load("small.yaml"), strategies=[], routers={"old": text})


def test_there_has_to_be_a_repository(tmp_path, monkeypatch):
    """Outside of one, the message says where to go."""
    small_scenario.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(ScenarioError, match="is in no git repository"):
        fedsim.compare(fedsim.load("small.yaml"), routers={"old": "git:main:a:B"})


def test_an_executor_has_no_other_commits(tmp_path, monkeypatch):
    """Its workers import what is there now."""
    monkeypatch.chdir(repository(tmp_path, "far"))
    with ThreadPoolExecutor() as pool, pytest.raises(ArgumentError, match="not on an executor"):
        fedsim.compare(
            fedsim.load("small.yaml"),
            strategies=[],
            routers={"old": "git:old:versioned_far.router:R"},
            executor=pool,
        )
