"""Digests of what arrives and what strikes, which must not depend on who serves.

Runs of one seed that differ in nothing but their strategy meet the same arrivals and faults; these
digests say whether they did. What depends on answers is left out: users of a closed loop ask again
when they were answered, and the sessions of conversations that are under way at the beginning, and
all their later turns, follow from how long answers take. So do faults that wait for nodes to finish
what they have, and whatever happens after the last arrival, which lasts until the world is empty.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np

from fedsim.results.tables import Tables
from fedsim.world.faults.registry import FAULTS
from fedsim.world.observer import Directory

_OF_ARRIVALS = ("arrived_s", "origin", "tenant", "prompt_tokens", "output_tokens")
"""The columns of requests that are drawn before anything is served."""


def exogenous_digests(tables: Tables, directory: Directory, duration_s: float) -> dict[str, str]:
    """Return the digest of each stream's arrivals, and of the faults of each thing, by name.

    Names are such as ``workload.chat`` and ``crash of us-chat-0``. The streams of users who wait
    for answers are left out, as this module says.

    Args:
        tables: The run.
        directory: Its names.
        duration_s: Arrivals stopped at this time, in seconds.
    """
    stream = tables.values("requests", "stream")
    waits = (tables.values("requests", "user") >= 0) | (tables.values("requests", "session") >= 0)
    columns = [tables.values("requests", name).astype("<f8") for name in _OF_ARRIVALS]
    found = {}
    for code, info in enumerate(directory.streams):
        rows = np.flatnonzero(stream == code)
        if not waits[rows].any():
            state = blake2b(digest_size=8)
            for column in columns:
                state.update(column[rows].tobytes())
            found[f"workload.{info.name}"] = state.hexdigest()
    return found | _faults(tables, duration_s)


def _faults(tables: Tables, duration_s: float) -> dict[str, str]:
    states: dict[str, Any] = {}
    events = tables.events_of("fault", "time_s", "detail", "subject", "before", "after")
    for time_s, kind, subject, before, after in events:
        if time_s < duration_s and not FAULTS[kind].waits_for_nodes:
            state = states.setdefault(f"{kind} of {subject}", blake2b(digest_size=8))
            state.update(f"{time_s!r} {before} {after}\n".encode())
    return {name: state.hexdigest() for name, state in states.items()}
