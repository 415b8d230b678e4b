"""LiteLLM's Router as a router: deterministic, in simulated time, and alone with its globals."""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import fedsim
from fedsim.errors import PlugInError, ScenarioError
from tests.chosen import others_slow

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
"""LiteLLM imports modules of its own late, and some of them warn."""

if importlib.util.find_spec("litellm") is None:
    pytest.skip("LiteLLM is not installed", allow_module_level=True)

SCENARIO = Path(__file__).parents[3] / "scenarios" / "other-routers.yaml"
SHORT = {"duration": "3s", "warmup": "0s", "faults": []}

DIGEST = f"""
import fedsim
scenario = fedsim.load({str(SCENARIO)!r}, {SHORT!r})
for router in scenario.compare.routers:
    print(fedsim.simulate(scenario, router=router).digest)
"""


def load(**overrides):
    """Return the scenario, shortened."""
    return fedsim.load(SCENARIO, SHORT | overrides)


class TestScenario:
    def test_digests_do_not_depend_on_the_process(self):
        """A process with other hashes of texts gives the same tables, bit for bit."""
        found = subprocess.run(
            [sys.executable, "-c", DIGEST],
            env=os.environ | {"PYTHONHASHSEED": "2"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()

        scenario = load()
        routers = scenario.compare.routers
        assert found == [fedsim.simulate(scenario, router=router).digest for router in routers]
        assert len(set(found)) == 3

    @pytest.mark.parametrize("strategy", ["least-busy", "latency-based-routing"])
    def test_two_runs_are_alike(self, strategy):
        """Nothing of a run is left in the process for the next one."""
        first, second = (fedsim.simulate(load(), router=f"litellm/{strategy}") for _ in range(2))

        assert first.digest == second.digest
        assert set(first.requests["outcome"]) == {"ok"}


class TestCompletion:
    def test_makes_the_calls_itself(self):
        """Requests are served through ``acompletion``, twice with equal tables."""
        scenario = load(duration="2s")
        first, second = (
            fedsim.simulate(scenario, router="litellm-completion/least-busy") for _ in range(2)
        )

        assert first.digest == second.digest
        assert set(first.requests["outcome"]) == {"ok"}
        assert first.requests["node"].nunique() > 2

    @pytest.mark.parametrize("attempt", others_slow(["10s", "1s"], ["10s"]))
    def test_failures_are_tried_again(self, attempt):
        """With a node that errs and a deadline that most attempts miss, all requests end."""
        ill = {"kind": "errors", "node": "us-0", "at": "1s", "lasts": "4s", "probability": 0.5}
        scenario = load(
            **{"duration": "10s", "faults": [ill], "federation.timeout.attempt": attempt}
        )
        first, second = (
            fedsim.simulate(scenario, router="litellm-completion/simple-shuffle") for _ in range(2)
        )

        assert first.digest == second.digest
        assert len(first.attempts) > 0.5 * len(first.requests)
        assert not first.requests["finished_s"].isna().any()
        if attempt == "10s":
            assert set(first.requests["outcome"]) == {"ok"}
            assert (first.attempts["outcome"] == "internal").any()
        else:
            assert "timeout" in set(first.requests["outcome"])

    def test_decides_as_the_decision_alone(self):
        """What is told to the callbacks by hand is what LiteLLM tells them itself."""
        scenario = load()
        told = fedsim.simulate(scenario, router="litellm/least-busy")
        own = fedsim.simulate(scenario, router="litellm-completion/least-busy")

        assert told.digest == own.digest


class TestCooldown:
    def test_a_node_that_fails_rests_for_five_seconds(self):
        """By LiteLLM's rule: more than half failed, of five or more in this minute."""
        ill = [{"kind": "errors", "node": "us-0", "at": "0s", "lasts": "20s", "probability": 1.0}]
        overrides = {"faults": ill, "duration": "12s", "federation.circuit_breaker": "off"}
        run = fedsim.simulate(load(**overrides), router="litellm/simple-shuffle")
        failed = run.attempts[run.attempts["outcome"] == "internal"]
        gaps = failed.groupby("gateway", observed=True)["started_s"].diff()

        assert set(failed["node"]) == {"us-0"}
        assert gaps.max() > 5.0


class TestProcess:
    def test_is_left_as_it_was(self):
        """No callback, provider, thread or number of the process remains after a run."""
        import litellm

        before = random.getstate()
        fedsim.simulate(load(duration="1s"), router="litellm/least-busy")

        assert random.getstate() == before
        assert [] == litellm.callbacks == litellm.success_callback == litellm.input_callback
        assert "fedsim" not in litellm.provider_list
        assert [thread for thread in threading.enumerate() if "litellm" in thread.name] == []


class TestNames:
    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("litellm/least-bussy", "did you mean least-busy?"),
            ("litellm/fastest", "there are simple-shuffle"),
            ("litelm/least-busy", "Did you mean litellm?"),
        ],
    )
    def test_unknown_ones_are_refused_with_a_hint(self, name, hint):
        """The message says what there is."""
        with pytest.raises((PlugInError, ScenarioError), match=hint.replace("?", r"\?")):
            fedsim.simulate(load(), router=name)
