"""How much of a node a request takes at full load, which is what decides a pool's capacity.

A node that gets λ requests a second, each of which takes t seconds of it at full load, is busy for
a share λ·t of its capacity. Loads of several streams add up.

- *Slots*: the mean service time over the number of slots, the loading of models included.
- *Batches*: the time of a full batch over its requests.
- *Engine*: see ``engine_time``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fedsim.scenario.request_samples import RequestSample
from fedsim.workload.details import Details, Pictures
from fedsim.workload.mean_sizes import MeanSizes
from fedsim.world.nodes.config import PoolConfig, SwitchConfig


def node_time_s(pool: PoolConfig, sizes: MeanSizes, sample: Callable[[], RequestSample]) -> float:
    """Return how long a request takes a node of *pool* at full load, in seconds.

    Args:
        pool: The pool.
        sizes: Mean sizes of the requests.
        sample: Gives requests of which they are the means, where it takes them.
    """
    if pool.engine is not None:
        from fedsim.scenario.engine_time import engine_time_s

        return engine_time_s(pool.engine, sample())
    if pool.batching is not None:
        most = pool.batching.max_batch
        return pool.batching.service.mean_s(sizes, most) / most
    assert pool.service is not None
    service_s = pool.service.mean_s(sizes)
    if pool.switch is not None:
        service_s += loading_s(pool.switch, sample().details, pool.count)
    return service_s / pool.slots


def loading_s(switch: SwitchConfig, details: Sequence[Details | None], nodes: int) -> float:
    """Return the mean time that a request waits for models and adapters to load, in seconds.

    It is that of requests which the *nodes* take in turn, each with its loaded models.
    """
    loaded: list[dict[int, None]] = [{} for _ in range(nodes)]
    adapter_s = 0.0 if switch.adapter_load is None else switch.adapter_load.mean
    total_s = 0.0
    for number, pictures in enumerate(details):
        model, adapters = 0, 0
        if isinstance(pictures, Pictures):
            model, adapters = pictures.model, pictures.adapters
        held = loaded[number % nodes]
        if model not in held:
            total_s += switch.model_load.mean
        held.pop(model, None)
        if len(held) == switch.models:
            del held[next(iter(held))]
        held[model] = None
        total_s += adapters * adapter_s
    return total_s / len(details)
