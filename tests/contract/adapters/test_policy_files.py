from __future__ import annotations

import random
import shutil
from textwrap import dedent

import pytest

import fedsim
from fedsim.errors import PlugInError
from tests.contract.adapters.runs import SCENARIOS, SHORT, run, runs_alike

STACK = "production-stack/stack_policies.py"
SKY = "skypilot/sky_policies.py"


def with_policies(folder, source, scenario, router):
    """Run a scenario with a policy file of the test's own beside it."""
    shutil.copy(SCENARIOS / f"{scenario}.yaml", folder)
    (folder / "policies.py").write_text(dedent(source), encoding="utf-8")
    overrides = {**SHORT, "federation.router": router}
    return fedsim.simulate(fedsim.load(folder / f"{scenario}.yaml", overrides))


@pytest.mark.parametrize("policy", ["RoundRobin", "LeastLoad", "Session"])
def test_production_stack(policy):
    """Plain and async routing logic runs from a file, and twice alike."""
    done = runs_alike("production-stack", federation__router=f"{STACK}:{policy}")
    assert (done.requests["outcome"] == "ok").all()
    assert done.strategy == f"{STACK}:{policy}"


@pytest.mark.parametrize("policy", ["RoundRobin", "LeastLoad"])
def test_skypilot(policy):
    """Load balancing policies run from a file, and twice alike."""
    done = runs_alike("skypilot", federation__router=f"{SKY}:{policy}")
    assert (done.requests["outcome"] == "ok").all()


def test_round_robin_is_even():
    """Round robin over three engines gives each a third of the attempts, but for the last round."""
    nodes = run("production-stack", federation__router=f"{STACK}:RoundRobin").attempts["node"]
    counts = nodes.value_counts()
    assert counts.max() - counts.min() <= 1


def test_sessions_stay():
    """A tenant's requests all go to one engine."""
    requests = run("production-stack").requests
    assert (requests.groupby("tenant", observed=True)["node"].nunique() <= 1).all()
    assert requests["node"].nunique() == 3


def test_least_load_prefers_the_fast(tmp_path):
    """The hooks are called: least load sends fast replicas more, though it knows no speeds."""
    nodes = run("skypilot").attempts["node"].astype(str)
    fast = nodes.str.startswith("fast").mean()
    assert fast > 0.55


class TestProductionStackInterface:
    def test_what_it_is_given(self, tmp_path):
        """Endpoints, engine and request statistics, headers and body are those of the stack."""
        source = """\
        class Checks:
            def __init__(self, session_key=None):
                assert session_key == "x-user-id"

            async def route_request(self, endpoints, engine_stats, request_stats, request, body):
                first = endpoints[0]
                assert first.url == first.Id == "chat-0"
                assert first.model_label == "chat"
                assert engine_stats["chat-1"].num_running_requests >= 0
                assert 0.0 <= engine_stats["chat-1"].gpu_cache_usage_perc <= 1.0
                assert set(request_stats) <= {"chat-0"}
                for stats in request_stats.values():
                    assert stats.qps > 0.0
                    assert stats.in_prefill_requests >= 0
                assert request.headers["x-request-id"].startswith("chat")
                assert request.headers["x-user-id"]
                assert len(body["prompt"]) > 64
                return "chat-0"
        """
        done = with_policies(
            tmp_path, source, "production-stack", "production-stack/policies.py:Checks"
        )
        assert set(done.attempts["node"]) == {"chat-0"}

    def test_one_instance_for_the_process(self, tmp_path):
        """Logic whose metaclass keeps one instance gets a new one for each gateway and run."""
        source = """\
        class Single(type):
            kept = {}

            def __call__(cls, *args, **kwargs):
                if cls not in cls.kept:
                    cls.kept[cls] = super().__call__(*args, **kwargs)
                return cls.kept[cls]


        class Counts(metaclass=Single):
            def __init__(self):
                self.turn = 0

            def route_request(self, endpoints, engine_stats, request_stats, request):
                self.turn += 1
                return endpoints[self.turn % len(endpoints)].url
        """
        name = "production-stack/policies.py:Counts"
        first = with_policies(tmp_path, source, "production-stack", name)
        again = with_policies(tmp_path, source, "production-stack", name)
        assert first.digest == again.digest

    def test_lists_keep_their_identity(self, tmp_path):
        """The same nodes come as the same list, which the stack's round robin knows by its id."""
        source = """\
        class Watches:
            seen = {}

            def route_request(self, endpoints, engine_stats, request_stats, request):
                assert self.seen.setdefault(id(endpoints), endpoints) is endpoints
                assert len(self.seen) == 1
                return endpoints[0].url
        """
        with_policies(tmp_path, source, "production-stack", "production-stack/policies.py:Watches")


