"""Scalers in the scenario file: what is refused, what is said before a run, what a check shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import fedsim
from fedsim.errors import ScenarioError
from fedsim.scenario.capacity import capacity_problems, capacity_table
from fedsim.scenario.offered_load import OfferedLoad
from fedsim.scenario.scalers import scaled_pools, scaler_notes
from fedsim.scenario.spec import Scenario
from fedsim.workload.distributions import Constant
from fedsim.world.scalers.ratio import Hpa
from fedsim.world.scalers.schedule import Appointment, Schedule
from fedsim.world.scalers.stages import StabiliseConfig

START = {"distribution": "constant", "value": "30s"}
HPA = {"preset": "hpa", "max": 8, "signal": {"target": 3}, "start": START}


def scenario(scaler: object, pool: Mapping[str, object] | None = None) -> Scenario:
    """Return a scenario with one pool that *scaler* scales."""
    service = {"distribution": "exponential", "mean": "1s"}
    chat = {"region": "here", "count": 2, "slots": 4, "service": service, "scaler": scaler}
    return fedsim.load({
        "duration": "1min",
        "regions": {"here": {}},
        "pools": {"chat": chat | dict(pool or {})},
        "workload": {"chat": {"arrivals": {"process": "poisson", "rate": "20/s"}}},
    })  # fmt: skip


def problem(scaler: object, pool: Mapping[str, object] | None = None) -> str:
    """Return what is said of a scaler that is refused."""
    with pytest.raises(ScenarioError) as caught:
        scenario(scaler, pool)
    return str(caught.value)


class TestReading:
    def test_settings_have_the_defaults_of_the_product(self):
        """And what follows another setting follows it."""
        scaler = scenario(HPA | {"tolerance": "5%", "cooldown_up": "1min"}).world.pools[0].scaler
        assert scaler is not None
        hpa = scaler.decides
        assert isinstance(hpa, Hpa)
        assert (hpa.tolerance_up, hpa.tolerance_down, hpa.cooldown_up_s) == (0.05, 0.05, 60.0)
        assert hpa.stabilise == StabiliseConfig(up_s=0.0, down_s=300.0)
        assert (scaler.min, scaler.max, scaler.drain_s) == (1, 8, 120.0)
        assert scaler.start == Constant(30.0)

    def test_a_resolved_scenario_reads_the_same(self):
        """With signals in all their units."""
        for signal in (
            {"of": "kv_share", "target": "80%"},
            {"of": "arrival_rate", "target": "5/s"},
        ):
            first = scenario(HPA | {"signal": signal, "rate": {"up": "off"}})
            again = fedsim.load(dict(first.resolved))
            assert again.world == first.world

    def test_a_schedule_has_its_times(self):
        """In seconds from the start of a period."""
        times = [{"at": "1min", "nodes": 4}, {"at": "2min", "nodes": 2}]
        found = scenario({"preset": "schedule", "max": 4, "times": times}).world.pools[0].scaler
        assert found is not None
        assert isinstance(found.decides, Schedule)
        assert found.decides.times == (Appointment(60.0, 4), Appointment(120.0, 2))

    def test_off_is_none(self):
        """So that a sweep can set a static pool against a scaled one."""
        assert scenario("off").world.pools[0].scaler is None
        changed = scenario(HPA).changed({"pools.chat.scaler": "off"})
        assert changed.world == scenario("off").world

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"min": 0}, "needs a queue at the gateway, which is not built yet in this version."),
            ({"max": 2, "min": 3}, "At most 2 nodes are fewer than the 3 of min."),
            ({"max": 1}, "The pool begins with 2 nodes, more than its scaler's max."),
            (
                {"signal": {"target": "80%"}},
                "'80%' is no target for in_flight. Write for instance 8.",
            ),
            ({"signal": {"of": "kv_share", "target": 5}}, "Write for instance 80%."),
            ({"signal": {"target": 0}}, "Write more than 0."),
            ({"signal": {"target": 1, "window": "1s", "every": "2s"}}, "Lengthen it."),
            ({"preset": "hpb"}, "Did you mean hpa?"),
            ({"rate": {"down": {"share": "off"}}}, "The rate bounds nothing."),
            ({"panic_window": "10%"}, "There is no key 'panic_window' here."),
        ],
    )
    def test_nonsense_is_refused(self, changes: dict[str, Any], said: str):
        """With the place, what is wrong and what to write."""
        message = problem(HPA | changes)
        assert "pools.chat" in message
        assert said in message


class TestNotes:
    @pytest.mark.parametrize(
        ("changes", "pool", "said"),
        [
            ({"signal": {"target": 68}}, {}, "holds at most 68 requests, 64 of them waiting"),
            ({"signal": {"target": 5}}, {}, "the pool only grows when requests wait"),
            ({"signal": {"of": "queue", "target": 64}}, {}, "at most 64 requests waiting"),
            ({"signal": {"of": "kv_share", "target": "80%"}}, {}, "have no key-value cache"),
            ({"signal": {"of": "utilization", "target": "100%"}}, {}, "never above 100 %"),
            ({"signal": {"of": "ttft_p95", "target": "1s"}}, {}, "is never known"),
            ({"min": 3}, {}, "the pool begins with a count of 2"),
            ({"min": 2, "max": 2}, {}, "has no effect: min and max are the count"),
        ],
    )
    def test_what_cannot_be_reached_is_said(
        self, changes: dict[str, Any], pool: dict[str, Any], said: str
    ):
        """In one sentence, and nothing else."""
        (note,) = scaler_notes(scenario(HPA | changes, pool))
        assert note.startswith("pools.chat.scaler")
        assert said in note

    def test_nothing_is_said_of_a_good_one(self):
        """A target within the slots, and a time to start."""
        assert scaler_notes(scenario(HPA)) == []
        cold = {"cold_start": START}
        without = {key: value for key, value in HPA.items() if key != "start"}
        assert scaler_notes(scenario(without, cold)) == []
        assert "ready the moment" in scaler_notes(scenario(without))[0]

    def test_a_run_says_what_the_scaler_could_not_help(self):
        """That its max was too low."""
        run = fedsim.simulate(scenario(HPA | {"max": 3, "signal": {"target": 2, "lag": "0s"}}))
        assert any("wanted more than its max of 3 nodes" in note for note in run.warnings)


ENGINE = {
    "prefill": {"p0": "8ms", "p1": "0.05ms"}, "decode": {"d0": "12ms", "d1": "0.1ms"},
    "kv_capacity": 4000, "max_batch": 16,
}  # fmt: skip


def run_engines(preset: Mapping[str, object], duration: str) -> Any:
    """Run a pool that begins with one engine, which cannot serve 30 requests a second."""
    start = {"distribution": "constant", "value": "2s"}
    prompt = {"distribution": "constant", "value": 200}
    output = {"distribution": "constant", "value": 30}
    chat = {"region": "here", "engine": ENGINE, "scaler": {"max": 8, "start": start, **preset}}
    return fedsim.simulate(fedsim.load({
        "duration": duration, "warmup": "0s", "regions": {"here": {}}, "pools": {"chat": chat},
        "workload": {"chat": {
            "arrivals": {"process": "poisson", "rate": "30/s"},
            "tokens": {"prompt": prompt, "output": output},
        }},
        "federation": {"strategy": "least_connections"},
    }))  # fmt: skip


class TestEngines:
    @pytest.mark.parametrize(
        "preset", [{"preset": "wva-v1"}, {"preset": "wva-v2", "prompt_tokens": 200}]
    )
    def test_llm_d_orders_what_serves_and_stops(self, preset: dict[str, Any]):
        """Two engines are enough, and are what is left."""
        quick = {"stabilise": "off", "every": "5s", "window": "5s"}
        run = run_engines(preset | quick, "30s")
        decided = run.events.loc[run.events["kind"] == "scaler", "after"]
        assert decided.iloc[-1] == "2"
        assert run.requests["queue_wait_s"].max() > 0.4
        late = run.requests[run.requests["arrived_s"] > 20.0]
        assert late["queue_wait_s"].median() < 0.05

    def test_dynamo_goes_back_and_forth(self):
        """One is too few and two are below 60 % each, so that it never settles."""
        run = run_engines({"preset": "dynamo-load", "prompt_tokens": 200}, "45s")
        decided = list(run.events.loc[run.events["kind"] == "scaler", "after"])
        assert decided[:4] == ["2", "1", "2", "1"]

    def test_nodes_without_engines_are_named(self):
        """A preset that goes by caches never changes them."""
        (note,) = scaler_notes(scenario({"preset": "wva-v1", "max": 4, "start": START}))
        assert "the pool never changes" in note


class TestCapacity:
    def test_is_that_of_all_nodes(self):
        """20 requests of 1 s for 4 slots a node: too much for two nodes, not for eight."""
        assert capacity_problems(OfferedLoad(scenario("off")))
        offered = OfferedLoad(scenario(HPA))
        assert capacity_problems(offered) == []
        (row,) = capacity_table(offered)
        assert row.nodes == 8
        assert row.capacity_rps == pytest.approx(32.0, rel=0.01)

    def test_costs_are_a_range(self):
        """Of the fewest and the most nodes."""
        (bounds,) = scaled_pools(scenario(HPA | {"min": 2}, {"cost": "3 USD/h"}))
        assert bounds.usd_per_hour == (6.0, 24.0)
        (bounds,) = scaled_pools(scenario(HPA))
        assert bounds.usd_per_hour is None
