"""What a request costs in an engine alone, whatever its length: ``python -m benchmarks.engine``.

Requests arrive as a Poisson process at the rate that holds the batch at about a given size. Where
answers are short, several requests join in one step, and share what it costs.
"""

from __future__ import annotations

import gc
import sys
import time
from dataclasses import dataclass
from random import Random
from statistics import median

from benchmarks.run import describe_machine
from benchmarks.tables import Table
from fedsim.world.engine.config import EngineConfig
from fedsim.world.engine.engine import Engine, Sequence
from fedsim.world.engine.steps import Coefficients

STEPS = Coefficients(
    p0_s=8.03e-3, p1_s=54.5e-6, p2_s=2.97e-9, d0_s=11.6e-3, d1_s=32.2e-6, d2_s=80e-9
)
"""Llama 3.1 8B on an A100, as composed by aiconfigurator 0.12 from measured operators."""

PROMPT = 256
BLOCK = 16


@dataclass(frozen=True, slots=True)
class Load:
    """A load of equal requests.

    Attributes:
        batch: Sequences that run at once, about.
        output: Output tokens of each request.
        cached: Whether prompts come with the hashes of their blocks.
        kv_capacity: Tokens that the KV cache holds.
    """

    batch: int
    output: int
    cached: bool = False
    kv_capacity: int = 455_000

    @property
    def rate_rps(self) -> float:
        """Requests per second that keep the batch at its size, by Little's law."""
        context = self.batch * (PROMPT + self.output / 2)
        step_s = STEPS.step_s(0.0, 0, self.batch, round(context))
        return self.batch / (self.output * step_s + self.batch * STEPS.prefill_s(PROMPT, 0))


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request cost: processor time, changes of the batch, and preemptions."""

    cpu_us: float
    changes: float
    preemptions: float


def measure(load: Load, requests: int) -> Cost:
    """Serve *requests* and return the mean cost of one."""
    draw = Random(7)
    gaps_s = [draw.expovariate(load.rate_rps) for _ in range(requests)]
    blocks = [_blocks(draw) if load.cached else () for _ in range(requests)]
    engine = Engine(EngineConfig(STEPS, load.kv_capacity))
    sequences = [Sequence(PROMPT, load.output, each, BLOCK) for each in blocks]
    now_s, changes = 0.0, 0
    gc.collect()
    began_s = time.process_time()
    for gap_s, sequence in zip(gaps_s, sequences, strict=True):
        now_s += gap_s
        while engine.next_change_s() <= now_s:
            engine.advance(engine.next_change_s())
            changes += 1
        engine.submit(sequence, now_s)
    cpu_s = time.process_time() - began_s
    preemptions = sum(sequence.preemptions for sequence in sequences)
    return Cost(1e6 * cpu_s / requests, changes / requests, preemptions / requests)


def _blocks(draw: Random) -> tuple[int, ...]:
    """Return the hashes of a prompt that begins as one in fifty others does."""
    family, own = draw.randrange(50), draw.randrange(2**40)
    count = PROMPT // BLOCK
    return tuple(100 * (family if i < count // 2 else own) + i for i in range(count))


def main() -> int:
    """Measure, and print a table."""
    loads = [Load(batch, output) for batch in (3, 10, 30) for output in (10, 100, 1_000)]
    loads += [Load(10, 100, cached=True), Load(30, 100, kv_capacity=10_000)]
    rows = []
    for load in loads:
        costs = [measure(load, 5_000) for _ in range(5)]
        words = " with prefixes" if load.cached else ""
        words += " short of cache" if costs[0].preemptions else ""
        rows.append(
            [
                f"{load.output} tokens, batch of {load.batch}{words}",
                f"{median(cost.cpu_us for cost in costs):.1f}",
                f"{costs[0].changes:.2f}",
                f"{costs[0].preemptions:.2f}",
            ]
        )
    columns = ["load", "µs a request", "changes", "preemptions"]
    print(f"{describe_machine()}\n")
    print(Table("What a request costs in an engine", columns, rows).text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
