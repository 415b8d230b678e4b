"""Plug-ins that want to end the process: each is reported by name, and nothing ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

import fedsim
from fedsim.federation.contracts import CircuitState
from tests.chosen import others_slow
from tests.contract.plugin_world import fails, module, scenario, target


class Own(BaseException):
    """What some libraries raise to get past every ``except Exception``."""


EXITS = {"SystemExit": SystemExit, "GeneratorExit": GeneratorExit, "Own": Own}


@pytest.fixture(params=EXITS)
def leave(request):
    """Return a function that raises something that is no ``Exception``."""

    def raise_it(*_):
        msg = "enough"
        raise EXITS[request.param](msg)

    return raise_it


@pytest.fixture
def scene(tmp_path):
    """Return a small scenario."""
    return scenario(tmp_path)


class TestRouters:
    def test_in_a_plain_method(self, scene, leave):
        """A router that exits in route() is named with the request and the time."""

        class Leaving:
            route = leave

        error = fails(scene, router=Leaving)
        assert ": enough" in error.problem
        assert error.plugin.endswith("Leaving")
        assert error.request_id == "chat-0"
        assert error.time_s is not None

    @pytest.mark.parametrize("waits_s", [None, 0.01])
    def test_in_a_coroutine(self, scene, leave, waits_s):
        """So is one that exits in a coroutine, at once or after it has waited."""

        class Leaving:
            async def route(self, request):
                if waits_s is not None:
                    await asyncio.sleep(waits_s)
                leave()

        error = fails(scene, router=Leaving)
        assert ": enough" in error.problem
        assert error.request_id == "chat-0"

    def test_in_a_constructor(self, scene, leave):
        """So is one that exits while it is built."""

        class Leaving:
            __init__ = leave

            def route(self, request):
                return target()

        assert ": enough" in fails(scene, router=Leaving).problem

    def test_in_a_task_of_its_own(self, scene, leave):
        """A task that the router started and nobody awaits ends the run, not the process."""

        class Leaving:
            def __init__(self, context):
                context.tasks.spawn(self.work(), "work")

            async def work(self):
                await asyncio.sleep(1.0)
                leave()

            def route(self, request):
                return target()

        error = fails(scene, router=Leaving)
        assert not isinstance(error.__cause__, Exception)

    def test_in_a_callback(self, scene):
        """A timer's callback that exits is reported too."""

        class Leaving:
            def __init__(self, context):
                asyncio.get_running_loop().call_later(1.0, sys.exit, 0)

            def route(self, request):
                return target()

        error = fails(scene, router=Leaving)
        assert isinstance(error.__cause__, SystemExit)
        assert error.time_s == pytest.approx(1.0)

    def test_in_a_property(self, scene, leave):
        """What no guard expects, such as a property that exits, is named by its function."""

        class Leaving:
            on_start = property(leave)

            def route(self, request):
                return target()

        assert "raise_it" in fails(scene, router=Leaving).plugin

    def test_ctrl_c_goes_through(self, scene):
        """Ctrl-C in a plug-in's code is the user's, and interrupts."""

        class Interrupted:
            def route(self, request):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fedsim.simulate(scene, router=Interrupted)


def test_in_a_breaker(scene, leave):
    """A circuit breaker that exits is named."""

    class Leaving:
        record_success = record_failure = leave

        def is_open(self, node_id):
            return False

        def state(self, node_id):
            return CircuitState.CLOSED

    assert ": enough" in fails(scene, circuit_breaker=Leaving).problem


SOURCES = {
    "import": "import sys\nsys.exit()\n",
    "constructor": "import sys\nclass P:\n    def __init__(self):\n        sys.exit()\n",
    "route": "import sys\nclass P:\n    async def route(self, request):\n        sys.exit()\n",
}


@pytest.mark.parametrize(
    ("command", "where"),
    others_slow(
        [("run", "import"), ("run", "constructor"), ("compare", "import"), ("compare", "route")],
        [("run", "import"), ("compare", "route")],
    ),
)
def test_commands_end_with_status_2(tmp_path, command, where):
    """`sys.exit()` in a plug-in ends a command with status 2 and the plug-in's name."""
    name = module(tmp_path, SOURCES[where])
    scenario(tmp_path)
    router = [f"--set=federation.router={name}:P"]
    if command == "compare":
        router = ["--router", f"{name}:P", "--replications", "2", "--workers", "2"]
    ended = subprocess.run(
        [sys.executable, "-m", "fedsim", command, "scenario.yaml", "--out", "out", *router],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert name in ended.stderr
    assert "SystemExit" in ended.stderr
    left = {file.name for file in (tmp_path / "out").glob("*")}
    study = {"study.json", "scenario.yaml", "runs", "failed"}  # the runs of others that are done
    assert left <= (study if command == "compare" else set())


class TestSimultaneousRuns:
    def test_global_random_under_threads(self, scene):
        """Runs in several threads of a process give the digests that they give alone."""
        name = module(
            scene.path.parent,
            """
            import random
            from tests.contract.plugin_world import target

            class Lucky:
                def route(self, request):
                    return target(f"chat-{random.randrange(3)}")
            """,
        )
        seeds = range(6)

        def digest(seed):
            return fedsim.simulate(scene, router=f"{name}:Lucky", seed=seed).digest

        alone = [digest(seed) for seed in seeds]
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(digest, seeds)) == alone

    def test_a_library_is_given_back(self, scene):
        """After such runs, a library whose clock was exchanged has its own again."""
        pybreaker = pytest.importorskip("pybreaker")
        before = dict(vars(pybreaker))

        def digest(seed):
            return fedsim.simulate(scene, circuit_breaker="pybreaker", seed=seed).digest

        alone = [digest(seed) for seed in range(4)]
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(digest, range(4))) == alone
        assert all(vars(pybreaker)[name] is value for name, value in before.items())

    def test_a_run_within_a_run(self, scene):
        """A router may simulate something itself; its own draws go on as if it had not."""

        class Simulating:
            inner = True

            def __init__(self, context):
                if Simulating.inner:
                    Simulating.inner = False
                    fedsim.simulate(scene, seed=5)

            def route(self, request):
                return target()

        with_inner = fedsim.simulate(scene, router=Simulating).digest
        assert fedsim.simulate(scene, router=Simulating).digest == with_inner
