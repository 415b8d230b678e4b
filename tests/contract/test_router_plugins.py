from __future__ import annotations

import asyncio
import random

import numpy as np
import pytest

import fedsim
from fedsim.errors import (
    PlugInError,
    ScenarioError,
    SimulationError,
    UnsupportedInSimulationError,
)
from fedsim.federation.contracts import Internal, QoSViolation, RegionId, RouteTarget
from fedsim.kernel import asyncio_loop
from tests.contract.plugin_world import LEGS_S, SERVICE_S, module, scenario, target

IN_A_FILE = """\
import asyncio
from itertools import cycle

from fedsim.federation.contracts import RouteTarget


class Plain:
    def __init__(self, context):
        self.turns = cycle(d.node_id for d in context.catalog.deployments())
        self.region = context.region

    def route(self, request):
        return RouteTarget(next(self.turns), self.region)


class Thoughtful(Plain):
    async def route(self, request):
        await asyncio.sleep(0.05)
        return RouteTarget(next(self.turns), self.region)


class Alone:
    async def route(self, request):
        return RouteTarget("chat-2", "here")
"""

NOWHERE = RouteTarget(["chat-0"], RegionId("here"))  # type: ignore[arg-type]


def fails(scene, plugin, **options):
    """Run *scene* with a router that misbehaves, and return the error."""
    with pytest.raises(PlugInError) as caught:
        fedsim.simulate(scene, router=plugin, **options)
    return caught.value


@pytest.fixture
def scene(tmp_path):
    """Return a small scenario."""
    return scenario(tmp_path)


class First:
    """Sends everything to the first node."""

    async def route(self, request):
        """Return the first node."""
        return target()


class TestInAFile:
    @pytest.mark.parametrize("name", ["Plain", "Thoughtful", "Alone"])
    def test_by_name(self, tmp_path, name):
        """A router in a file beside the scenario runs, sync or async, with a context or none."""
        where = module(tmp_path, IN_A_FILE)
        run = fedsim.simulate(scenario(tmp_path, {"federation.router": f"{where}:{name}"}))

        assert (run.requests["outcome"] == "ok").all()
        assert run.strategy == f"{where}:{name}"
        nodes = set(run.requests["node"])
        assert nodes == ({"chat-2"} if name == "Alone" else {"chat-0", "chat-1", "chat-2"})

    def test_by_argument(self, tmp_path):
        """The router of ``simulate`` takes the place of the scenario's."""
        where = module(tmp_path, IN_A_FILE)
        run = fedsim.simulate(scenario(tmp_path), router=f"{where}:Alone")

        assert set(run.requests["node"]) == {"chat-2"}

    def test_thinking_takes_time(self, tmp_path):
        """What a router sleeps is time that its requests wait, to the last bit."""
        where = module(tmp_path, IN_A_FILE)
        run = fedsim.simulate(scenario(tmp_path, {"federation.router": f"{where}:Thoughtful"}))

        requests, attempts = run.requests, run.attempts
        started_s = attempts.set_index("request_id")["started_s"].loc[requests["request_id"]]
        assert (started_s.to_numpy() == requests["arrived_s"].to_numpy() + 0.05).all()
        quick = requests["latency_s"][requests["queue_wait_s"] == 0.0]
        assert quick.to_numpy() == pytest.approx(0.05 + LEGS_S + SERVICE_S)
        assert run.warnings == []

    def test_a_scenario_must_name_a_class(self, tmp_path):
        """A scenario that names the router in another way is refused with its position."""
        with pytest.raises(ScenarioError, match=r"module:Class"):
            scenario(tmp_path, {"federation.router": "my router"})


