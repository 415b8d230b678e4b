"""A Dask cluster as an executor of studies."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from fedsim.errors import ArgumentError

_TIMEOUT_S = 30.0
"""A scheduler that has not answered for so long is not there."""


@contextmanager
def cluster(address: str | None, workers: int | None = None) -> Iterator[Executor | None]:
    """Yield the executor of a Dask cluster, or None without an address.

    Args:
        address: The scheduler's, such as ``tcp://10.0.0.1:8786``.
        workers: The number of processes of this machine that is asked for, which goes with no
            cluster.

    Raises:
        ArgumentError: Dask is not installed, the scheduler does not answer, or both a cluster and
            processes are asked for.
    """
    if address is None:
        yield None
        return
    if workers is not None:
        message = "--workers is the number of processes of this machine, which --dask does without."
        raise ArgumentError(message, "Leave one of the two out.")
    try:
        from distributed import Client
    except ImportError as error:
        message = "--dask needs the package distributed."
        raise ArgumentError(message, 'Run pip install "fedsim-routing[dask]".') from error
    try:
        client = Client(address, timeout=_TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        message = f"No Dask scheduler answers at {address}: {error}."
        raise ArgumentError(
            message, "Start one with dask scheduler, or mend the address."
        ) from error
    with client:
        # Two calls of one function with equal arguments are two runs, not one.
        yield client.get_executor(pure=False)
