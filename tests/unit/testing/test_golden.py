"""Golden decisions: what the file holds, reading it back, and what counts as a difference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import fedsim
from fedsim.errors import ResultsError
from fedsim.results.run import Run
from fedsim.testing.golden import (
    BLOCK,
    MOST_WINDOWS,
    Attempt,
    Change,
    changes,
    golden_of,
    parsed,
    sent,
    text_of,
)
from tests import small_scenario

PATH = Path("small.golden")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with retries and two gateways."""
    folder = tmp_path_factory.mktemp("golden")
    return fedsim.simulate(fedsim.load(small_scenario.write(folder), {"duration": "20s"}))


@pytest.fixture(scope="module")
def golden(run):
    """The decisions of the run."""
    return golden_of(run)


def test_every_attempt_is_there_once(run, golden):
    """The attempts table and the golden file tell of the same attempts, nodes and requests."""
    table = run.attempts
    known = {(row.request_id, row.attempt, bool(row.hedge)): row.node for row in table.itertuples()}
    found = {
        (attempt.request, attempt.number, attempt.hedge): node for attempt, node in golden.targets()
    }
    assert found == known
    assert golden.count == len(table)
    assert len(golden.others) == int((table["attempt"] > 1).sum()) > 0
    by_node = table["node"].value_counts().to_dict()
    for node, count in by_node.items():
        assert sum(counts.get(node, 0) for counts in golden.counts.values()) == count


def test_a_loaded_run_has_the_same_decisions(run, golden, tmp_path):
    """A run that comes from files, whose tables lack hidden columns, gives the same text."""
    loaded = Run.load(run.save(tmp_path / "run", charts=False))
    assert text_of(golden_of(loaded)) == text_of(golden)
    assert list(sent(loaded)) == list(sent(run))


def test_the_text_is_read_back_as_it_was(golden):
    """Writing and reading lose nothing; windows are few, and lines short enough to be read."""
    text = text_of(golden)
    assert parsed(text, PATH) == golden
    assert text_of(parsed(text, PATH)) == text
    assert len({window for window, _ in golden.counts}) <= MOST_WINDOWS + 1
    assert max(map(len, text.splitlines())) < 120


def test_more_nodes_than_letters(golden):
    """With more than 62 nodes each has two letters, and the text is read back as well."""
    nodes = tuple(f"n-{number}" for number in range(100))
    firsts = {"chat": [*nodes, None]}
    many = replace(
        golden, nodes=nodes, firsts=firsts, others={}, counts={}, digests={"chat": ["a", "b"]}
    )
    assert parsed(text_of(many), PATH) == many


def test_what_differs_is_named(golden):
    """A node, a retry that is gone and one that is new are changes; equal runs have none."""
    assert changes(golden, golden) == []
    nodes = list(golden.firsts["chat"])
    before = nodes[70]
    nodes[70] = next(node for node in golden.nodes if node != before)
    gone, *_ = golden.others
    others = {key: value for key, value in golden.others.items() if key != gone}
    new = Attempt("chat", 3, 9, hedge=True)
    others[new] = "east/0", "east-chat-0"
    other = replace(golden, firsts={"chat": nodes}, others=others)
    assert changes(golden, other) == sorted(
        [
            Change(Attempt("chat", 70, 1, hedge=False), before, nodes[70]),
            Change(gone, golden.others[gone][1], None),
            Change(new, None, "east-chat-0"),
        ],
        key=lambda each: each.attempt,
    )


def test_another_gateway_is_one_change(golden):
    """Where the nodes of a block are equal and its digest is not, its gateways differ."""
    digests = list(golden.digests["chat"])
    digests[1] = "00000000"
    (change,) = changes(golden, replace(golden, digests={"chat": digests}))
    assert change.attempt == Attempt("chat", BLOCK, 1, hedge=False)
    assert change.before == change.after


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("format 1", "format 9", "is no golden file of this fedsim"),
        ("seed: 3\n", "", "is not whole: 'seed' is missing"),
        ("east/0: ", "east/0; ", "small.golden:11: broken"),
        ("nodes: 0 east-chat-0, ", "nodes: ", "broken"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(golden, old, new, message):
    """A file that somebody edited says where it is broken, and how to get a whole one."""
    with pytest.raises(ResultsError, match=message):
        parsed(text_of(golden).replace(old, new), PATH)
