"""The fast engine against the naive one, and laws that hold for any work that it is given."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsim.world.engine.config import EngineConfig
from fedsim.world.engine.engine import Engine
from fedsim.world.engine.sequence import Sequence
from fedsim.world.engine.steps import Coefficients
from tests.reference_engine import Item, ReferenceEngine

STEPS = Coefficients(
    p0_s=8e-3, p1_s=5.5e-5, p2_s=3e-9, d0_s=1.1e-2, d1_s=3.2e-5, d2_s=8e-8, floor_s=1.2e-2
)


@dataclass
class Case:
    """Settings, and what happens: ``(time_s, action, item or factor)``."""

    config: EngineConfig
    actions: list[tuple[float, str, object]]

    @property
    def items(self):
        return [subject for _, action, subject in self.actions if action == "submit"]


def random_case(seed):
    """Return a case of a kind that depends on *seed*: roomy, tight, chunked, shared, aborted."""
    rng = random.Random(seed)
    block = rng.choice([1, 4, 16])
    longest = rng.choice([30, 120, 400])
    tight = rng.random() < 0.6
    capacity = (2 if tight else 40) * (2 * longest + block)
    max_batch = rng.choice([1, 3, 8, 32])
    chunked = rng.random() < 0.7
    budget = max(max_batch, rng.choice([8, 40, 200]) if chunked else 2 * longest)
    steps = Coefficients(
        p0_s=rng.uniform(0, 1e-2),
        p1_s=rng.uniform(0, 1e-4),
        p2_s=rng.uniform(0, 1e-7),
        d0_s=rng.uniform(1e-4, 1e-2),
        d1_s=rng.uniform(0, 1e-4),
        d2_s=rng.choice([0.0, 1e-7, 1e-5]),
        floor_s=rng.choice([0.0, 5e-3]),
        dw_s=rng.choice([0.0, 1e-3]),
        step_overhead_s=rng.choice([0.0, 2e-3]),
    )
    config = EngineConfig(
        steps,
        kv_capacity_tokens=capacity,
        max_batch=max_batch,
        token_budget=budget,
        chunked_prefill=chunked,
        block_tokens=block,
        prefix_cache=rng.random() < 0.8,
        order=rng.choice(["fcfs", "priority"]),
    )
    return Case(config, random_actions(rng, longest, block))


def random_actions(rng, longest, block):
    actions = []
    time_s = 0.0
    gap_s = rng.choice([1e-3, 2e-2, 0.2])
    shares = rng.random() < 0.7
    hash_tokens = block * rng.choice([1, 2, 4])
    for number in range(1, rng.choice([5, 20, 40])):
        time_s += rng.expovariate(1.0 / gap_s)
        item = Item(number, rng.randint(1, longest), rng.randint(1, longest))
        item.priority = rng.randint(0, 2)
        if shares:
            common = rng.randint(0, item.prompt // hash_tokens + 1)
            family = rng.randint(0, 2)
            count = math.ceil(item.prompt / hash_tokens)
            item.hashes = tuple(
                10_000 * family + place if place < common else 1_000_000 * number + place
                for place in range(count)
            )
            item.hash_tokens = hash_tokens
        actions.append((time_s, "submit", item))
        if rng.random() < 0.15:
            actions.append((time_s + rng.expovariate(2.0 / gap_s), "abort", item))
        if rng.random() < 0.05:
            actions.append((time_s + rng.expovariate(2.0 / gap_s), "factor", rng.uniform(0.5, 4)))
    return sorted(actions, key=lambda action: action[0])


def run_fast(case):
    """Return the sequences by item, in the order in which they finished, and the engine."""
    engine = Engine(case.config)
    made: dict[Item, Sequence] = {}
    finished = []
    actions = list(case.actions)
    while actions or math.isfinite(engine.next_change_s()):
        if actions and actions[0][0] < engine.next_change_s():
            time_s, action, subject = actions.pop(0)
            if action == "submit":
                sequence = Sequence(
                    subject.prompt,
                    subject.output,
                    subject.hashes,
                    subject.hash_tokens,
                    subject.priority,
                    subject,
                )
                made[subject] = sequence
                engine.watch(sequence)
                engine.submit(sequence, time_s)
            elif action == "factor":
                engine.set_factor(subject, time_s)
            else:
                engine.abort(made[subject], time_s)
        else:
            finished += engine.advance(engine.next_change_s())
    return made, finished, engine


def assert_equal(case):
    reference = ReferenceEngine(case.config)
    expected = reference.run(case.actions)
    made, finished, engine = run_fast(case)

    assert [sequence.owner for sequence in finished] == expected
    for item, sequence in made.items():
        assert sequence.begun_s == pytest.approx(item.begun_s, rel=1e-9, nan_ok=True)
        assert (sequence.cached_tokens, sequence.preemptions) == (item.cached, item.preemptions)
        if item in expected:
            times_s = item.token_times_s
            assert sequence.first_token_s == pytest.approx(times_s[0], rel=1e-9)
            assert sequence.finished_s == pytest.approx(times_s[-1], rel=1e-9)
            watched = [engine.token_s(sequence, n + 1) for n in range(len(times_s))]
            assert watched == pytest.approx(times_s, rel=1e-9)
    assert (engine.running, engine.waiting, engine.snapshot(math.inf).kv_used_tokens) == (0, 0, 0)
    return expected


@pytest.mark.parametrize("start", range(0, 600, 60))
def test_equals_the_naive_engine(start):
    """Order, times of every token, hits and preemptions are the same in sixty random cases."""
    for seed in range(start, start + 60):
        assert_equal(random_case(seed))