class TestInPython:
    def test_class(self, scene):
        """A class is built for the run."""
        run = fedsim.simulate(scene, router=First)

        assert set(run.requests["node"]) == {"chat-0"}
        assert run.strategy.endswith(":First")

    def test_object(self, scene):
        """An object serves a run with one gateway, and is used as it is."""

        class Counting(First):
            def __init__(self, seen):
                self.on_start = lambda target, request: seen.append(request.request_id)

        seen: list[str] = []
        run = fedsim.simulate(scene, router=Counting(seen))

        assert seen == run.requests["request_id"].tolist()

    def test_one_object_for_several_gateways(self, tmp_path):
        """One object is refused where there are several gateways, with what to do instead."""
        scene = scenario(tmp_path, {"federation.gateways": {"here": 2}})

        error = fails(scene, First())
        assert str(error).endswith(
            ":First: is a single object, but the scenario has several gateways, each of which "
            "needs its own; give the class instead"
        )

    def test_class_for_several_gateways(self, tmp_path):
        """A class is built once for each gateway."""
        built = []

        class Counted(First):
            def __init__(self, context):
                built.append(context.region)

        fedsim.simulate(scenario(tmp_path, {"federation.gateways": {"here": 2}}), router=Counted)

        assert built == ["here", "here"]

    def test_in_a_running_loop(self, scene):
        """A run within a running event loop, as in a notebook, works and leaves the loop alone."""

        class Thoughtful(First):
            async def route(self, request):
                await asyncio.sleep(0.01)
                return target()

        async def cell():
            outer = asyncio.get_running_loop()
            run = fedsim.simulate(scene, router=Thoughtful)
            assert asyncio.get_running_loop() is outer
            await asyncio.sleep(0)
            return run

        run = asyncio.run(cell())
        assert run.digest == fedsim.simulate(scene, router=Thoughtful).digest


class TestAsyncio:
    def test_timeout_gather_wait_for_and_locks(self, scene):
        """A router may use asyncio as it likes, in simulated time."""
        times = []

        class Busy(First):
            def __init__(self):
                self.lock = asyncio.Lock()
                self.ready = asyncio.Event()

            async def ask(self, seconds):
                await asyncio.sleep(seconds)
                return seconds

            async def route(self, request):
                loop = asyncio.get_running_loop()
                began_s = loop.time()
                asked = await asyncio.gather(self.ask(0.003), self.ask(0.001))
                assert list(asked) == [0.003, 0.001]
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.002):
                        await asyncio.sleep(1.0)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(self.ready.wait(), 0.001)
                async with self.lock:
                    pass
                times.append(loop.time() - began_s)
                return target()

        run = fedsim.simulate(scene, router=Busy)

        assert times == pytest.approx([0.006] * len(run.requests))
        assert (run.requests["outcome"] == "ok").all()
        assert run.warnings == []

    def test_background_tasks(self, scene):
        """A router may run a task of its own beside the requests; the run does not wait for it."""
        ticks = []

        class Refreshing(First):
            def __init__(self, context):
                self.context = context
                self.task = asyncio.create_task(self.refresh())

            async def refresh(self):
                while True:
                    ticks.append(asyncio.get_running_loop().time())
                    await asyncio.sleep(1.0)

        run = fedsim.simulate(scene, router=Refreshing)

        assert ticks == pytest.approx(range(len(ticks)))
        assert len(ticks) == int(run.end_s) + 1

    def test_a_background_task_that_fails(self, scene):
        """A failure that nothing awaits stops the run, and names the task and the time."""

        class Broken(First):
            def __init__(self):
                self.task = asyncio.create_task(self.refresh(), name="refresh")

            async def refresh(self):
                await asyncio.sleep(3.0)
                reason = "no such key"
                raise KeyError(reason)

        error = fails(scene, Broken)
        assert (error.plugin.split()[0], error.time_s) == ("refresh", 3.0)
        assert isinstance(error.__cause__, KeyError)

    def test_numpys_numbers_are_times(self, scene):
        """A router that sleeps for numpy's numbers does not spoil the clock."""

        class Numerical(First):
            async def route(self, request):
                await asyncio.sleep(np.mean([0.001, 0.002]))  # type: ignore[call-overload]
                await asyncio.sleep(np.float32(0.001))  # type: ignore[call-overload]
                return target()

        run = fedsim.simulate(scene, router=Numerical)

        assert (run.requests["outcome"] == "ok").all()


