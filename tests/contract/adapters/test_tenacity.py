from __future__ import annotations

import shutil
from textwrap import dedent

import pytest

import fedsim
from fedsim.errors import PlugInError, ScenarioError
from fedsim.federation.contracts import Capability, Internal, QoSRequirements, Timeout
from fedsim.federation.contracts import InferenceRequest as Request
from tests.contract.adapters.breakers import Bench
from tests.contract.adapters.runs import SCENARIOS, SHORT, run, runs_alike

tenacity = pytest.importorskip("tenacity")

from fedsim.adapters.tenacity import retries  # noqa: E402 - after the skip

REQUEST = Request(Capability.GENERATE, b"", QoSRequirements(), "r1")
FAILURE = Internal("no luck")


def waits(policy, error=FAILURE, elapsed_s=0.0):
    """Return the waits that a policy gives for the first six retries."""
    bench = Bench(retries(policy))
    return [bench.breaker.next_wait_s(REQUEST, retry, error, elapsed_s) for retry in range(1, 7)]


class TestRules:
    def test_stop_and_wait(self):
        """Four attempts are three retries; exponential waits double."""
        policy = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(4), wait=tenacity.wait_exponential(multiplier=0.1)
        )
        assert waits(policy) == [0.1, 0.2, 0.4, None, None, None]

    def test_the_error(self):
        """The rule retry sees the error that the attempt ended in."""
        policy = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Internal), stop=tenacity.stop_never
        )
        assert waits(policy) == [0.0] * 6
        assert waits(policy, Timeout(1.0)) == [None] * 6

    def test_the_time(self):
        """The rule stop sees the time since the request came."""
        policy = tenacity.Retrying(stop=tenacity.stop_after_delay(5))
        assert waits(policy, elapsed_s=4.9) == [0.0] * 6
        assert waits(policy, elapsed_s=5.1) == [None] * 6

    def test_random_waits(self):
        """Random waits are drawn from the gateway's stream, and differ from each other."""
        policy = tenacity.Retrying(wait=tenacity.wait_random(1, 2))
        drawn = waits(policy)
        assert drawn == waits(policy)
        assert len(set(drawn)) == 6
        assert all(1 <= wait_s <= 2 for wait_s in drawn)

    @pytest.mark.parametrize("policy", [3, tenacity.AsyncRetrying()])
    def test_what_is_no_policy(self, policy):
        """What is no `Retrying` is refused, also one whose rules are asynchronous."""
        with pytest.raises(ValueError, match=r"is no tenacity\.Retrying"):
            retries(policy)


class TestRuns:
    @pytest.mark.parametrize("policy", ["patient", "picky"])
    def test_repeatable(self, policy):
        """The scenario runs twice alike."""
        policy = f"tenacity/retry_policies:{policy}"
        runs_alike("tenacity", federation__retries=policy, duration="90s")

    def test_attempts(self):
        """No request has more attempts than the policy's four, and some have more than one."""
        attempts = run("tenacity", duration="2min").requests["attempts"]
        assert attempts.max() in {2, 3, 4}

    def test_waits(self):
        """A fixed wait of 0.2 s lies between an attempt and the next."""
        done = run("tenacity", federation__retries="tenacity/retry_policies:picky", duration="2min")
        attempts = done.attempts.sort_values(["request_id", "attempt"])
        ended_s = attempts.groupby("request_id", observed=True)["finished_s"].shift()
        gaps_s = (attempts["started_s"] - ended_s).dropna()
        assert len(gaps_s) > 10
        assert gaps_s.round(9).eq(0.2).all()

    def test_a_policy_that_raises(self, tmp_path):
        """What a callback of the policy raises is reported with request and simulated time."""
        shutil.copy(SCENARIOS / "tenacity.yaml", tmp_path)
        source = """\
        import tenacity

        def fails(state):
            raise RuntimeError("no mood")

        moody = tenacity.Retrying(before_sleep=fails)
        """
        (tmp_path / "moody_policies.py").write_text(dedent(source), encoding="utf-8")
        overrides = {
            **SHORT,
            "duration": "2min",
            "federation.retries": "tenacity/moody_policies:moody",
        }
        with pytest.raises(PlugInError, match="raised RuntimeError: no mood") as caught:
            fedsim.simulate(fedsim.load(tmp_path / "tenacity.yaml", overrides))

        assert caught.value.request_id is not None
        assert caught.value.time_s is not None

    def test_a_wrong_name(self):
        """A word that names no policy is refused with the forms that do."""
        with pytest.raises(ScenarioError, match="Write a mapping with settings, off, or tenacity/"):
            run("tenacity", federation__retries="tenacity")
