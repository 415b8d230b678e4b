"""Cases for an engine: settings and what happens, and both engines driven through them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random
from typing import Literal

import pytest

from fedsim.world.engine.config import EngineConfig
from fedsim.world.engine.engine import Engine, Sequence
from fedsim.world.engine.measured import MeasuredSteps
from fedsim.world.engine.steps import Coefficients, StepTimes
from tests.reference_engine import ReferenceEngine, Request

A100_8B = Coefficients(
    p0_s=8.03e-3, p1_s=54.53e-6, p2_s=2.97e-9, d0_s=11.6e-3, d1_s=32.2e-6, d2_s=80e-9
)
"""Llama 3.1 8B on an A100, as composed by aiconfigurator 0.12."""

SMALL_TABLE = MeasuredSteps(
    prefill=(
        (16, 0, 0.011),
        (128, 0, 0.014),
        (1024, 0, 0.06),
        (16, 512, 0.012),
        (128, 512, 0.017),
        (1024, 512, 0.09),
    ),
    decode=(
        (1, 16, 0.004),
        (1, 128, 0.005),
        (1, 1024, 0.0055),
        (4, 16, 0.006),
        (4, 128, 0.0061),
        (4, 1024, 0.009),
        (16, 16, 0.011),
        (16, 128, 0.0108),
        (16, 1024, 0.03),
    ),
    step_overhead_s=0.001,
)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens to an engine.

    Attributes:
        at_s: When, in seconds.
        kind: What.
        request: The number of the request that is submitted or aborted.
        factor: The new factor.
    """

    at_s: float
    kind: Literal["submit", "abort", "factor", "clear"]
    request: int = -1
    factor: float = 1.0


@dataclass(slots=True)
class Case:
    """Settings, requests, and events in order of time."""

    config: EngineConfig
    requests: list[Request]
    events: list[Event] = field(default_factory=list)


def random_case(seed: int) -> Case:
    """Return a case in which nearly everything may happen."""
    draw = Random(seed)
    config = _config(draw)
    requests, families = [], draw.randrange(1, 5)
    units = [_unit(draw, config) for _ in range(draw.choice((1, 1, 2, 3)))]
    share = draw.choice((0.0, 0.0, 0.7, 1.0))
    longest = config.kv_capacity_tokens // config.block_tokens * config.block_tokens
    pressure = draw.choice((0.15, 0.5, 1.0))
    for number in range(draw.randrange(1, 40)):
        prompt = max(1, round(longest * pressure * draw.random() ** 2 * 0.7))
        if not config.chunked_prefill:
            prompt = min(prompt, config.token_budget)
        output = draw.choice((0, 1, 2, draw.randrange(1, 12), draw.randrange(1, 120)))
        output = min(output, longest - prompt + 1)
        hashed = prompt + draw.choice((0, 0, draw.randrange(200)))
        unit = draw.choice(units)
        blocks = _blocks(draw, hashed, unit, families) if draw.random() < share else ()
        block_tokens = unit if blocks else 0
        request = Request(number, prompt, output, blocks, block_tokens, draw.randrange(3))
        requests.append(request)
    return Case(config, requests, _events(draw, requests))


def _unit(draw: Random, config: EngineConfig) -> int:
    """Return the tokens of a stream's blocks, mostly a multiple of those of the engine's."""
    return config.block_tokens * draw.choice((1, 1, 2, 3, 8)) + (draw.random() < 0.1)


def _config(draw: Random) -> EngineConfig:
    steps: StepTimes = draw.choice((A100_8B, SMALL_TABLE, _coefficients(draw)))
    max_batch = draw.choice((1, 2, 4, 16, 64))
    block_tokens = draw.choice((1, 4, 16))
    return EngineConfig(
        steps,
        kv_capacity_tokens=draw.choice((50, 200, 1000)) + draw.randrange(100),
        max_batch=max_batch,
        token_budget=max_batch + draw.choice((0, 3, 40, 200, 1000)),
        chunked_prefill=draw.random() < 0.7,
        block_tokens=block_tokens,
        prefix_cache=draw.random() < 0.9,
        admit=draw.choice(("whole", "whole", "chunk")),
        order=draw.choice(("fcfs", "fcfs", "priority")),
    )


def _coefficients(draw: Random) -> Coefficients:
    figures = [draw.choice((0.0, draw.random())) for _ in range(8)]
    scales = (1e-2, 1e-4, 1e-7, 1e-2, 1e-3, 1e-5, 1e-1, 1e-2)
    p0, p1, p2, d0, d1, d2, floor, dw = (a * b for a, b in zip(figures, scales, strict=True))
    return Coefficients(p0, p1, p2, d0 + 1e-3, d1, d2, floor, dw, step_overhead_s=1e-3)


