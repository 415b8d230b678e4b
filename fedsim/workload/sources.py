"""Where the draws of a workload come from."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class StreamSource(Protocol):
    """The random streams and keyed words of a run; ``fedsim.kernel.streams.Streams`` is one."""

    def generator(self, name: str) -> np.random.Generator:
        """Return a new generator at the start of the stream *name*."""
        ...

    def service_uniforms(self, keys: NDArray[np.uint64], attempt: int) -> NDArray[np.float64]:
        """Return the service uniform of that attempt of each of the requests with *keys*."""
        ...

    def keyed_words(
        self, keys: NDArray[np.uint64], purpose: int, number: int | NDArray[np.uint64]
    ) -> NDArray[np.uint64]:
        """Return a 64-bit word for each of *keys*, a purpose and a number, as if at random."""
        ...

    def keyed_uniforms(
        self, keys: NDArray[np.uint64], purpose: int, number: int
    ) -> NDArray[np.float64]:
        """Return a uniform in (0, 1) for each of *keys*, a purpose and a number."""
        ...
