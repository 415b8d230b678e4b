"""Health checkers and circuit breakers of one's own: they run, and their mistakes have names."""

from __future__ import annotations

from dataclasses import replace

import pytest

import fedsim
from fedsim.errors import PlugInError, ScenarioError
from fedsim.federation.contracts import (
    CircuitState,
    HealthState,
    Internal,
    NodeHealth,
    NodeId,
)
from tests.contract.plugin_world import fails, module, scenario

BREAKER = """
    from fedsim.federation.contracts import CircuitState

    class Opens:
        "Is open for chat-0 from the tenth success there on."

        def __init__(self, context):
            self.clock, self.successes = context.clock, 0

        def is_open(self, node_id):
            return node_id == "chat-0" and self.successes >= 10

        def state(self, node_id):
            return CircuitState.OPEN if self.is_open(node_id) else CircuitState.CLOSED

        def record_success(self, node_id):
            self.successes += node_id == "chat-0"

        def record_failure(self, node_id):
            raise AssertionError("nothing fails here")
"""

HEALTH = """
    import asyncio
    from fedsim.federation.contracts import HealthState, NodeHealth

    class Probes:
        "Calls chat-1 unhealthy from the third round of probes on."

        def __init__(self, context):
            self.context, self.known = context, {}

        async def check_node(self, node_id):
            return await self.context.probe(node_id)

        def get_cached_health(self, node_id):
            return self.known.get(node_id)

        async def start_monitoring(self, interval_s):
            self.task = asyncio.create_task(self.run(interval_s / 5))

        async def stop_monitoring(self):
            self.task.cancel()

        async def run(self, interval_s):
            for number in range(1000):
                for name in ("chat-0", "chat-1", "chat-2"):
                    told = await self.context.probe(name)
                    ill = name == "chat-1" and number >= 2
                    status = HealthState.UNHEALTHY if ill else HealthState.HEALTHY
                    self.known[name] = NodeHealth(name, status, 0.0, 0.0, 0, None,
                                                  told.queue_depth, told.last_check_s)
                await asyncio.sleep(interval_s)
"""


class Always:
    """A breaker that does nothing, from which others are made."""

    def is_open(self, node_id):
        """Never."""
        return False

    def state(self, node_id):
        """Always closed."""
        return CircuitState.CLOSED

    def record_success(self, node_id):
        """Take no note."""

    def record_failure(self, node_id):
        """Take no note."""


class Quiet:
    """A health checker that knows nothing, from which others are made."""

    async def check_node(self, node_id):
        """Find every node healthy."""
        return NodeHealth(node_id, HealthState.HEALTHY, 0.0, 0.0, 0, None, 0, 0.0)

    def get_cached_health(self, node_id):
        """Know nothing."""

    async def start_monitoring(self, interval_s):
        """Do nothing."""

    async def stop_monitoring(self):
        """Do nothing."""


