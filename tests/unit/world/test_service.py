from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import mean

import numpy as np
import pytest

from fedsim.workload.details import Audio, Details, Pictures
from fedsim.workload.distributions import Constant, Exponential
from fedsim.workload.mean_sizes import MeanSizes
from fedsim.world.service import (
    DistributedService,
    PictureService,
    RecognitionService,
    SynthesisService,
    TokenBatches,
    TokenService,
)


@dataclass(frozen=True)
class Size:
    """A request's size."""

    prompt_tokens: int = -1
    output_tokens: int = -1
    details: Details | None = None


SPEECH = Size(details=Audio(30.0))
ART = Size(details=Pictures(steps=20, images=4, model=3, adapters=2))
CHAT = Size(1000, 100)


@pytest.mark.parametrize(
    ("service", "size", "service_s", "first_s"),
    [
        (DistributedService(Constant(2.0)), CHAT, 2.0, math.nan),
        (TokenService(0.5, 0.001, 0.01), CHAT, 2.5, 1.51),
        (RecognitionService(60.0, 0.25), SPEECH, 0.75, math.nan),
        (SynthesisService(20.0, 0.25), SPEECH, 1.75, 0.25),
        (SynthesisService(20.0), Size(details=Audio(0.0)), 0.0, 0.0),
        (PictureService(0.05, 1.0), ART, 5.0, math.nan),
    ],
)
def test_times(service, size, service_s, first_s):
    """Without noise a request takes what its size says, and its first token comes in time."""
    assert service.service_s(0.3, size) == pytest.approx(service_s)
    assert service.first_token_s(service_s, size) == pytest.approx(first_s, nan_ok=True)
    assert service.knows_first_token == (not math.isnan(first_s))


@pytest.mark.parametrize(
    ("service", "size", "sizes"),
    [
        (DistributedService(Exponential(2.0)), CHAT, MeanSizes()),
        (TokenService(0.5, 0.001, 0.01, 0.5), CHAT, MeanSizes(1000.0, 100.0)),
        (TokenService(0.5, 0.0, 0.01, 0.5), Size(-1, 100), MeanSizes(output_tokens=100.0)),
        (RecognitionService(60.0, 0.25, 0.5), SPEECH, MeanSizes(audio_s=30.0)),
        (SynthesisService(20.0, 0.25, 0.5), SPEECH, MeanSizes(audio_s=30.0)),
        (PictureService(0.05, 1.0, 0.5), ART, MeanSizes(picture_steps=80.0)),
    ],
)
def test_noise_keeps_the_mean(service, size, sizes):
    """The mean over all luck is the stated one: a fine grid of uniforms integrates the noise."""
    grid = (np.arange(20_000) + 0.5) / 20_000

    taken_s = mean(service.service_s(float(uniform), size) for uniform in grid)

    assert taken_s == pytest.approx(service.mean_s(sizes), rel=2e-3)


def test_noise_stretches_the_first_token_too():
    """Noise is multiplicative: the first audio is late by the same factor as the last."""
    service = SynthesisService(20.0, 0.25, noise_cv=0.5)

    late_s = service.service_s(0.9, SPEECH)

    assert service.first_token_s(late_s, SPEECH) == pytest.approx(0.25 * late_s / 1.75)


class TestBatches:
    SIZES = (Size(100), Size(300), Size(600))

    def test_a_batch_takes_its_tokens(self):
        """A batch takes a base plus the tokens of all its prompts over the rate."""
        batches = TokenBatches(tokens_per_s=10_000.0, base_s=0.005)

        assert batches.batch_s([0.1, 0.5, 0.9], self.SIZES) == pytest.approx(0.105)
        assert batches.mean_s(MeanSizes(1000.0 / 3.0), 3) == pytest.approx(0.105)

    def test_noise_is_the_first_requests(self):
        """The luck of the first request decides for the whole batch."""
        batches = TokenBatches(10_000.0, 0.005, noise_cv=0.5)

        assert batches.batch_s([0.1, 0.5], self.SIZES) == batches.batch_s([0.1, 0.9], self.SIZES)
        assert batches.batch_s([0.1], self.SIZES) < batches.batch_s([0.9], self.SIZES)