class TestContext:
    def test_clock_and_tasks(self, scene):
        """The context's clock and tasks work in asyncio code, and tell simulated time."""
        log = []

        class Timed(First):
            def __init__(self, context):
                self.clock, self.tasks = context.clock, context.tasks
                log.append(("built", self.clock.now()))
                self.tasks.spawn(self.wake(), "wake")

            async def wake(self):
                await self.clock.sleep(0.5)
                log.append(("awake", self.clock.now()))

            async def route(self, request):
                began_s = self.clock.now()
                await self.clock.sleep(0.01)
                with pytest.raises(TimeoutError):
                    await self.tasks.within(self.clock.sleep(1.0), 0.02)
                log.append((request.request_id, self.clock.now() - began_s))
                return target()

        run = fedsim.simulate(scene, router=Timed)

        assert log[0] == ("built", 0.0)
        assert ("awake", 0.5) in log
        routed = {name: took_s for name, took_s in log if name.startswith("chat-")}
        assert set(routed) == set(run.requests["request_id"])
        assert list(routed.values()) == pytest.approx([0.03] * len(routed))

    def test_health(self, tmp_path):
        """A router may read the health checker, and probe a node itself."""
        probes = []

        class Careful(First):
            def __init__(self, context):
                self.context = context

            async def route(self, request):
                health = self.context.health
                known = health.get_cached_health("chat-0")
                probed = await health.check_node("chat-0")
                probes.append((known.node_id, probed.node_id, probed.last_check_s))
                with pytest.raises(Exception, match="chat-1"):
                    await asyncio.wait_for(health.check_node("chat-1"), 1.0)
                return target()

        faults = [{"kind": "outage", "node": "chat-1", "at": "0s", "lasts": "1h"}]
        run = fedsim.simulate(scenario(tmp_path, {"faults": faults}), router=Careful)

        started_s = run.attempts["started_s"].to_numpy()
        assert [(known, probed) for known, probed, _ in probes] == [("chat-0", "chat-0")] * len(
            probes
        )
        assert started_s == pytest.approx(run.requests["arrived_s"].to_numpy() + 2 * LEGS_S)

    def test_catalog_breaker_policies_and_rng(self, scene):
        """The rest of the context is there, and its randomness is seeded."""
        drawn = []

        class Curious(First):
            def __init__(self, context):
                assert context.region == "here"
                assert [d.node_id for d in context.catalog.deployments()] == [
                    "chat-0",
                    "chat-1",
                    "chat-2",
                ]
                assert not context.breaker.is_open("chat-0")
                assert len(context.policies) == 6
                drawn.append(context.rng.random())

        fedsim.simulate(scene, router=Curious)
        fedsim.simulate(scene, router=Curious)
        fedsim.simulate(scene, router=Curious, seed=99)

        assert drawn[0] == drawn[1] != drawn[2]


