"""How the load uses an engine, as `fedsim check` says, against a closed form and against runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fedsim
from fedsim.scenario.capacity import capacity_table
from fedsim.scenario.engine_use import engine_use
from fedsim.scenario.offered_load import OfferedLoad
from fedsim.scenario.request_samples import RequestSample
from fedsim.world.engine.config import EngineConfig
from fedsim.world.engine.steps import Coefficients
from tests.unit.scenario.writing import loaded


@pytest.mark.parametrize("load", [0.1, 0.5, 0.8])
def test_one_at_a_time_is_a_queue(load: float):
    """An engine that batches nothing is in steps for a share of rate × service time (M/D/1)."""
    engine = EngineConfig(Coefficients(0.1, 0.0, 0.0, 0.1, 0.0, 0.0), 10_000, max_batch=1)
    service_s = 0.1 * 5  # a prompt, then four tokens more
    sample = RequestSample(np.full(5000, 100.0), np.full(5000, 5.0), [None] * 5000)

    use = engine_use(engine, [(sample, load / service_s)])

    half_width = 3.5 * load / np.sqrt(1500)  # of the number of Poisson arrivals that count
    assert use.in_steps == pytest.approx(load, abs=half_width)
    assert use.running == pytest.approx(use.in_steps, rel=1e-6)
    held = 112 / 10_000  # seven blocks of 16 tokens for 100 to 104
    assert use.cache == pytest.approx(use.in_steps * held, rel=0.02)


@pytest.mark.parametrize("rate", [1.0, 8.0])
def test_runs_agree(tmp_path: Path, rate: float):
    """A run's utilization, batch and cache are those that `check` expects of one pool."""
    text = f"""\
        duration: 6min
        warmup: 1min
        regions: {{us: {{}}}}
        pools:
          chat: {{region: us, count: 2, engine: {{profile: llama-3.1-8b/bf16/h100_sxm/tp1}}}}
        workload:
          chat:
            arrivals: {{process: poisson, rate: {rate}/s}}
            tokens:
              prompt: {{distribution: lognormal, median: 1000, p99: 4000}}
              output: {{distribution: lognormal, median: 200, p99: 800}}
        federation: {{strategy: random}}
        record: {{nodes_every: 1s}}
    """
    scenario = loaded(tmp_path, text)
    (row,) = capacity_table(OfferedLoad(scenario))
    assert row.use is not None
    found = []
    for seed in range(1, 7):
        run = fedsim.simulate(scenario, seed=seed)
        samples = run.nodes[run.nodes["time_s"].between(60.0, 360.0)]
        in_steps = run.summary()["utilization_mean"].item()
        cache = samples["kv_used_tokens"].mean() / 455_000
        found.append((in_steps, samples["running"].mean(), cache))

    means, errors = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    expected = np.array([row.use.in_steps, row.use.running, row.use.cache])
    own = 0.05 * expected  # what 1,500 requests of the expectation's own sample leave open
    assert (np.abs(means - expected) < 3.5 * np.hypot(errors, own)).all()