class TestTimeAndRandomness:
    def test_steps_of_a_coroutine(self, tmp_path):
        """A policy sees simulated time and draws seeded numbers before and after it waits."""
        source = """\
        import asyncio
        import random
        import time


        class Waits:
            drawn = []

            async def route_request(self, endpoints, engine_stats, request_stats, request):
                before = time.monotonic()
                await asyncio.sleep(0.25)
                assert abs(time.monotonic() - before - 0.25) < 1e-9
                assert time.monotonic() < 100.0
                return random.choice(endpoints).url
        """
        state = random.getstate()
        router = "production-stack/policies.py:Waits"
        first = with_policies(tmp_path, source, "production-stack", router)
        again = with_policies(tmp_path, source, "production-stack", router)

        assert first.digest == again.digest
        assert first.requests["latency_s"].min() > 0.25
        assert random.getstate() == state

    def test_an_imported_clock(self, tmp_path):
        """So does a policy that has imported the functions themselves."""
        source = """\
        from random import shuffle
        from time import time

        BEGUN = []


        class Clocked:
            def set_ready_replicas(self, ready_replicas):
                shuffle(ready_replicas)
                self.ready = ready_replicas

            def select_replica(self, request):
                BEGUN.append(time())
                assert BEGUN[-1] - BEGUN[0] < 100.0
                return self.ready[0]
        """
        done = with_policies(tmp_path, source, "skypilot", "skypilot/policies.py:Clocked")
        assert (done.requests["outcome"] == "ok").any()


class TestErrors:
    @pytest.mark.parametrize(
        ("choice", "problem"),
        [
            ("policies.py", "'policies.py' names no class: write <file.py>:<Class>"),
            ("absent.py:Policy", "there is no file .*absent.py"),
            ("policies.py:Absent", "has no class Absent: name one that it defines"),
            ("policies.py:Wrong", "it needs"),
            ("broken.py:Policy", "running .*broken.py failed with ZeroDivisionError"),
        ],
    )
    @pytest.mark.parametrize("adapter", ["production-stack", "skypilot"])
    def test_files(self, tmp_path, adapter, choice, problem):
        """A file or class that is not there, or is wrong, is named with what to do."""
        (tmp_path / "broken.py").write_text("1 / 0\n", encoding="utf-8")
        source = "class Wrong:\n    pass\n"
        with pytest.raises(PlugInError, match=problem):
            with_policies(tmp_path, source, "skypilot", f"{adapter}/{choice}")

    def test_a_policy_that_raises(self, tmp_path):
        """What a policy raises is reported with the request and simulated time."""
        source = """\
        class Fails:
            def set_ready_replicas(self, ready_replicas):
                pass

            def select_replica(self, request):
                raise RuntimeError("no mood")
        """
        with pytest.raises(PlugInError) as caught:
            with_policies(tmp_path, source, "skypilot", "skypilot/policies.py:Fails")

        assert "raised RuntimeError: no mood" in caught.value.problem
        assert caught.value.request_id is not None
        assert caught.value.time_s is not None

    def test_nobody_selected(self, tmp_path):
        """A policy of SkyPilot's that selects nobody ends the request for lack of capacity."""
        source = """\
        class Nobody:
            def set_ready_replicas(self, ready_replicas):
                pass

            def select_replica(self, request):
                return None
        """
        done = with_policies(tmp_path, source, "skypilot", "skypilot/policies.py:Nobody")
        assert (done.requests["outcome"] == "no_capacity").all()

    def test_a_node_that_is_not_there(self, tmp_path):
        """A policy that answers with no known node is reported."""
        source = """\
        class Lost:
            def route_request(self, endpoints, engine_stats, request_stats, request):
                return "http://nowhere"
        """
        with pytest.raises(PlugInError, match="http://nowhere"):
            with_policies(tmp_path, source, "skypilot", "production-stack/policies.py:Lost")