class TestHooks:
    def test_are_told_what_becomes_of_requests(self, tmp_path):
        """Hooks hear of every attempt, and ``route_excluding`` of what was tried before."""
        log = []

        class Listening(First):
            def on_start(self, target, request):
                log.append(("start", request.request_id, target.node_id))

            def on_complete(self, target, request, outcome, latency_s):
                log.append((outcome, request.request_id, target.node_id))

            def route_excluding(self, request, excluded):
                assert list(excluded) == ["chat-0"]
                return target("chat-1")

        faults = [{"kind": "errors", "node": "chat-0", "at": "0s", "lasts": "1h", "probability": 1}]
        off = {"federation.circuit_breaker": "off", "federation.retries": {"budget": "off"}}
        run = fedsim.simulate(scenario(tmp_path, {"faults": faults, **off}), router=Listening)

        assert (run.requests["outcome"] == "ok").all()
        for request in run.requests["request_id"]:
            assert [(what, node) for what, name, node in log if name == request] == [
                ("start", "chat-0"),
                ("internal", "chat-0"),
                ("start", "chat-1"),
                ("ok", "chat-1"),
            ]

    def test_are_not_called_after_the_run(self, tmp_path):
        """What is under way when the drain ends is dropped without a word to the router."""
        log = []

        class Listening(First):
            def on_complete(self, target, request, outcome, latency_s):
                log.append(outcome)

        late = {"drain": "0s", "pools.chat.service": {"distribution": "constant", "value": "4s"}}
        run = fedsim.simulate(
            scenario(tmp_path, {**late, "federation.timeout": "off"}), router=Listening
        )
        attempts = run.attempts["outcome"].tolist()
        del run

        assert attempts.count("unfinished") > 0
        assert len(log) == len(attempts) - attempts.count("unfinished")
        assert "cancelled" not in log

    @pytest.mark.parametrize("hook", ["on_start", "on_complete"])
    def test_that_are_async(self, scene, hook):
        """An async hook, which nobody would await, is refused by name."""

        class Listening(First):
            pass

        async def late(*_):
            pass

        setattr(Listening, hook, staticmethod(late))

        error = fails(scene, Listening)
        assert error.problem == f"{hook}() is async; it must be a plain method, which cannot wait"
        assert error.request_id == "chat-0"

    def test_that_raise(self, scene):
        """A hook that raises stops the run like ``route``."""

        class Listening(First):
            def on_complete(self, *_):
                reason = "no such thing"
                raise ValueError(reason)

        error = fails(scene, Listening)
        assert error.problem == "on_complete() raised ValueError: no such thing"
        assert error.request_id == "chat-0"


