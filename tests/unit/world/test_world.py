from __future__ import annotations

import asyncio
import gc
from dataclasses import replace

import pytest

from fedsim.errors import InternalError, PlugInError
from fedsim.federation.contracts import FederationError, Internal
from fedsim.results.recorder import Recorder
from fedsim.world.live import LiveRequest
from fedsim.world.nodes.job import Job
from fedsim.world.world import World, directory_of
from tests.unit.world.scripted import HERE, Script, ScriptedGateway, send


def world_of(script, gateways=1, build=None, **options):
    """Return the world of a script, not yet run, and its gateways by name."""
    config, counts, built = script.config, {HERE: gateways}, {}

    def build_scripted(site):
        built[site.name] = ScriptedGateway(site, script)
        return built[site.name]

    recorder = Recorder(directory_of(config, counts))
    return World(config, counts, build or build_scripted, recorder, **options), built


class TestGateways:
    def test_each_request_goes_to_one(self):
        """Every request of a region goes to exactly one of its gateways."""
        script = Script([(float(number), 1) for number in range(7)])
        world, built = world_of(script, gateways=3)
        world.run()

        seen = [number for each in built.values() for number, *_ in each.log]
        assert sorted(seen) == list(range(7))

    def test_draw_from_streams_of_their_own(self):
        """Each gateway's randomness has a name of its own, by purpose."""
        built = world_of(Script([]), gateways=2)[1]
        draws = {
            (name, purpose): gateway.site.random_for(purpose).random()
            for name, gateway in built.items()
            for purpose in ("strategy", "health")
        }

        assert len(set(draws.values())) == 4
        again = world_of(Script([]), gateways=3)[1]
        assert again["here/1"].site.random_for("health").random() == draws["here/1", "health"]

    def test_are_built_in_simulated_time(self):
        """A gateway's plug-ins may look at the time while they are built, and start tasks."""
        log = []

        async def tick():
            await asyncio.sleep(2.0)
            log.append(asyncio.get_running_loop().time())

        script = Script([(0.0, 1)], duration_s=5.0)
        kept = []

        def build(site):
            log.append(asyncio.get_running_loop().time())
            kept.append(asyncio.get_running_loop().create_task(tick()))
            return ScriptedGateway(site, script)

        world, _ = world_of(script, build=build)
        world.run()

        assert log == [0.0, 2.0]


class TestTheEnd:
    def test_when_the_world_is_empty(self):
        """After the last arrival the world ends when nothing is under way any more."""
        played = Script([(0.0, 30)], duration_s=10.0, leg_s=0.5).play()
        assert played.world.env.now == 31.0

    def test_not_before_arrivals_stop(self):
        """An empty world goes on while requests may arrive."""
        assert Script([(0.0, 1)], duration_s=10.0).play().world.env.now == 10.0

    def test_waits_for_work_in_vain(self):
        """What a node does for nobody is still under way."""
        played = Script([(0.0, 30)], {0: 1.0}, abort=False, duration_s=10.0).play()
        assert played.world.env.now == 30.0

    def test_when_the_drain_has_passed(self):
        """What is not finished then stays unfinished, and is in the tables."""
        played = Script([(0.0, 99), (1.0, 99)], duration_s=10.0, drain_s=5.0).play()

        requests = played.tables.requests
        assert played.world.env.now == 15.0
        assert requests["outcome"].tolist() == ["unfinished", "unfinished"]
        assert requests["finished_s"].isna().all()

    def test_no_arrivals_at_the_end_of_the_duration(self):
        """Requests arrive in [0, duration)."""
        played = Script([(0.0, 1), (9.0, 1), (10.0, 1)], duration_s=10.0).play()
        assert len(played.tables.requests) == 2


class TestProgress:
    def test_is_told_from_0_to_1(self):
        """Progress begins at 0, never goes back, and ends at 1 with the run."""
        told: list[float] = []
        world, _ = world_of(Script([(0.0, 30)], duration_s=10.0), progress=told.append)
        world.run()

        assert told == sorted(told)
        assert (told[0], told[-1], told.count(1.0)) == (0.0, 1.0, 1)
        assert len(told) > 100


class TestFailures:
    def test_of_our_own(self):
        """A bug of fedsim's is called one, with the time, the error and what to do."""

        async def act(site, target, request):
            await site.clock.sleep(1.0)
            reason = "no such thing"
            raise LookupError(reason)

        with pytest.raises(InternalError) as caught:
            Script([(2.0, 1)], act=act).play()
        assert str(caught.value) == (
            "fedsim failed at simulated time 3.000000 s: LookupError: no such thing. Please "
            "report it with the scenario and the seed."
        )
        assert isinstance(caught.value.__cause__, LookupError)

    def test_of_a_plug_in(self):
        """A plug-in's error passes as it is."""
        error = PlugInError("mine", "did it")

        async def act(site, target, request):
            raise error

        with pytest.raises(PlugInError) as caught:
            Script([(2.0, 1)], act=act).play()
        assert caught.value is error

    def test_an_outcome_of_ones_own(self):
        """A federation error with a kind of its own is an outcome of that name."""

        class Tired(FederationError):
            kind = "tired"

        async def act(site, target, request):
            raise Tired

        played = Script([(2.0, 1)], act=act).play()
        assert played.tables.requests["outcome"].tolist() == ["tired"]

    def test_after_service(self):
        """A request that fails after it was served has its node and cost, and no times."""

        async def act(site, target, request):
            await send(site, target, request)
            reason = "changed its mind"
            raise Internal(reason)

        played = Script([(2.0, 3)], act=act).play()
        row = played.tables.requests.iloc[0]
        assert (row["outcome"], row["node"], row["cost_usd"]) == ("internal", "node-0", 3.0)
        assert row[["network_s", "queue_wait_s", "service_s", "ttft_s"]].isna().all()


class TestGarbage:
    def test_requests_leave_no_cycles(self):
        """A request that was served is gone without a collection."""
        script = Script([(0.01 * number, 0) for number in range(200)], leg_s=0.1, slots=9)
        world, _ = world_of(replace(script, duration_s=50.0))
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            world.run()
            gc.collect()
            left = [each for each in gc.garbage if isinstance(each, (Job, LiveRequest))]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()

        assert left == []