class TestBreakers:
    """A breaker of one's own."""

    def test_in_a_file(self, tmp_path):
        """It is asked for every node, and told of every result."""
        name = module(tmp_path, BREAKER)
        run = fedsim.simulate(
            scenario(tmp_path, {"federation.circuit_breaker": f"{name}:Opens"}),
            strategy="round_robin",
        )
        counts = run.attempts["node"].value_counts()
        assert 10 <= counts["chat-0"] <= 14  # what was under way at the tenth success
        assert counts["chat-1"] > 30
        assert (run.requests["outcome"] == "ok").all()

    def test_told_when_attempts_were_sent(self, tmp_path):
        """With record_attempt it learns of each attempt's dispatch."""
        told = []

        class Timed(Always):
            def record_attempt(self, node_id, ok, sent_s):
                told.append((ok, round(sent_s, 9)))

        run = fedsim.simulate(scenario(tmp_path), circuit_breaker=Timed)
        started = sorted(round(at_s, 9) for at_s in run.attempts["started_s"])
        assert sorted(sent_s for _, sent_s in told) == started
        assert all(ok for ok, _ in told)

    @pytest.mark.parametrize("value", [None, 1, "open"])
    def test_is_open_nonsense(self, tmp_path, value):
        """Anything but a truth value is an error that says when."""

        class Vague(Always):
            def is_open(self, node_id):
                return value

        with pytest.raises(PlugInError, match=r"is_open\(\) returned .*must be True or False") as e:
            fedsim.simulate(scenario(tmp_path), circuit_breaker=Vague)
        assert e.value.time_s is not None
        assert "Vague" in str(e.value)

    def test_state_nonsense(self, tmp_path):
        """A state is a CircuitState."""

        class Words(Always):
            def is_open(self, node_id):
                return True

            def state(self, node_id):
                return "open"

        with pytest.raises(PlugInError, match=r"state\(\) returned 'open'; it must return a Circ"):
            fedsim.simulate(scenario(tmp_path), circuit_breaker=Words)

    def test_that_raise(self, tmp_path):
        """What it raises is reported with its name."""

        class Broken(Always):
            def record_success(self, node_id):
                raise KeyError(node_id)

        with pytest.raises(PlugInError, match=r"record_success\(\) raised KeyError: 'chat-"):
            fedsim.simulate(scenario(tmp_path), circuit_breaker=Broken)

    def test_incomplete(self, tmp_path):
        """It has the methods of the contract."""
        with pytest.raises(PlugInError, match=r"no circuit breaker: it lacks is_open\(\), record"):
            fedsim.simulate(scenario(tmp_path), circuit_breaker=Quiet)

    def test_one_object_for_several_gateways(self, tmp_path):
        """Each gateway needs its own."""
        several = scenario(tmp_path, {"federation.gateways": {"here": 2}})
        with pytest.raises(PlugInError, match="give the class instead"):
            fedsim.simulate(several, circuit_breaker=Always())


class TestHealthCheckers:
    """A health checker of one's own."""

    def test_in_a_file(self, tmp_path):
        """It probes with asyncio in simulated time, and its verdict counts."""
        name = module(tmp_path, HEALTH)
        run = fedsim.simulate(
            scenario(tmp_path, {"federation.health": f"{name}:Probes"}), strategy="round_robin"
        )
        late = run.attempts["started_s"] > 4.1  # rounds at 0, 2 and 4 s
        assert set(run.attempts["node"][late]) == {"chat-0", "chat-2"}
        assert set(run.attempts["node"][~late]) == {"chat-0", "chat-1", "chat-2"}

    def test_knows_nonsense(self, tmp_path):
        """What it knows is a NodeHealth, or nothing."""

        class Vague(Quiet):
            def get_cached_health(self, node_id):
                return "healthy"

        with pytest.raises(PlugInError, match="must return a NodeHealth or None"):
            fedsim.simulate(scenario(tmp_path), health=Vague)

    @pytest.mark.parametrize(
        ("part", "value", "wanted"),
        [
            ("status", "well", "a HealthState"),
            ("latency_p50_s", None, "a number"),
            ("last_check_s", float("nan"), "a number"),
            ("queue_depth", "3", "a number"),
            ("kv_usage", "full", "a number or None"),
        ],
    )
    def test_knows_a_part_wrong(self, tmp_path, part, value, wanted):
        """Each part of what it knows has its type; the error names it."""
        right = NodeHealth(NodeId("chat-0"), HealthState.HEALTHY, 0.1, 0.2, 0, None, 0, 0.0)

        class Wrong(Quiet):
            def get_cached_health(self, node_id):
                return replace(right, node_id=node_id, **{part: value})

        problem = rf"returned a {part} of {value!r}; it must be {wanted}$"
        with pytest.raises(PlugInError, match=problem):
            fedsim.simulate(scenario(tmp_path), health=Wrong)

    def test_hears_of_traffic_where_it_wants_to(self, tmp_path):
        """report_success is called where it is there."""
        heard = []

        class Hears(Quiet):
            def report_success(self, node_id, latency_s):
                heard.append(round(latency_s, 9))

        run = fedsim.simulate(scenario(tmp_path), health=Hears)
        assert len(heard) == len(run.attempts)
        assert set(heard) == {0.202}

    @pytest.mark.parametrize("error", [RuntimeError("no"), Internal("no")])
    def test_cannot_start(self, tmp_path, error):
        """What start_monitoring raises is reported with its name, an error of the contract too."""

        class Broken(Quiet):
            async def start_monitoring(self, interval_s):
                raise error

        problem = rf"start_monitoring\(\) raised {type(error).__name__}: .*no"
        with pytest.raises(PlugInError, match=problem):
            fedsim.simulate(scenario(tmp_path), health=Broken)

    @pytest.mark.parametrize("federation", [{}, {"federation.hedge": {"after": "1ms"}}])
    def test_is_told_and_complains(self, tmp_path, federation):
        """An error of the contracts that it raises when it is told something ends no request."""

        class Complains(Quiet):
            def report_failure(self, node_id):
                raise Internal(node_id)

        changed = {
            **federation,
            "faults": [{"kind": "errors", "pool": "chat", "at": "0s", "lasts": "9h"}],
            "faults.0.probability": 1.0,
        }
        with pytest.raises(PlugInError, match=r"report_failure\(\) raised Internal"):
            fedsim.simulate(scenario(tmp_path, changed), health=Complains)

    def test_not_in_the_reference(self, tmp_path):
        """The preset apr takes none."""
        reference = tmp_path / "reference"
        reference.mkdir()
        apr = scenario(reference, {"federation": {"preset": "apr"}})
        with pytest.raises(ScenarioError, match=r"--set: federation.health: .*"):
            fedsim.simulate(apr, health=Quiet)


