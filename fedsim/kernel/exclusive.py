"""What a run takes from the whole process: one run at a time has it, and gives all of it back."""

from __future__ import annotations

import random
import threading
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np

from fedsim.kernel.foreign_globals import depth, leave_beyond
from fedsim.kernel.streams import Streams

_turn = threading.RLock()  # a plug-in may simulate something within its own run


@contextmanager
def exclusive(seed: int) -> Generator[None]:
    """Wait until no other thread simulates, and seed the global generators for plug-ins.

    Plug-ins may draw from `random` and `numpy.random`, and adapters exchange globals of other
    people's modules: two runs at once would draw from each other's generators and restore each
    other's globals. Afterwards generators and globals are what they were, whatever was raised.
    """
    with _turn:
        entered = depth()
        before, numpy_before = random.getstate(), np.random.get_state()  # noqa: NPY002
        entropy = Streams(seed).python_random("plugins/global").getrandbits(32)
        random.seed(entropy)  # noqa: TID251 - for plug-ins alone
        np.random.seed(entropy)  # noqa: NPY002
        try:
            yield
        finally:
            leave_beyond(entered)
            random.setstate(before)
            np.random.set_state(numpy_before)  # noqa: NPY002
