"""The engine against queueing theory: sharing, one at a time, saturation, and Little's law."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fedsim.studies.queueing import lindley
from fedsim.world.engine.config import EngineConfig
from fedsim.world.engine.engine import Engine, Sequence
from fedsim.world.engine.steps import Coefficients
from tests.chosen import others_slow
from tests.engine_cases import A100_8B
from tests.theory.replications import Z_MOST, estimate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Lengths = Callable[[np.random.Generator, int], Floats]

TOKEN_S = 1e-5
SHARING = EngineConfig(
    Coefficients(p0_s=0.0, p1_s=0.0, p2_s=0.0, d0_s=0.0, d1_s=TOKEN_S, d2_s=0.0),
    kv_capacity_tokens=10**12,
    max_batch=10**6,
    token_budget=10**7,
)
"""A step takes 10 µs for each sequence that it decodes, and nothing else costs time."""

MEAN_TOKENS = 100_000
"""A service takes 1 s.

Who arrives waits for the end of the step in flight and then, being prefilled for free, for the end
of one more, in which it is not served. At the loads below some two sequences run when it comes, so
that this adds about 3 × 10 µs to a response of 2 to 3 s: a tenth at most of the half-widths below.
"""


def constant(_: np.random.Generator, size: int) -> Floats:
    """Return lengths that do not vary, with mean 1."""
    return np.ones(size)


def exponential(draw: np.random.Generator, size: int) -> Floats:
    """Return lengths with a coefficient of variation of 1, with mean 1."""
    return draw.exponential(size=size)


def hyperexponential(draw: np.random.Generator, size: int) -> Floats:
    """Return lengths of mean 1 and squared coefficient of variation 3, with balanced means."""
    often = 0.5 * (1.0 + math.sqrt(0.5))
    means = np.where(draw.random(size) < often, 0.5 / often, 0.5 / (1.0 - often))
    return draw.exponential(size=size) * means


SECOND_MOMENTS: dict[Lengths, float] = {constant: 1.0, exponential: 2.0, hyperexponential: 4.0}
"""Means of the squared lengths."""


def serve(
    config: EngineConfig, arrived_s: Floats, prompts: Ints, outputs: Ints
) -> tuple[list[Sequence], float]:
    """Serve requests; return them, and the time integral of the running ones in seconds."""
    engine = Engine(config)
    sequences = [Sequence(*each) for each in zip(prompts.tolist(), outputs.tolist(), strict=True)]
    area_s = now_s = 0.0
    for time_s, sequence in zip([*arrived_s.tolist(), math.inf], [*sequences, None], strict=True):
        while (change_s := engine.next_change_s()) <= time_s and change_s < math.inf:
            area_s += engine.running * (change_s - now_s)
            now_s = change_s
            engine.advance(change_s)
        if sequence is not None:
            area_s += engine.running * (time_s - now_s)
            now_s = time_s
            engine.submit(sequence, time_s)
    return sequences, area_s


@dataclass(frozen=True)
class Sample:
    """What one replication has seen after its warm-up, and two controls of mean 0.

    Attributes:
        responses_s: Response times in seconds.
        services_s: Service times in seconds.
        controls: By how much the mean service, and the mean of the work that an arrival finds, are
            more than in theory. That work does not depend on the order of service, so that it is
            Lindley's wait, whose mean is that of Pollaczek and Khinchine.
    """

    responses_s: Floats
    services_s: Floats
    controls: tuple[float, float]


def replicate(config: EngineConfig, lengths: Lengths, load: float, seed: int) -> Sample:
    """Serve Poisson arrivals whose services take 1 s on an engine of their own, in the mean.

    Those count that neither come while the engine still forgets that it was empty, nor so late that
    they are served when nobody comes any more.
    """
    counted, size = slice(400, 3_300), 3_500
    draw = np.random.default_rng(seed)
    arrived_s = np.cumsum(draw.exponential(1.0 / load, size=size))
    decoded = np.rint(MEAN_TOKENS * lengths(draw, size)).astype(np.int64)
    sequences, _ = serve(config, arrived_s, np.ones_like(decoded), decoded + 1)
    finished_s = np.array([sequence.finished_s for sequence in sequences])
    services_s = TOKEN_S * decoded.astype(np.float64)
    work_s = lindley(zip(arrived_s.tolist(), services_s.tolist(), strict=True))
    mean_work_s = load * SECOND_MOMENTS[lengths] / (2.0 * (1.0 - load))
    return Sample(
        (finished_s - arrived_s)[counted],
        services_s[counted],
        (float(services_s[counted].mean()) - 1.0, float(work_s[counted].mean()) - mean_work_s),
    )


class TestSharing:
    """An engine whose steps take time in proportion to the batch is M/G/1 processor sharing.

    L. Kleinrock, Queueing Systems, volume 2, 1976, section 4.4: a request of length x takes
    x / (1 - load) in the mean, whatever the distribution of the lengths.
    """

    @pytest.mark.parametrize(
        ("lengths", "load"),
        others_slow(
            [(constant, 0.7), (exponential, 0.7), (hyperexponential, 0.7), (hyperexponential, 0.5)],
            [(hyperexponential, 0.7)],
        ),
    )
    def test_mean_response_does_not_depend_on_the_distribution(self, lengths, load):
        """Measured to within 2 % of the theory, and for equal lengths to within 0.1 %."""
        samples = [replicate(SHARING, lengths, load, seed) for seed in range(24)]
        means_s = [float(sample.responses_s.mean()) for sample in samples]
        controls = [sample.controls for sample in samples]

        measured = estimate(means_s, controls)

        for control in zip(*controls, strict=True):
            assert np.ptp(control) < 1e-9 or abs(estimate(control).z(0.0)) < Z_MOST

        expected_s = 1.0 / (1.0 - load)
        assert abs(measured.z(expected_s)) < Z_MOST
        assert measured.half_width < (0.001 if lengths is constant else 0.02) * expected_s

    def test_long_requests_are_slowed_down_as_much_as_short_ones(self):
        """The response over the length is 1 / (1 - load) for all lengths."""
        load, slowdown = 0.6, 2.5
        samples = [replicate(SHARING, hyperexponential, load, seed) for seed in range(100, 124)]
        for least_s, most_s in [(0.1, 0.5), (0.5, 1.5), (1.5, math.inf)]:
            means: list[float] = []
            for sample in samples:
                services_s = sample.services_s
                chosen = (services_s > least_s) & (services_s <= most_s)
                means.append(float((sample.responses_s / services_s)[chosen].mean()))
            measured = estimate(means, [sample.controls for sample in samples])

            assert abs(measured.z(slowdown)) < Z_MOST
            assert measured.half_width < 0.03 * slowdown


class TestOneAtATime:
    def test_is_a_queue_first_come_first_served(self):
        """With a batch of one, every wait is that of Lindley's recursion."""
        draw = np.random.default_rng(5)
        count = 2_000
        prompts = draw.integers(1, 3_000, size=count)
        outputs = draw.integers(1, 300, size=count)
        c = A100_8B
        services_s = (
            c.p0_s
            + c.p1_s * prompts
            + c.p2_s * prompts**2 / 2
            + (outputs - 1) * (c.d0_s + c.d1_s + c.d2_s * prompts)
            + c.d2_s * outputs * (outputs - 1) / 2
        )
        arrived_s = np.cumsum(draw.exponential(services_s.mean() / 0.8, size=count))
        config = EngineConfig(c, kv_capacity_tokens=10_000, max_batch=1)

        sequences, _ = serve(config, arrived_s, prompts, outputs)

        waits_s = np.array([sequence.begun_s for sequence in sequences]) - arrived_s
        expected_s = lindley(zip(arrived_s.tolist(), services_s.tolist(), strict=True))
        assert (expected_s > 0.0).mean() > 0.6
        assert waits_s == pytest.approx(expected_s, rel=1e-9, abs=1e-9)