def _blocks(draw: Random, tokens: int, unit: int, families: int) -> tuple[int, ...]:
    """Return hashes of tokens that have their beginning in common with others."""
    family, branch = draw.randrange(families), draw.randrange(3)
    common = draw.choice((0, 2, 5, 1000))
    count = math.ceil(tokens / unit)
    own = draw.randrange(2**40)
    return tuple(
        (family * 10 + (branch if index >= 5 else 0)) * 10**6 + index
        if index < common
        else own * 10**6 + index
        for index in range(count)
    )


def _events(draw: Random, requests: list[Request]) -> list[Event]:
    gap_s = draw.choice((0.0005, 0.01, 0.1, 1.0))
    now_s, events = draw.random(), []
    for request in requests:
        now_s += draw.expovariate(1.0 / gap_s)
        events.append(Event(now_s, "submit", request.name))
        if draw.random() < 0.15:
            events.append(Event(now_s + draw.expovariate(1.0 / gap_s / 10), "abort", request.name))
    if draw.random() < 0.4:
        for _ in range(draw.randrange(5)):
            factor = draw.choice((0.5, 1.0, 3.0))
            events.append(Event(draw.uniform(0.0, now_s * 1.2), "factor", factor=factor))
    if draw.random() < 0.1:
        events.append(Event(draw.uniform(0.0, now_s * 1.2), "clear"))
    return sorted(events, key=lambda event: event.at_s)


def sequence_of(request: Request) -> Sequence:
    """Return what the fast engine needs to know of a request."""
    return Sequence(
        request.prompt_tokens,
        request.output_tokens,
        request.blocks,
        request.block_tokens,
        request.priority,
        request,
    )


class Both:
    """Both engines, driven side by side, compared before every event and at the end.

    Args:
        case: What happens.
        ties: Whether events fall on the ends of steps. The naive engine ends a step only when time
            goes on, so that the two can then be compared at the end alone.
    """

    def __init__(self, case: Case, ties: bool = False) -> None:
        self.case = case
        self.ties = ties
        self.fast = Engine(case.config)
        self.naive = ReferenceEngine(case.config)
        self.sequences = [sequence_of(request) for request in case.requests]
        self.finished: list[Sequence] = []
        self.submitted: list[int] = []

    def run(self) -> None:
        """Go through the case to its end, and compare."""
        for event in self.case.events:
            self._advance(event.at_s)
            if not self.ties:
                self._compare_now(event.at_s)
            self._happen(event)
        self._advance(math.inf)
        self._compare_requests()

    def _advance(self, until_s: float) -> None:
        fast = self.fast
        while fast.next_change_s() <= until_s and fast.next_change_s() < math.inf:
            self.finished += fast.advance(fast.next_change_s())
        if until_s < math.inf:
            self.finished += fast.advance(until_s)
        self.naive.go_before(until_s)

    def _happen(self, event: Event) -> None:
        now_s, number = event.at_s, event.request
        if event.kind == "submit":
            self.submitted.append(number)
            self.fast.submit(self.sequences[number], now_s)
            self.naive.submit(self.case.requests[number], now_s)
        elif event.kind == "abort":
            self.fast.abort(self.sequences[number], now_s)
            self.naive.abort(self.case.requests[number], now_s)
        elif event.kind == "factor":
            self.fast.set_factor(event.factor, now_s)
            self.naive.set_factor(event.factor, now_s)
        else:
            lost = [sequence.owner for sequence in self.fast.clear(now_s)]
            assert lost == self.naive.clear(now_s)

    def _compare_now(self, now_s: float) -> None:
        fast, naive = self.fast, self.naive
        assert fast.running == len(naive.running)
        assert fast.waiting == len(naive.waiting)
        assert fast.kv_used_tokens == naive.used() * self.case.config.block_tokens
        assert fast.tokens_out == naive.tokens_out
        assert fast.busy_s == pytest.approx(naive.busy_until_s(now_s), rel=1e-9, abs=1e-12)

    def _compare_requests(self) -> None:
        assert self.fast.running == self.fast.waiting == 0
        assert [sequence.owner for sequence in self.finished] == self.naive.finished
        for number in self.submitted:
            request, sequence = self.case.requests[number], self.sequences[number]
            tokens = request.token_times_s
            first_s = tokens[0] if tokens else math.nan
            assert sequence.preemptions == request.preemptions
            assert sequence.cached_tokens == request.cached_tokens
            times_s = (sequence.begun_s, sequence.first_token_s, sequence.finished_s)
            naive_s = (request.begun_s, first_s, request.finished_s)
            assert times_s == pytest.approx(naive_s, rel=1e-9, nan_ok=True)
            times = [self.fast.token_s(sequence, i + 1) for i in range(len(tokens))]
            assert times == pytest.approx(tokens, rel=1e-9)
