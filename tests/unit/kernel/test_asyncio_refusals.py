from __future__ import annotations

import asyncio
import inspect
import threading

import pytest

from fedsim.errors import PlugInError, UnsupportedInSimulationError
from fedsim.kernel.asyncio_loop import SimLoop
from tests.unit.kernel.simulated import run_simulated


def public_methods():
    """Return the names of the methods that asyncio expects of a loop."""
    return [
        name
        for name, value in vars(asyncio.AbstractEventLoop).items()
        if inspect.isfunction(value) and not name.startswith("__")
    ]


class TestRefusals:
    def test_every_method_of_a_loop_is_decided(self):
        """No method of asyncio's contract is left to raise a bare NotImplementedError."""
        undecided = [
            name
            for name in public_methods()
            if getattr(SimLoop, name) is getattr(asyncio.AbstractEventLoop, name)
        ]

        assert undecided == []

    @pytest.mark.parametrize(
        "name",
        [
            "add_reader",
            "add_signal_handler",
            "create_connection",
            "create_datagram_endpoint",
            "create_server",
            "getaddrinfo",
            "run_forever",
            "run_until_complete",
            "sock_recv",
            "stop",
            "subprocess_exec",
            "subprocess_shell",
        ],
    )
    def test_says_what_and_why(self, loop, name):
        """A refusal names the method and comes at the call, with any arguments."""
        with pytest.raises(UnsupportedInSimulationError, match=rf"loop\.{name}\(\) does not work"):
            getattr(loop, name)("a", 1, b=2)

        assert {name: 1} == loop.refused

    @pytest.mark.parametrize(
        ("call", "name", "remedy"),
        [
            (lambda: asyncio.open_connection("h", 1), "create_connection", "asyncio.sleep"),
            (lambda: asyncio.start_server(print, "h", 1), "create_server", "transport"),
            (lambda: asyncio.create_subprocess_exec("ls"), "subprocess_exec", "asyncio.sleep"),
        ],
    )
    def test_reaches_the_author(self, call, name, remedy):
        """Asyncio's own helpers end in a refusal that says what to do instead."""

        async def main():
            await call()

        with pytest.raises(UnsupportedInSimulationError, match=name) as caught:
            run_simulated(main())

        assert remedy in str(caught.value)

    def test_other_threads(self, env, loop):
        """Only the simulation's own thread may use the thread-safe call; others end the run."""
        errors: list[str] = []
        called: list[str] = []

        def elsewhere():
            try:
                loop.call_soon_threadsafe(called.append, "elsewhere")
            except UnsupportedInSimulationError as error:
                errors.append(str(error))

        with loop.installed():
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()
            loop.call_soon_threadsafe(called.append, "here")
            env.run()

        assert called == ["here"]
        assert "another thread" in errors[0]
        with pytest.raises(PlugInError, match="call_soon_threadsafe"):
            loop.raise_unhandled()

    def test_shutdowns_do_nothing(self, loop):
        """The coroutines that asyncio calls at the end of a program are harmless."""
        assert loop.start(loop.shutdown_asyncgens()).result() is None
        assert loop.start(loop.shutdown_default_executor()).result() is None
