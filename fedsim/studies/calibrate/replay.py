"""A log's arrivals on simulated nodes: when would its tokens have come?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fedsim.errors import FedsimError
from fedsim.studies.calibrate.log import RequestLog
from fedsim.world.engine.config import EngineConfig
from fedsim.world.engine.engine import Engine
from fedsim.world.engine.sequence import Sequence

_CHAIN = 1 << 40
"""Block hashes of the shared prefix begin here; those of a request's own blocks never do."""


class ReplayError(FedsimError, ValueError):
    """A log has a request that the engine can never serve."""


def replay(log: RequestLog, config: EngineConfig) -> RequestLog:
    """Return *log* with the times that simulated nodes give its requests.

    All requests of the log load their nodes, as they did; nothing is known of them but arrival,
    tokens, cached tokens and node.

    Cached tokens are reproduced by one long prompt whose blocks every node's prefix cache holds all
    the time, without taking room for them: each request begins with as much of it as the log says
    was cached, down to whole blocks.

    Args:
        log: The measured log.
        config: The engine of each of its nodes.

    Raises:
        ReplayError: A request needs more than a node has.
    """
    first_token_s, last_token_s = np.empty(len(log)), np.empty(len(log))
    for place in range(len(log.nodes)):
        rows = np.flatnonzero(log.node == place).tolist()
        served = _serve(log, rows, config)
        first_token_s[rows] = [sequence.first_token_s for sequence in served]
        last_token_s[rows] = [sequence.finished_s for sequence in served]
    return replace(log, first_token_s=first_token_s, last_token_s=last_token_s)


def _serve(log: RequestLog, rows: list[int], config: EngineConfig) -> list[Sequence]:
    engine = Engine(config)
    block = config.block_tokens
    longest = int(log.cached_tokens[rows].max()) // block
    engine.preload(range(_CHAIN, _CHAIN + longest), block)
    arrived_s = (log.arrived_s[rows] + config.request_overhead_s).tolist()
    sequences = []
    for time_s, prompt, output, cached in zip(
        arrived_s,
        log.prompt_tokens[rows].tolist(),
        log.output_tokens[rows].tolist(),
        log.cached_tokens[rows].tolist(),
        strict=True,
    ):
        blocks = range(_CHAIN, _CHAIN + cached // block)
        sequence = Sequence(prompt, output, blocks, block)
        _require_room(engine, prompt, output)
        engine.advance(time_s)
        engine.submit(sequence, time_s)
        sequences.append(sequence)
    while engine.next_change_s() < np.inf:
        engine.advance(engine.next_change_s())
    return sequences


def _require_room(engine: Engine, prompt: int, output: int) -> None:
    problem = engine.why_never(prompt, output)
    if problem is not None:
        message = (
            f"The log has a request of {prompt:,} prompt and {output:,} output tokens, which the "
            f"engine can never serve: {problem}. Give the limits that the node really had."
        )
        raise ReplayError(message)
