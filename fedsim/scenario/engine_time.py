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
from numpy.typing import NDArray

from fedsim.scenario.request_samples import RequestSample
from fedsim.workload.details import Prompt
from fedsim.world.engine.config import EngineConfig
from fedsim.world.engine.engine import Engine, Sequence
from fedsim.world.engine.steps import StepTimes

_STEADY = (0.3, 0.7)
"""Which of the requests that an engine serves, by their shares, count as those at full load."""

_EXCHANGES = 5
"""How often the batch is exchanged before requests count, at most the first of those shares."""

_BATCH, _BATCHES, _ERROR = 100, 8, 0.01
"""The speed is known where so many batches of requests give it with so small a standard error."""

_PART = 4
"""One of so many sessions gives a first idea of the time."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Needs:
    """What requests need of an engine, in arrays of equal length.

    Attributes:
        prefills: Steps that prefill it.
        decodes: Steps that decode it.
        context: Sum of its contexts over those, in tokens.
        held: Sum of the tokens that it has in the cache over all its steps.
        computed: Tokens that are computed.
        prefill_s: What its prompt adds to its steps, in seconds.
    """

    prefills: Floats
    decodes: Floats
    context: Floats
    held: Floats
    computed: Floats
    prefill_s: Floats


def engine_time_s(engine: EngineConfig, sample: RequestSample) -> float:
    """Return how long a request takes an engine at full load, in seconds.

    Requests that never fit into the engine are left out; it is infinite where none fits.
    """
    sample = fitting(engine, sample)
    if not len(sample.details):
        return math.inf
    if _shares_prompts(engine, sample):
        if sample.session is None:
            return served_time_s(engine, sample)
        return _conversing_time_s(engine, sample)
    limits = _limits(engine, _needs(engine, sample))
    if max(limits, key=lambda each: float(np.mean(limits[each]))) == "cache":
        return served_time_s(engine, sample)
    return formula_time_s(engine, sample)


def _conversing_time_s(engine: EngineConfig, sample: RequestSample) -> float:
    """Return the time per turn where sessions take turns, as many as full load brings together.

    Whether a prompt is still in the cache depends on how many others come while its user thinks,
    and so on that time itself, of which a part of the sessions gives a first idea.
    """
    assert sample.session is not None
    part = sample.taken(np.flatnonzero(sample.session % _PART == 0.0))
    time_s = served_time_s(engine, in_turn(part, formula_time_s(engine, part)))
    return served_time_s(engine, in_turn(sample, time_s))


def in_turn(sample: RequestSample, time_s: float) -> RequestSample:
    """Return the turns of sessions in the order in which they come, one every *time_s* seconds.

    Sessions begin at equal distances, and what comes after the end comes at the beginning.
    """
    assert sample.session is not None
    assert sample.after_s is not None
    begun = (sample.session - sample.session[0]) / (np.ptp(sample.session) + 1.0)
    places = np.mod(begun + sample.after_s / (len(begun) * time_s), 1.0)
    return sample.taken(np.argsort(places, kind="stable"))


def formula_time_s(engine: EngineConfig, sample: RequestSample) -> float:
    """Return that time by the formula alone, in seconds, as if there were no preemption."""
    needs = _needs(engine, sample)
    most = max(float(np.mean(each)) for each in _limits(engine, needs).values())
    return _formula_s(engine.steps, needs, 1.0 / most)


def served_time_s(engine: EngineConfig, sample: RequestSample) -> float:
    """Return the time per request of an engine for which all requests of the sample wait.

    What is counted is how fast it gets through what they need of the thing that is limited, which
    takes fewer requests than their sizes do; it ends before the last of them where that is known.
    """
    sample = fitting(engine, sample)
    if not len(sample.details):
        return math.inf
    limits = _limits(engine, _needs(engine, sample))
    weights = max(limits.values(), key=lambda each: float(np.mean(each)))
    running = Engine(engine)
    for sequence, weight in zip(sequences(sample), weights.tolist(), strict=True):
        sequence.owner = weight
        running.submit(sequence, 0.0)
    speed = _Speed(len(weights))
    while running.next_change_s() < math.inf and not speed.known:
        speed.note(running.advance(running.next_change_s()), running.running)
    return speed.time_s * float(np.mean(weights))


class _Speed:
    """Estimates how fast an engine is from the weights of requests and the times at which they end.

    What comes before the batch has been exchanged a few times, and after all have been admitted, is
    left out.

    Args:
        requests: Number of requests.
    """

    def __init__(self, requests: int) -> None:
        self._ends_s = [0.0]
        self._weights = [0.0]
        self._first, self._most = (math.floor(share * requests) for share in _STEADY)
        self._batch = 0
        self.known = False

    def note(self, ended: list[Sequence], running: int) -> None:
        """Note the requests that end, and how many go on running."""
        before = len(self._ends_s)
        self._ends_s += [each.finished_s for each in ended]
        self._weights += [each.owner for each in ended]  # type: ignore[misc]
        self._batch = max(self._batch, running + len(ended))
        if len(self._ends_s) - 1 > self._most:
            self.known = True
        elif len(self._ends_s) // _BATCH > before // _BATCH:
            self.known = self._is_known()

    @property
    def _exchanged(self) -> int:
        return min(_EXCHANGES * self._batch, self._first)

    def _is_known(self) -> bool:
        """Return whether batches of requests give the speed to a small part of itself."""
        first = self._exchanged
        spans_s = np.diff(self._ends_s[first::_BATCH])
        if len(spans_s) < _BATCHES:
            return False
        weights = np.diff(np.cumsum(self._weights)[first::_BATCH])
        residuals = spans_s - weights * (spans_s.sum() / weights.sum())
        error = float(residuals.std(ddof=1)) * math.sqrt(len(spans_s)) / float(spans_s.sum())
        return error <= _ERROR

    @property
    def time_s(self) -> float:
        """Time per weight in seconds."""
        ends_s, last = self._ends_s, min(len(self._ends_s) - 1, max(self._most, 1))
        first = self._exchanged
        if last <= first or ends_s[last] == ends_s[first]:
            first, last = 0, len(ends_s) - 1
        return (ends_s[last] - ends_s[first]) / sum(self._weights[first + 1 : last + 1])


def fitting(engine: EngineConfig, sample: RequestSample) -> RequestSample:
    """Return the requests of a sample that the engine can serve at all."""
    limits = Engine(engine)
    fits = [
        row
        for row, each in enumerate(sequences(sample))
        if limits.why_never(each.prompt_tokens, each.output_tokens) is None
    ]
    if len(fits) == len(sample.details):
        return sample
    return sample.taken(np.array(fits, dtype=np.int64))


def sequences(sample: RequestSample) -> list[Sequence]:
    """Return the requests of a sample as an engine takes them."""
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
        prefills=prefills,
        decodes=decodes,
        context=contexts,
        held=prefills * prompts + contexts + unfilled,
        computed=prompts + decodes,
        prefill_s=np.array([engine.steps.prefill_s(int(n), 0) for n in prompts]),
    )


def _limits(engine: EngineConfig, needs: _Needs) -> dict[str, Floats]:
    """Return how many steps' worth of each thing that is limited each request takes."""
    return {
        "batch": (needs.prefills + needs.decodes) / engine.max_batch,
        "cache": needs.held / engine.kv_capacity_tokens,
        "budget": needs.computed / engine.token_budget,
    }


def _formula_s(steps: StepTimes, needs: _Needs, per_step: float) -> float:
    """Return the engine's time per request in seconds where *per_step* are admitted per step."""
    batch = round(per_step * float(np.mean(needs.decodes)))
    context = round(per_step * float(np.mean(needs.context)))
    prefills = per_step * float(np.mean(needs.prefills))
    prefill_s = per_step * float(np.mean(needs.prefill_s))
    mixed = 1.0 - math.exp(-prefills) if batch else 1.0
    prompts = max(round(prefills / mixed), 1)
    step_s = mixed * steps.step_s(prefill_s / mixed, prompts, batch, context)
    if mixed < 1.0:
        step_s += (1.0 - mixed) * steps.step_s(0.0, 0, batch, context)
    return step_s / per_step
