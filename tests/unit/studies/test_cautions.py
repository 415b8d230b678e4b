"""Warnings of one run and of many."""

from __future__ import annotations

from dataclasses import replace

from fedsim.federation.contracts import PrivacyLevel
from fedsim.studies.cautions import merged_warnings, run_warnings
from tests.fake_world import FakeWorld, directory


def test_warnings_that_differ_in_figures_are_one():
    """Each strategy says a thing once, with the figures of the first seed that it came with."""
    found = merged_warnings(
        [
            ("a", 7, ["3 requests were late", "odd"]),
            ("a", 8, ["1,200 requests were late"]),
            ("b", 7, ["3 requests were late"]),
        ],
        replications=2,
    )
    assert found == [
        "a, 2 of 2 replications (here seed 7): 3 requests were late",
        "a, seed 7: odd",
        "b, seed 7: 3 requests were late",
    ]


def test_equal_warnings_of_several_strategies_are_one():
    """What all say is said once; what some say names them."""
    found = merged_warnings(
        [("a", 7, ["late", "odd"]), ("b", 7, ["late", "odd"]), ("c", 7, ["late"])], replications=1
    )

    assert found == ["all strategies, seed 7: late", "a, b, seed 7: odd"]
    assert merged_warnings([("a", 7, ["late"])], replications=1) == ["a, seed 7: late"]


def test_a_run_that_warns_twice_is_one_replication():
    """Two warnings of a run that differ in figures alone do not count as two runs."""
    found = merged_warnings(
        [("a", 7, ["1 node lost", "2 node lost"]), ("a", 8, ["3 node lost"])], replications=2
    )

    assert found == ["a, 2 of 2 replications (here seed 7): 1 node lost"]


def names(privacy):
    """Return names whose streams all have data of one privacy level."""
    usual = directory()
    streams = tuple(replace(stream, privacy=privacy) for stream in usual.streams)
    return replace(usual, streams=streams)


def test_a_clean_run_has_no_warnings():
    """A run in which nothing is amiss says nothing."""
    world = FakeWorld(names(PrivacyLevel.PUBLIC), duration_s=60.0, outage_s=None)
    assert run_warnings(world.run()) == []


def test_privacy_violations_are_counted_in_a_sentence():
    """Requests served where their data must not be are never left unsaid."""
    world = FakeWorld(names(PrivacyLevel.INTERNAL), duration_s=60.0, outage_s=None)
    run = world.run()
    count = int(run.summary()["privacy_violations"].iloc[0])
    assert count > 1
    assert run_warnings(run) == [
        f"{count:,} attempts were served in a region that may not hold the request's data."
    ]


def test_requests_that_can_never_be_served_are_named():
    """What a node refuses for good is counted, and the first such request is named."""
    world = FakeWorld(names(PrivacyLevel.PUBLIC), duration_s=60.0, outage_s=None)
    for number in range(2):
        detail = f"request chat-{number} can never be served by node n-0: too long"
        world.event_at(5.0 + number, "refusal", "n-0", "", "", "", detail)
    assert run_warnings(world.run()) == [
        "2 attempts were refused for good; the first: request chat-0 can never be served by node "
        "n-0: too long."
    ]


def test_the_runs_own_warnings_come_first():
    """What the run itself warns of is kept."""
    world = FakeWorld(names(PrivacyLevel.PUBLIC), duration_s=60.0, outage_s=None)
    assert run_warnings(world.run(warnings=["Beware."])) == ["Beware."]
