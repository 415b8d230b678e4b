"""The scores that are shown are those that the policies gave, once, for the decision."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import fedsim
from fedsim.cli import app
from tests.contract.plugin_world import scenario

PARTS = [f"{name}_score" for name in ("latency", "throughput", "cost", "locality", "health")]
ON = {"record.decisions": "on", "federation.strategy": "weighted_random"}


class Counted:
    """A policy whose score is the number of times that it was asked, over a million."""

    asked = 0

    def name(self):
        """Return its name."""
        return "counted"

    def score(self, candidate, request):
        """Return another number each time."""
        type(self).asked += 1
        return type(self).asked / 1e6

    def is_eligible(self, candidate, request):
        """Return True."""
        return True


def test_each_policys_number_is_its_own(tmp_path):
    """A latency policy with a scale of its own, and cost as a mixture, are shown as they scored."""
    policies = {
        "latency": {"weight": 3, "max_latency": "500ms"},
        "cost": {"weight": 1},
        "health": {},
    }
    settings = {**ON, "federation.policies": policies, "pools.chat.cost": "2 USD/h"}
    decisions = fedsim.simulate(scenario(tmp_path, settings)).decisions
    known = decisions[decisions["estimated_latency_s"].notna() & decisions["eligible"]]
    latency = 1 - known["estimated_latency_s"] / 0.5
    cost = 0.5 * 0.0 + 0.5 * (1 - known["estimated_latency_s"] / 5)

    assert len(known) > 50
    assert known["latency_score"].to_numpy() == pytest.approx(latency.to_numpy())
    assert known["cost_score"].to_numpy() == pytest.approx(cost.to_numpy())
    total = (3 * known["latency_score"] + known["cost_score"] + 2 * known["health_score"]) / 6
    assert known["total_score"].to_numpy() == pytest.approx(total.to_numpy())
    assert known[["throughput_score", "locality_score"]].isna().all(axis=None)


def test_a_score_is_asked_for_once(tmp_path):
    """A foreign policy is asked once for each candidate of each decision, recorded or not.

    The total that is shown is that one answer.
    """
    Counted.asked = 0
    settings = {"federation.strategy": "weighted_random"}
    plain = fedsim.simulate(scenario(tmp_path, settings), policies=[Counted])
    asked, Counted.asked = Counted.asked, 0
    watched = fedsim.simulate(scenario(tmp_path, ON), policies=[Counted])

    assert Counted.asked == asked == 3 * len(plain.attempts)
    assert watched.digest == plain.digest
    shown = watched.decisions["total_score"] * 1e6
    assert list(shown.round().astype(int)) == list(range(1, asked + 1))


def test_explain_shows_the_numbers_of_the_decision(tmp_path):
    """A run that is repeated to explain a request has the scores of one that recorded them."""
    recorded = fedsim.simulate(scenario(tmp_path, ON)).decisions
    plain = fedsim.simulate(scenario(tmp_path, {**ON, "record.decisions": "off"}))
    directory = plain.save(tmp_path / "run", charts=False)

    for request_id in ("chat-0", "chat-40"):
        explained = fedsim.explain(directory, request_id)
        shown = recorded[recorded["request_id"] == request_id]

        assert explained.repeated
        assert shown["total_score"].notna().all()
        scores = [*PARTS, "total_score"]
        assert explained.decisions[scores].to_numpy() == pytest.approx(
            shown[scores].to_numpy(), rel=0, abs=0, nan_ok=True
        )


def test_the_draw_is_by_the_totals_shown(tmp_path):
    """Nodes are chosen in proportion to the totals of the table."""
    policies = {"locality": {}, "health": {"weight": 1}}
    settings = {**ON, "federation.policies": policies, "duration": "200s"}
    decisions = fedsim.simulate(scenario(tmp_path, settings)).decisions
    shares = decisions["total_score"] / decisions.groupby("request_id")["total_score"].transform(
        "sum"
    )
    drawn = decisions.groupby("node", observed=True)["chosen"].sum()
    expected = shares.groupby(decisions["node"], observed=True).sum()

    assert drawn.to_numpy() == pytest.approx(expected.to_numpy(), abs=5 * 15)  # 1,000 draws


@pytest.mark.parametrize("strategy", ["least_latency", "round_robin", "consistent_hash"])
def test_a_strategy_that_ignores_scores_shows_none(tmp_path, strategy, monkeypatch):
    """Where nobody asked the policies, no score is shown, and the report says why."""
    monkeypatch.setenv("COLUMNS", "100")
    run = fedsim.simulate(scenario(tmp_path, {**ON, "federation.strategy": strategy}))
    directory = run.save(tmp_path / "run", charts=False)

    assert run.decisions[[*PARTS, "total_score"]].isna().all(axis=None)
    assert run.decisions["eligible"].all()
    command = ["explain", str(directory), "chat-3"]
    text = CliRunner().invoke(app, command, prog_name="fedsim").stdout
    assert "does not choose by the policies' scores" in text
    assert "health score" not in text
    found = json.loads(CliRunner().invoke(app, [*command, "--json"], prog_name="fedsim").stdout)
    assert {row["total_score"] for row in found["decisions"]} == {None}


def test_the_reference_shows_what_its_policies_gave(tmp_path):
    """The mean of the five scores, weights included and privacy 1, is the total shown."""
    settings = {"record.decisions": "on", "federation": {"preset": "apr"}}
    decisions = fedsim.simulate(scenario(tmp_path, settings)).decisions
    scored = decisions[decisions["total_score"].notna()]
    given = scored[["health_score", "latency_score", "locality_score", "cost_score"]]

    assert len(scored) > 50
    assert scored["total_score"].to_numpy() == pytest.approx((given.sum(axis=1) + 1) / 5)
    assert scored["throughput_score"].isna().all()
