"""What an event loop in simulated time refuses, and what it says."""

from __future__ import annotations

from typing import Any, NoReturn

from fedsim.errors import UnsupportedInSimulationError
from fedsim.kernel.asyncio_tasks import HostLoop

_NETWORK = (
    "it needs a real network; model the exchange with `await asyncio.sleep(seconds)` and make up "
    "the answer, or give your client a transport that does"
)
_PROCESS = "it starts a process; model its duration with `await asyncio.sleep(seconds)`"
_THREAD = (
    "the time of a thread cannot be simulated; call the function directly, and model its "
    "duration with `await asyncio.sleep(seconds)`"
)
_SIGNALS = "signals belong to the real process; leave them to the program that runs the simulation"
_RUNNER = "the simulation runs the loop; `await` what should run, or use asyncio.create_task()"


def _refuse(name: str, reason: str) -> Any:
    """Return a method that raises whatever its arguments are, at the call and not at the await."""

    def refusal(self: RefusingLoop, *_args: object, **_options: object) -> NoReturn:
        self.refuse(name, reason)

    refusal.__name__ = name
    refusal.__doc__ = f"Raise `UnsupportedInSimulationError`: {reason}."
    return refusal


class RefusingLoop(HostLoop):
    """An event loop that refuses, by name, whatever cannot be simulated.

    Attributes:
        refused: How often each method was refused, by name. A plug-in that catches every exception
            hides its refusals from the run, but not from this count.
    """

    def __init__(self) -> None:
        self.refused: dict[str, int] = {}

    def refuse(self, name: str, reason: str) -> NoReturn:
        """Raise `UnsupportedInSimulationError` for the method *name*, and count it."""
        self.refused[name] = self.refused.get(name, 0) + 1
        msg = f"loop.{name}() does not work in simulated time: {reason}"
        raise UnsupportedInSimulationError(msg)

    run_forever = _refuse("run_forever", _RUNNER)
    run_until_complete = _refuse("run_until_complete", _RUNNER)
    stop = _refuse("stop", _RUNNER)

    set_default_executor = _refuse("set_default_executor", _THREAD)

    getaddrinfo = _refuse("getaddrinfo", _NETWORK)
    getnameinfo = _refuse("getnameinfo", _NETWORK)
    create_connection = _refuse("create_connection", _NETWORK)
    create_server = _refuse("create_server", _NETWORK)
    create_unix_connection = _refuse("create_unix_connection", _NETWORK)
    create_unix_server = _refuse("create_unix_server", _NETWORK)
    create_datagram_endpoint = _refuse("create_datagram_endpoint", _NETWORK)
    connect_accepted_socket = _refuse("connect_accepted_socket", _NETWORK)
    start_tls = _refuse("start_tls", _NETWORK)
    sendfile = _refuse("sendfile", _NETWORK)
    add_reader = _refuse("add_reader", _NETWORK)
    remove_reader = _refuse("remove_reader", _NETWORK)
    add_writer = _refuse("add_writer", _NETWORK)
    remove_writer = _refuse("remove_writer", _NETWORK)
    sock_recv = _refuse("sock_recv", _NETWORK)
    sock_recv_into = _refuse("sock_recv_into", _NETWORK)
    sock_recvfrom = _refuse("sock_recvfrom", _NETWORK)
    sock_recvfrom_into = _refuse("sock_recvfrom_into", _NETWORK)
    sock_sendall = _refuse("sock_sendall", _NETWORK)
    sock_sendto = _refuse("sock_sendto", _NETWORK)
    sock_connect = _refuse("sock_connect", _NETWORK)
    sock_accept = _refuse("sock_accept", _NETWORK)
    sock_sendfile = _refuse("sock_sendfile", _NETWORK)

    connect_read_pipe = _refuse("connect_read_pipe", _PROCESS)
    connect_write_pipe = _refuse("connect_write_pipe", _PROCESS)
    subprocess_shell = _refuse("subprocess_shell", _PROCESS)
    subprocess_exec = _refuse("subprocess_exec", _PROCESS)

    add_signal_handler = _refuse("add_signal_handler", _SIGNALS)
    remove_signal_handler = _refuse("remove_signal_handler", _SIGNALS)
