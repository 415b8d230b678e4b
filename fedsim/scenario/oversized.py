"""Whether requests can be too large for the engines that may get them, known before any run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedsim.errors import Problem
from fedsim.scenario.request_samples import RequestSample, sample_requests
from fedsim.scenario.source import Place
from fedsim.scenario.spec import Scenario
from fedsim.workload.distributions import Constant
from fedsim.workload.tokens import Tokens
from fedsim.workload.traffic import Traffic
from fedsim.world.config import PoolConfig
from fedsim.world.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class _Known:
    """Sizes that are known before a run.

    Attributes:
        key: The stream's key that they come from.
        prompts: Tokens of prompts.
        outputs: Tokens of the answers to them.
    """

    key: str
    prompts: NDArray[np.int64]
    outputs: NDArray[np.int64]


def oversized_problems(scenario: Scenario) -> list[Problem]:
    """Return a problem for each stream and pool where a request can never be served.

    Constant sizes and those of a trace within the run are looked at; of sizes that are drawn, the
    first ones, which are no problem if some of them fit. A run refuses requests that do not.
    """
    found = []
    for stream in scenario.world.streams:
        known = _known_sizes(stream.traffic, scenario.duration_s)
        drawn = known is None
        if known is None:
            sample = sample_requests(stream.traffic, scenario.seed, scenario.duration_s)
            known = _drawn_sizes(sample)
        for pool in scenario.world.pools:
            if stream.capability in pool.capabilities:
                problem = _problem(scenario, stream.traffic.name, known, pool, drawn=drawn)
                found += [] if problem is None else [problem]
    return found


def _known_sizes(traffic: Traffic, until_s: float) -> _Known | None:
    trace = traffic.arrivals.trace
    if trace is not None:
        rows = round(traffic.arrivals.mean_rps(until_s) * until_s)
        return _Known("arrivals", trace.prompt_tokens[:rows], trace.output_tokens[:rows])
    tokens = traffic.sizes.tokens
    if not isinstance(tokens, Tokens) or traffic.conversation is not None:
        return None
    prompt, output, prefixes = tokens.prompt, tokens.output, traffic.sizes.prefixes
    if not isinstance(prompt, Constant) or not isinstance(output, Constant):
        return None
    prompt_tokens = round(prompt.mean)
    if prefixes is not None and isinstance(prefixes.tokens, Constant):
        prompt_tokens += round(prefixes.tokens.mean)
    return _Known("tokens", np.array([prompt_tokens]), np.array([round(output.mean)]))


def _drawn_sizes(sample: RequestSample) -> _Known:
    """Return the sizes of a sample, the unknown ones as the least."""
    prompts = np.maximum(sample.prompt_tokens, 1).astype(np.int64)
    return _Known("tokens", prompts, sample.output_tokens.astype(np.int64))


def _problem(
    scenario: Scenario, stream: str, known: _Known, pool: PoolConfig, *, drawn: bool
) -> Problem | None:
    if pool.engine is None or len(known.prompts) == 0:
        return None
    engine = Engine(pool.engine)
    largest = np.argsort(-(known.prompts + known.outputs), kind="stable")
    reasons = []
    for row in largest.tolist():
        reason = engine.why_never(int(known.prompts[row]), int(known.outputs[row]))
        if reason is None:
            break
        reasons.append(reason)
    if not reasons or (drawn and len(reasons) < len(known.prompts)):
        return None
    few = known.key == "arrivals"
    who = f"{len(reasons):,} of the {len(known.prompts):,} requests" if few else "The requests"
    message = f"{who} of {stream} can never be served by the pool {pool.name}: {reasons[0]}."
    remedy = "Give its engine more cache, or the stream another capability."
    path = f"workload.{stream}.{known.key}"
    place = scenario.places.get(path, Place(str(scenario.path)))
    return Problem(message, remedy, path, place.file, place.line, place.column)
