from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fedsim
from tests.unit.world.scripted import Script, errors, outage, slowdown

rows = st.lists(
    st.tuples(st.integers(0, 60).map(lambda n: n / 2), st.integers(0, 12)), min_size=1, max_size=25
).map(sorted)
scripts = st.builds(
    Script,
    rows,
    limits_s=st.dictionaries(st.integers(0, 24), st.integers(1, 40).map(lambda n: n / 4)),
    choose=st.sampled_from([lambda n: f"node-{n % 2}", lambda n: f"node-{n * n % 3 % 2}"]),
    nodes=st.just(2),
    slots=st.integers(1, 3),
    queue_limit=st.one_of(st.none(), st.integers(0, 3)),
    faults=st.lists(
        st.one_of(
            st.builds(outage, st.integers(0, 30), st.integers(1, 9)),
            st.builds(slowdown, st.integers(0, 30), st.integers(1, 9), st.just(2.0)),
            st.builds(errors, st.integers(0, 30), st.integers(1, 9), st.just(0.5)),
        ),
        max_size=3,
    ),
    abort=st.booleans(),
    duration_s=st.just(40.0),
    drain_s=st.just(10_000.0),
    nodes_every_s=st.just(2.5),
    warmup_s=st.just(7.25),
)
scripts_with_a_network = scripts.map(lambda script: _with_leg(script, 0.3))


def _with_leg(script, leg_s):
    script.leg_s = leg_s
    return script


def busy_between(played, begin_s, end_s):
    """Return the slot-seconds of each node in an interval, from the attempts alone (no network)."""
    attempts = played.tables.attempts
    held = attempts[attempts["service_s"].notna()]
    begun_s = (held["started_s"] + held["queue_wait_s"]).to_numpy()
    ended_s = begun_s + held["service_s"].to_numpy()
    inside_s = np.clip(ended_s, begin_s, end_s) - np.clip(begun_s, begin_s, end_s)
    node = held["node"].cat.codes.to_numpy()
    return np.bincount(node, weights=inside_s, minlength=2).tolist()


class TestCost:
    @settings(max_examples=25)
    @given(scripts_with_a_network)
    def test_is_the_price_of_the_slots_held(self, script):
        """Requests cost what their attempts held, and what no answer came of was wasted."""
        played = script.play()

        attempts, requests = played.tables.attempts, played.tables.requests
        by_request = attempts.groupby("request_id", observed=True)["service_s"].sum()
        held_s = requests["request_id"].map(by_request).fillna(0.0).astype(float)
        assert requests["cost_usd"].tolist() == pytest.approx(held_s.tolist())
        assert requests["cost_usd"].sum() == pytest.approx(played.busy_s)
        failed = attempts[attempts["outcome"] != "ok"]
        assert played.wasted_s == pytest.approx(failed["service_s"].sum())

    def test_a_share_of_the_nodes_price(self):
        """A node of 4 slots at 14,400 USD/h costs 1 USD for each second of a slot."""
        played = Script([(0.0, 5), (0.0, 7)], slots=4).play()

        assert played.costs_usd == [5.0, 7.0]


class TestUtilization:
    @settings(max_examples=25)
    @given(scripts)
    def test_integrals(self, script):
        """Busy time over the run, the window and each sample's period is that of the attempts."""
        played = script.play()

        totals, samples = played.tables.node_totals, played.tables.nodes
        whole = busy_between(played, 0.0, math.inf)
        window = busy_between(played, 7.25, 40.0)
        assert totals["busy_slot_s"].tolist() == pytest.approx(whole)
        assert totals["window_busy_slot_s"].tolist() == pytest.approx(window)
        for time_s, at_once in samples.groupby("time_s"):
            busy = busy_between(played, time_s - 2.5, time_s)
            shares = [each / 2.5 / script.slots for each in busy]
            assert at_once["utilization"].tolist() == pytest.approx(shares)
            assert (at_once["running"] <= script.slots).all()

    def test_a_sample_shows_who_is_there(self):
        """A sample says whether the node is up, and how many it serves and keeps waiting."""
        rows = [(0.0, 4), (0.5, 4), (0.5, 4)]
        script = Script(rows, nodes_every_s=1.0, faults=[outage(5.5, 2.0)], duration_s=8.0)
        samples = script.play().tables.nodes

        assert samples["time_s"].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
        assert samples["running"].tolist() == [1, 1, 1, 1, 1, 0, 0, 0]
        assert samples["queued"].tolist() == [2, 2, 2, 1, 1, 0, 0, 0]
        assert samples["up"].tolist() == [True] * 5 + [False] * 2 + [True]
        assert samples["utilization"].tolist() == [1.0] * 5 + [0.5, 0.0, 0.0]


def test_an_engine_is_in_use_while_it_steps(tmp_path: Path) -> None:
    """One request at a time: the time in use is the sum of the services, not a part of a batch."""
    engine = {"profile": "llama-3.1-8b/bf16/h100_sxm/tp1", "max_batch": 64}
    text = {
        "duration": "100s",
        "warmup": "0s",
        "regions": {"lab": {}},
        "network": {"within_region": "1ms"},
        "pools": {"w": {"region": "lab", "count": 1, "engine": engine}},
        "workload": {
            "chat": {
                "arrivals": {"process": "constant", "rate": "0.1/s"},
                "tokens": {
                    "prompt": {"distribution": "constant", "value": 500},
                    "output": {"distribution": "constant", "value": 200},
                },
            }
        },
        "record": {"nodes_every": "10s"},
    }
    (tmp_path / "engine.yaml").write_text(json.dumps(text))
    run = fedsim.simulate(fedsim.load(tmp_path / "engine.yaml"))
    served_s = run.attempts["service_s"].sum()

    assert run.summary()["utilization_mean"].iloc[0] == pytest.approx(served_s / 100.0)
    assert run.nodes["utilization"].iloc[:10].mean() == pytest.approx(served_s / 100.0, rel=0.1)