class TestMistakes:
    """What a router does wrong is reported with its name, the request and the time."""

    def third(self, scene):
        """Return when the third request arrives, in seconds."""
        return float(fedsim.simulate(scene, router=First).requests["arrived_s"].iloc[2])

    @pytest.mark.parametrize("wait_s", [None, 0.25])
    @pytest.mark.parametrize("kind", [KeyError, RuntimeError, StopAsyncIteration, TimeoutError])
    def test_raises(self, scene, kind, wait_s):
        """An exception stops the run at once, with what was raised as its cause."""

        class Raising(First):
            async def route(self, request):
                if request.request_id == "chat-2":
                    if wait_s is not None:
                        await asyncio.sleep(wait_s)
                    reason = "no idea"
                    raise kind(reason)
                return target()

        error = fails(scene, Raising)

        assert error.plugin.endswith("Raising")
        assert error.request_id == "chat-2"
        assert error.time_s == self.third(scene) + (wait_s or 0.0)
        assert error.problem.startswith(f"route() raised {kind.__name__}: ")
        assert isinstance(error.__cause__, kind)
        assert str(error).startswith(f"plug-in {error.plugin}, request chat-2, simulated time ")

    def test_raises_without_async(self, scene):
        """A plain ``route`` that raises is reported in the same way."""

        class Raising:
            def route(self, request):
                return {}[request.request_id]

        error = fails(scene, Raising)
        assert error.problem == "route() raised KeyError: 'chat-0'"
        assert error.request_id == "chat-0"

    @pytest.mark.parametrize("value", [None, "chat-0", ("chat-0", "here"), NOWHERE])
    def test_returns_nonsense(self, scene, value):
        """Anything but a target is reported, and not taken for one."""

        class Wrong:
            def route(self, request):
                return value

        error = fails(scene, Wrong)
        assert error.problem == f"route() returned {value!r}; it must return a RouteTarget"
        assert error.request_id == "chat-0"

    def test_returns_a_node_that_does_not_exist(self, scene):
        """A target that does not exist is reported by the router's name, with those that do."""

        class Lost:
            async def route(self, request):
                return target("chat-9")

        error = fails(scene, Lost)
        assert error.plugin.endswith("Lost")
        assert error.request_id == "chat-0"
        assert error.problem == (
            "route() chose node 'chat-9', which does not exist; the nodes are named chat-0, "
            "chat-1, chat-2"
        )

    def test_waits_past_the_deadline(self, scene):
        """Requests time out, every one is an event, and one warning counts them."""

        class Slow(First):
            async def route(self, request):
                if int(request.request_id.rpartition("-")[2]) % 10 == 3:
                    await asyncio.sleep(60.0)
                return target()

        run = fedsim.simulate(scene, router=Slow)

        late = run.requests[run.requests["outcome"] == "timeout"]
        number = late["request_id"].str.rpartition("-")[2].astype(int)
        assert (number % 10 == 3).all()
        assert len(late) == (len(run.requests) + 6) // 10
        assert late["latency_s"].to_numpy() == pytest.approx(5.0)
        assert (late["attempts"] == 0).all()
        events = run.events[run.events["kind"] == "plugin"]
        assert events["time_s"].tolist() == late["finished_s"].tolist()
        assert set(events["gateway"]) == {"here/0"}
        assert run.warnings == [
            f"plug-in {run.strategy}: route() was still running when the request's deadline "
            f"passed ({len(late)} times, first with request chat-3)"
        ]

    def test_waits_past_one_deadline(self, scene):
        """A single late request is named without a count."""

        class Slow(First):
            async def route(self, request):
                if request.request_id == "chat-7":
                    await asyncio.Event().wait()
                return target()

        run = fedsim.simulate(scene, router=Slow)

        (warning,) = run.warnings
        assert warning.endswith("when the request's deadline passed (request chat-7)")

    def test_never_answers(self, tmp_path):
        """Without a deadline, a call that never returns is pointed out with what it waits for."""
        scene = scenario(tmp_path, {"federation.timeout": "off", "drain": "5s"})

        class Silent(First):
            async def route(self, request):
                if request.request_id == "chat-7":
                    await asyncio.Event().wait()
                return target()

        run = fedsim.simulate(scene, router=Silent)

        assert run.requests["outcome"].tolist().count("unfinished") == 1
        assert run.warnings[0].startswith(
            "When the run ended, 1 calls of plug-ins had not returned, the first: "
        )
        assert "Silent route (waits for asyncio Event.wait at test_rout" in run.warnings[0]

    def test_spins(self, scene, monkeypatch):
        """A router that waits without letting time pass is stopped, and named."""
        monkeypatch.setattr(asyncio_loop, "CALLBACKS_AT_ONCE", 1000)

        class Spinning(First):
            ready = False

            async def route(self, request):
                while not self.ready:  # noqa: ASYNC110 - that is the mistake
                    await asyncio.sleep(0)
                return target()

        with pytest.raises(SimulationError) as caught:
            fedsim.simulate(scene, router=Spinning)
        message = str(caught.value)
        assert "asyncio code ran 1,000 callbacks there" in message
        assert "Spinning route (waits for asyncio sleep at test_router_plugins.py:" in message

    def test_ignores_its_cancellation(self, scene):
        """A router that goes on after the deadline is pointed out as well."""

        class Stubborn(First):
            async def route(self, request):
                if request.request_id == "chat-7":
                    try:
                        await asyncio.sleep(60.0)
                    except asyncio.CancelledError:
                        await asyncio.sleep(1.0)
                return target()

        run = fedsim.simulate(scene, router=Stubborn)

        assert any(
            "went on 1 times after its result was no longer wanted" in each for each in run.warnings
        )

    def test_a_federation_error_is_an_outcome(self, scene):
        """A router that finds no node says so by the contract's errors, and the run goes on."""

        class Choosy(First):
            async def route(self, request):
                number = int(request.request_id.rpartition("-")[2])
                reason = "not today"
                if number % 3 == 1:
                    raise QoSViolation(reason)
                if number % 3 == 2:
                    await asyncio.sleep(0.1)
                    raise Internal(reason)
                return target()

        run = fedsim.simulate(scene, router=Choosy)

        outcomes = run.requests["outcome"].tolist()
        assert outcomes == (["ok", "qos_violation", "internal"] * len(outcomes))[: len(outcomes)]
        assert run.warnings == []

    def test_cancels_whoever_calls(self, scene):
        """A plain ``route`` that raises a cancellation is a mistake like any other."""

        class Cancelling:
            def route(self, request):
                raise asyncio.CancelledError

        error = fails(scene, Cancelling)
        assert error.problem.startswith("route() raised CancelledError")
        assert error.request_id == "chat-0"

    def test_cancels_itself(self, scene):
        """A cancellation that nobody asked for is the router's mistake."""

        class Cancelling(First):
            async def route(self, request):
                await asyncio.sleep(0.1)
                raise asyncio.CancelledError

        error = fails(scene, Cancelling)
        assert error.plugin.endswith("Cancelling")
        assert error.request_id == "chat-0"
        assert (
            error.problem
            == "route() raised asyncio.CancelledError, though nothing had cancelled it"
        )

    def test_asks_for_the_real_world(self, scene):
        """A connection is refused, and the message says what to do instead."""

        class Connecting(First):
            async def route(self, request):
                await asyncio.open_connection("example.org", 80)
                return target()

        error = fails(scene, Connecting)
        assert isinstance(error.__cause__, UnsupportedInSimulationError)
        assert "does not work in simulated time" in error.problem
        assert "await asyncio.sleep(seconds)" in error.problem

    def test_asks_for_the_real_world_and_hides_it(self, scene):
        """A refusal that the router swallows is a warning."""

        class Connecting(First):
            async def route(self, request):
                try:
                    await asyncio.open_connection("example.org", 80)
                except Exception:  # noqa: BLE001 - that is the point
                    return target()

        run = fedsim.simulate(scene, router=Connecting)

        (warning,) = run.warnings
        assert warning.startswith(f"A plug-in asked {len(run.requests)} times for ")

    def test_has_no_route(self, scene):
        """A class that is no router is refused before the run."""

        class Nothing:
            pass

        error = fails(scene, Nothing)
        assert error.problem == "it is no router: it lacks route()"

    def test_a_function_is_no_router(self, scene):
        """A function is refused by its own name."""

        def route(request):
            return target()

        assert str(fails(scene, route)).endswith("route: it is no router: it lacks route()")

    def test_cannot_be_built(self, scene):
        """A constructor that raises, or wants too much, is reported with what it may take."""

        class Raising(First):
            def __init__(self, context):
                raise LookupError("no such " + context.region)

        class Greedy(First):
            def __init__(self, context, size):
                pass

        assert fails(scene, Raising).problem == ("its constructor raised LookupError: no such here")
        assert fails(scene, Greedy).problem.startswith(
            "its constructor needs 2 arguments; it may take one, the context"
        )


class TestDeterminism:
    def test_global_random(self, scene):
        """A router that draws from the global generators gives the same run again."""

        class Lucky:
            def route(self, request):
                number = random.randrange(3) + int(np.random.randint(3))  # noqa: NPY002
                return target(f"chat-{number % 3}")

        random.seed(1)  # noqa: TID251
        first = fedsim.simulate(scene, router=Lucky)
        random.seed(2)  # noqa: TID251
        np.random.seed(3)  # noqa: NPY002
        state = random.getstate()

        assert fedsim.simulate(scene, router=Lucky).digest == first.digest
        assert fedsim.simulate(scene, router=Lucky, seed=9).digest != first.digest
        assert random.getstate() == state
        assert len(set(first.requests["node"])) == 3
