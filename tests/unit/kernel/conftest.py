"""An environment and its event loop, new for each test."""

from __future__ import annotations

import pytest

from fedsim.kernel.asyncio_loop import SimLoop
from fedsim.kernel.environment import Environment


@pytest.fixture
def env():
    """Return an environment."""
    return Environment()


@pytest.fixture
def loop(env):
    """Return an event loop on the environment."""
    return SimLoop(env)
