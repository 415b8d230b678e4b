"""What one gateway knows is its own, and as old as its probes make it."""

from __future__ import annotations

import pytest

import fedsim
from tests.small_scenario import TEXT

SCENARIO = """\
seed: 4
duration: 3min
warmup: 0s
regions: {east: {}, west: {}}
network: {within_region: 2ms, between: {east/west: 80ms}, jitter: 0%}
pools:
  east-chat: {region: east, count: 2, slots: 8, service: {distribution: constant, value: 500ms}}
  west-chat: {region: west, count: 2, slots: 8, service: {distribution: constant, value: 500ms}}
workload:
  chat: {origins: {east: 1}, arrivals: {process: poisson, rate: 8/s}}
federation:
  gateways: {east: 2}
  strategy: round_robin
  policies: {}
faults:
  - {kind: errors, node: east-chat-0, at: 30s, lasts: 1min, probability: 80%}
"""


def load(tmp_path, text=SCENARIO, **overrides):
    """Return the scenario with *overrides* of its federation."""
    path = tmp_path / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    return fedsim.load(path, {f"federation.{key}": value for key, value in overrides.items()})


class TestGatewaysOfOneRegion:
    """Two gateways in one region know different things."""

    def test_breakers_open_at_different_times(self, tmp_path):
        """Each counts the failures of its own attempts."""
        run = fedsim.simulate(load(tmp_path, health="off"))
        opened = run.events.query("kind == 'breaker' and after == 'open'")
        first = opened.groupby("gateway", observed=True)["time_s"].min()
        assert set(first.index) == {"east/0", "east/1"}
        assert first["east/0"] != first["east/1"]

    def test_ejections_are_a_gateways_own(self, tmp_path):
        """One gateway ejects a node while the other still sends it requests."""
        run = fedsim.simulate(load(tmp_path, health="off", circuit_breaker="off", outliers={}))
        ejected = run.events.query("kind == 'outlier' and after == 'ejected'")
        first = ejected.groupby("gateway", observed=True)["time_s"].min()
        (_, early_s), (late, late_s) = sorted(first.items(), key=lambda each: each[1])
        assert late_s > early_s
        between = run.attempts.query("node == 'east-chat-0' and @early_s < started_s < @late_s")
        assert set(between["gateway"]) == {late}

    def test_requests_in_flight_are_a_gateways_own(self, tmp_path):
        """Least connections over two gateways: each thinks the node idle that the other loads."""
        text = SCENARIO.replace("duration: 3min", "duration: 20s").replace("8/s", "20/s")
        run = fedsim.simulate(
            load(tmp_path, text + "record: {decisions: on}\n", strategy="least_connections")
        )
        decisions = run.decisions
        attempts = run.attempts
        for row in decisions[decisions["chosen"]].iloc[::37].itertuples():
            own = attempts.query(
                "gateway == @row.gateway and node == @row.node and started_s < @row.time_s"
                " and not finished_s <= @row.time_s"
            )
            assert row.in_flight == len(own)


class TestTelemetry:
    """Probes get lost, and what they bring may be old."""

    def test_share_of_lost_probes_is_that_of_the_law(self, tmp_path):
        """A loss of p makes a well node unhealthy: three lost in a row, in some runs of probes."""
        health = {"interval": "1s", "timeout": "500ms", "jitter": "0%", "loss": "50%"}
        run = fedsim.simulate(load(tmp_path, health=health, gateways={"east": 1}))
        falls = run.events.query("kind == 'health' and after == 'unhealthy'")
        # Mean time to three losses in a row is (1 - p^3) / (p^3 (1 - p)) = 14 probes, and to two
        # answers in a row 6; with half a second more for each lost one, 20 probes take 25 s.
        expected = 4 * 180.0 / 25.0
        assert 0.5 * expected < len(falls) < 1.5 * expected
        assert falls["detail"].str.contains("took longer than 0.5 s").all()

    def test_loss_depends_on_no_decision(self, tmp_path):
        """Another strategy meets the same lost probes."""
        health = {"interval": "1s", "timeout": "500ms", "loss": "50%"}
        text = SCENARIO[: SCENARIO.index("faults:")]
        scenario = load(tmp_path, text, health=health)
        changes = [
            fedsim.simulate(scenario, strategy=name)
            .events.query("kind == 'health' and after == 'unhealthy'")[["time_s", "subject"]]
            .to_numpy()
            .tolist()
            for name in ("round_robin", "least_connections")
        ]
        assert changes[0] == changes[1]

    @pytest.mark.parametrize("delay_s", [0.0, 3.0])
    def test_age_of_telemetry(self, tmp_path, delay_s):
        """What is known of a node's load is between one delay and one delay and interval old."""
        ages: list[float] = []

        class Looks:
            def __init__(self, context):
                self.health, self.clock = context.health, context.clock

            def select(self, fleet, candidates, request):
                now_s = self.clock.now()
                if now_s > 10.0:
                    ages.extend(now_s - record.telemetry_s for record in fleet.records)
                return candidates.positions[0]

        health = {"interval": "2s", "jitter": "0%", "delay": f"{delay_s:g}s"}
        fedsim.simulate(load(tmp_path, health=health), strategy=Looks)
        assert min(ages) >= delay_s - 1e-9
        assert delay_s + 1.5 < max(ages) <= delay_s + 2.0 + 0.1


def test_nothing_changes_where_all_is_off(tmp_path):
    """Keys that say off, and no loss or delay, give the tables of a scenario without them."""
    plain = fedsim.simulate(load(tmp_path, TEXT))
    off = {"outliers": "off", "panic": "off", "slow_start": "off"}
    said = fedsim.simulate(load(tmp_path, TEXT, health={"loss": "0%", "delay": "0s"}, **off))
    assert plain.digest == said.digest