class TestSaturation:
    def test_a_full_batch_makes_its_tokens_at_the_rate_of_a_step(self):
        """B / (d0 + d1·B + d2·Σctx) tokens a second, for a step with a full batch."""
        batch, prompt = 64, 500
        engine = Engine(EngineConfig(A100_8B, 10**6, max_batch=batch, token_budget=10**5))
        sequences = [Sequence(prompt, 10_000) for _ in range(batch + 10)]
        for sequence in sequences:
            engine.submit(sequence, 0.0)
        engine.advance(engine.next_change_s())

        for token in (2, 100, 5_000):
            step_s = engine.token_s(sequences[0], token) - engine.token_s(sequences[0], token - 1)
            context = batch * (prompt + token - 1)
            planned_s = A100_8B.d0_s + A100_8B.d1_s * batch + A100_8B.d2_s * context
            assert batch / step_s == pytest.approx(batch / planned_s, rel=1e-9)

    def test_throughput_under_endless_load_is_that_of_the_mean_step(self):
        """With free prefill and outputs of mean m, a place decodes in m - 1 of m steps.

        By the theorem of renewal and reward a step decodes B·(m - 1)/m sequences in the mean, whose
        contexts add up to B·E[(m - 1)·n + m·(m - 1)/2]/m, and it makes B tokens.
        """
        batch, prompt, mean = 32, 800, 120.0
        c = replace(A100_8B, p0_s=0.0, p1_s=0.0, p2_s=0.0)
        config = EngineConfig(c, 10**7, max_batch=batch, token_budget=10**6)
        rates = []
        for seed in range(20):
            draw = np.random.default_rng(seed)
            outputs = draw.geometric(1.0 / mean, size=3_000)
            engine = Engine(config)
            for output in outputs.tolist():
                engine.submit(Sequence(prompt, output), 0.0)
            began: tuple[float, int] | None = None
            while engine.waiting:
                now_s = engine.next_change_s()
                engine.advance(now_s)
                if began is None and engine.waiting < 2_700:
                    began = now_s, engine.tokens_out
            assert began is not None
            rates.append((engine.tokens_out - began[1]) / (now_s - began[0]))
        decoding = batch * (mean - 1.0) / mean
        pairs = (2.0 * mean**2 - 2.0 * mean) / 2.0  # E[m·(m - 1)/2], geometric
        context = batch * ((mean - 1.0) * prompt + pairs) / mean
        expected = batch / (c.d0_s + c.d1_s * decoding + c.d2_s * context)

        measured = estimate(rates)

        assert abs(measured.z(expected)) < Z_MOST
        assert measured.half_width < 0.005 * expected


def test_littles_law_holds_inside_the_batch():
    """Mean number running = rate of admissions × mean time from the first admission to the end."""
    draw = np.random.default_rng(11)
    count = 3_000
    arrived_s = np.cumsum(draw.exponential(0.25, size=count))
    prompts, outputs = draw.integers(1, 2_000, count), draw.integers(1, 400, count)

    sequences, area_s = serve(EngineConfig(A100_8B, 455_000), arrived_s, prompts, outputs)

    stays_s = [sequence.finished_s - sequence.begun_s for sequence in sequences]
    assert math.fsum(stays_s) == pytest.approx(area_s, rel=1e-9)
    assert area_s / arrived_s[-1] > 5.0
