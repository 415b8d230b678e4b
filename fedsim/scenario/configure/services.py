"""Service models, from their settings."""

from __future__ import annotations

from fedsim.scenario.schema.service import (
    Batching,
    BatchService,
    PictureService,
    RecognitionService,
    Service,
    SynthesisService,
    TokenService,
)
from fedsim.world import service as models
from fedsim.world.nodes.config import BatchConfig


def service_model(service: Service | None) -> models.ServiceModel:
    """Return how long a request holds a slot, of a pool that has slots."""
    match service:
        case TokenService():
            return models.TokenService(
                base_s=service.base,
                per_prompt_token_s=service.per_prompt_token,
                per_output_token_s=service.per_output_token,
                noise_cv=service.noise_cv,
                needs_tokens=service.per_prompt_token > 0 or service.per_output_token > 0,
            )
        case RecognitionService():
            return models.RecognitionService(
                service.real_time_factor, service.base, service.noise_cv
            )
        case SynthesisService():
            return models.SynthesisService(
                service.real_time_factor, service.first_audio, service.noise_cv
            )
        case PictureService():
            return models.PictureService(service.per_step, service.base, service.noise_cv)
    assert service is not None
    assert not isinstance(service, BatchService)
    return models.DistributedService(service.build())


def batch_config(batching: Batching | None, service: Service | None) -> BatchConfig | None:
    """Return static batching, or None where a pool has none."""
    if batching is None:
        return None
    assert isinstance(service, BatchService)
    return BatchConfig(
        max_batch=batching.max_batch,
        max_wait_s=batching.max_wait,
        service=models.TokenBatches(service.tokens_per_second, service.base, service.noise_cv),
    )
