"""How much of an engine a request takes at full load.

Let n be a request's prompt tokens and m its output tokens, and let all means be over the requests.
Where q requests are admitted per step, and as many end,

- ``q·(m - 1 + s)`` sequences run, at most ``max_batch``, by Little's law: a request is prefilled in
  s steps, ``ceil(n / token_budget)``, and decoded in m - 1;
- ``q·(s·n + Σ(k = 1 … m - 1) (n + k))`` tokens are in the cache, at most ``kv_capacity``, half a
  block for each sequence on top;
- ``q·(n + m - 1)`` tokens are computed in a step, at most ``token_budget``.

The largest such q takes steps of T(q) seconds, with ``q·(m - 1)`` sequences decoding, their context
and q prompts, so that a request takes T(q)/q of the engine. A share ``1 - exp(-q·s)`` of the steps
prefills, as if requests came at random. The time before a request is queued does not count.

There is no such formula for what preemption computes again, nor for what prefix caches save. Where
the cache is what limits q, or prompts have content that may be found in it, the engine is run on
the sample of requests instead, all of which wait from the beginning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fedsim.scenario.request_samples import RequestSample
from fedsim.workload.details import Prompt
from fedsim.world.engine.config import EngineConfig
from fedsim.world.engine.engine import Engine, Sequence
from fedsim.world.engine.steps import StepTimes

_STEADY = (0.3, 0.7)
"""Which of the requests that an engine serves, by their shares, count as those at full load."""

_EXCHANGES = 5
"""How often the batch is exchanged before requests count, at most the first of those shares."""

_BATCH, _BATCHES, _ERROR = 100, 10, 0.005
"""The time is known where so many batches of requests tell it with so small a standard error."""


@dataclass(frozen=True, slots=True)
class _Needs:
    """What a request needs of an engine, as means over all.

    Attributes:
        prefills: Steps that prefill it.
        decodes: Steps that decode it.
        context: Sum of its contexts over those, in tokens.
        held: Sum of the tokens that it has in the cache over all its steps.
        computed: Tokens that are computed.
        prefill_s: What its prompt adds to its steps, in seconds.
    """

    prefills: float
    decodes: float
    context: float
    held: float
    computed: float
    prefill_s: float


def engine_time_s(engine: EngineConfig, sample: RequestSample) -> float:
    """Return how long a request takes an engine at full load, in seconds.

    Requests that never fit into the engine are left out; it is infinite where none fits.
    """
    sample = fitting(engine, sample)
    if not len(sample.details):
        return math.inf
    if _shares_prompts(engine, sample):
        return served_time_s(engine, sample)
    needs = _needs(engine, sample)
    limits = _limits(engine, needs)
    if limits["cache"] >= max(limits.values()):
        return served_time_s(engine, sample)
    return _formula_s(engine.steps, needs, 1.0 / max(limits.values()))


def formula_time_s(engine: EngineConfig, sample: RequestSample) -> float:
    """Return that time by the formula alone, in seconds, as if there were no preemption."""
    needs = _needs(engine, sample)
    return _formula_s(engine.steps, needs, 1.0 / max(_limits(engine, needs).values()))


def served_time_s(engine: EngineConfig, sample: RequestSample) -> float:
    """Return the time per request of an engine for which all requests of the sample wait.

    It ends before the last of them where batches of the requests have shown it well enough.
    """
    running = Engine(engine)
    for sequence in _sequences(fitting(engine, sample)):
        running.submit(sequence, 0.0)
    steady = _Steady(running.waiting + running.running)
    while running.next_change_s() < math.inf and not steady.known:
        steady.note(running.advance(running.next_change_s()), running.running)
    return steady.time_s


class _Steady:
    """Tells the time per request from the times at which they end.

    What comes before the batch has been exchanged a few times, and after all have been admitted, is
    left out.

    Args:
        requests: Number of requests.
    """

    def __init__(self, requests: int) -> None:
        self._ends_s = [0.0]
        self._most = math.floor(_STEADY[1] * requests)
        self._first = math.floor(_STEADY[0] * requests)
        self._batch = 0
        self.known = False

    def note(self, ended: list[Sequence], running: int) -> None:
        """Note the requests that end, and how many go on running."""
        if not ended:
            return
        before = len(self._ends_s) // _BATCH
        self._ends_s += [each.finished_s for each in ended]
        self._batch = max(self._batch, running + len(ended))
        self.known = len(self._ends_s) > self._most or (
            len(self._ends_s) // _BATCH > before and self._is_known()
        )

    def _is_known(self) -> bool:
        """Return whether the mean of batches is known to a small part of itself."""
        ends_s = np.array(self._ends_s[self._exchanged :: _BATCH])
        if len(ends_s) <= _BATCHES:
            return False
        spans_s = np.diff(ends_s)
        error_s = float(spans_s.std(ddof=1)) / math.sqrt(len(spans_s))
        return error_s <= _ERROR * float(spans_s.mean())

    @property
    def _exchanged(self) -> int:
        return min(_EXCHANGES * self._batch, self._first)

    @property
    def time_s(self) -> float:
        """Time per request in seconds; infinite where none ended."""
        ends_s = self._ends_s
        if len(ends_s) == 1:
            return math.inf
        first, last = self._exchanged, min(len(ends_s) - 1, max(self._most, 1))
        if last <= first or ends_s[last] == ends_s[first]:
            first, last = 0, len(ends_s) - 1
        return (ends_s[last] - ends_s[first]) / (last - first)


def fitting(engine: EngineConfig, sample: RequestSample) -> RequestSample:
    """Return the requests of a sample that the engine can serve at all."""
    limits = Engine(engine)
    fits = [
        row
        for row, each in enumerate(_sequences(sample))
        if limits.why_never(each.prompt_tokens, each.output_tokens) is None
    ]
    if len(fits) == len(sample.details):
        return sample
    return RequestSample(
        prompt_tokens=sample.prompt_tokens[fits],
        output_tokens=sample.output_tokens[fits],
        details=[sample.details[row] for row in fits],
    )


def _sequences(sample: RequestSample) -> list[Sequence]:
    rows = zip(sample.prompt_tokens, sample.output_tokens, sample.details, strict=True)
    return [
        Sequence(
            max(int(prompt), 1),
            int(output),
            details.with_answer(int(prompt)),
            details.block_tokens,
        )
        if isinstance(details, Prompt)
        else Sequence(max(int(prompt), 1), int(output))
        for prompt, output, details in rows
    ]


def _shares_prompts(engine: EngineConfig, sample: RequestSample) -> bool:
    return engine.prefix_cache and any(
        isinstance(each, Prompt) and each.block_tokens % engine.block_tokens == 0
        for each in sample.details
    )


def _needs(engine: EngineConfig, sample: RequestSample) -> _Needs:
    prompts = np.maximum(sample.prompt_tokens, 1.0)
    decodes = np.maximum(sample.output_tokens, 1.0) - 1.0
    prefills = np.ceil(prompts / engine.token_budget)
    contexts = decodes * prompts + 0.5 * decodes * (decodes + 1.0)
    unfilled = 0.5 * (engine.block_tokens - 1) * (prefills + decodes)
    return _Needs(
        prefills=float(np.mean(prefills)),
        decodes=float(np.mean(decodes)),
        context=float(np.mean(contexts)),
        held=float(np.mean(prefills * prompts + contexts + unfilled)),
        computed=float(np.mean(prompts + decodes)),
        prefill_s=float(np.mean([engine.steps.prefill_s(int(n), 0) for n in prompts])),
    )


def _limits(engine: EngineConfig, needs: _Needs) -> dict[str, float]:
    """Return how many steps' worth of each thing that is limited a request takes."""
    return {
        "batch": (needs.prefills + needs.decodes) / engine.max_batch,
        "cache": needs.held / engine.kv_capacity_tokens,
        "budget": needs.computed / engine.token_budget,
    }


def _formula_s(steps: StepTimes, needs: _Needs, per_step: float) -> float:
    """Return the engine's time per request in seconds where *per_step* are admitted per step."""
    batch = round(per_step * needs.decodes)
    context = round(per_step * needs.context)
    prefills = per_step * needs.prefills
    prefill_s = per_step * needs.prefill_s
    mixed = 1.0 - math.exp(-prefills) if batch else 1.0
    prompts = max(round(prefills / mixed), 1)
    step_s = mixed * steps.step_s(prefill_s / mixed, prompts, batch, context)
    if mixed < 1.0:
        step_s += (1.0 - mixed) * steps.step_s(0.0, 0, batch, context)
    return step_s / per_step