class TestAnnouncements:
    """What announces its changes is asked again only when it has announced one."""

    def test_a_breaker(self, tmp_path):
        """One that opens once is asked a few times, not for every request, and is obeyed."""
        asked = []

        class Opens(Always):
            announces = True

            def __init__(self):
                self.failures = 0

            def subscribe(self, on_change):
                self.on_change = on_change

            def is_open(self, node_id):
                asked.append(node_id)
                return node_id == "chat-0" and self.failures > 0

            def record_success(self, node_id):
                if node_id == "chat-0":
                    self.failures += 1
                    self.on_change(node_id)

        run = fedsim.simulate(scenario(tmp_path), circuit_breaker=Opens)
        nodes = run.attempts["node"].value_counts()

        assert nodes["chat-0"] <= 3
        assert nodes["chat-1"] > 20
        assert len(asked) < 20 < len(run.requests)

    def test_a_policy(self, tmp_path):
        """One whose verdict never changes is asked once for each node and kind of request."""
        asked = []

        class Steady:
            announces = True

            def name(self):
                return "steady"

            def score(self, candidate, request):
                return 1.0

            def is_eligible(self, candidate, request):
                asked.append(candidate.target.node_id)
                return candidate.target.node_id != "chat-1"

        run = fedsim.simulate(scenario(tmp_path), policies=[Steady])

        assert "chat-1" not in set(run.attempts["node"])
        assert len(asked) < 20 < len(run.requests)

    def test_a_health_checker(self, tmp_path):
        """One that announces that a node is unhealthy keeps requests away from it."""

        class Ends(Quiet):
            announces = True

            def __init__(self):
                self.unhealthy = False

            def subscribe(self, on_change):
                self.on_change = on_change

            def get_cached_health(self, node_id):
                bad = self.unhealthy and node_id == "chat-2"
                state = HealthState.UNHEALTHY if bad else HealthState.HEALTHY
                return NodeHealth(node_id, state, 0.0, 0.0, 0, None, 0, 0.0)

            def report_success(self, node_id, latency_s):
                if not self.unhealthy and node_id == "chat-2":
                    self.unhealthy = True
                    self.on_change(node_id)

        run = fedsim.simulate(scenario(tmp_path), health=Ends)

        assert 1 <= (run.attempts["node"] == "chat-2").sum() <= 3

    def test_without_subscribe(self, tmp_path):
        """The promise without a way to announce is named as the mistake."""

        class Promises(Always):
            announces = True

        error = fails(scenario(tmp_path), circuit_breaker=Promises)
        assert "lacks subscribe()" in str(error)
