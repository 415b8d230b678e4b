"""What requests are like and who sends them, from their settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fedsim.scenario.configure.arrivals import arrival_process
from fedsim.scenario.schema.sizes import AnyTokens, TenantSettings
from fedsim.scenario.schema.sizes import Tokens as TokenSettings
from fedsim.scenario.schema.workload import NamedTenants as NamedTenantSettings
from fedsim.scenario.schema.workload import Stream
from fedsim.workload.sizes import Sizes
from fedsim.workload.superposition import Superposition
from fedsim.workload.tenants import NamedTenants, Senders, Tenant, Tenants
from fedsim.workload.tokens import Tokens, TokenSamples, TokenSource

if TYPE_CHECKING:
    from fedsim.scenario.schema.details import (
        ConversationSettings,
        PictureSettings,
        PrefixSettings,
    )
    from fedsim.workload.conversations import Conversation
    from fedsim.workload.pictures import PictureSizes
    from fedsim.workload.prefixes import Prefixes
    from fedsim.workload.traces.trace import Trace


def sizes(stream: Stream, samples: Mapping[str, Trace]) -> Sizes:
    """Return how large the requests of a stream are.

    Args:
        stream: The settings.
        samples: The traces that token counts are drawn from, by `TokenSample.key`.
    """
    return Sizes(
        tokens=Tokens() if stream.tokens is None else token_source(stream.tokens, samples),
        audio_s=None if stream.audio is None else stream.audio.length.build(),
        pictures=None if stream.pictures is None else _pictures(stream.pictures),
        prefixes=None if stream.prefixes is None else _prefixes(stream.prefixes),
    )


def token_source(tokens: AnyTokens, samples: Mapping[str, Trace]) -> TokenSource:
    """Return where token counts come from."""
    if isinstance(tokens, TokenSettings):
        return Tokens(
            None if tokens.prompt is None else tokens.prompt.build(),
            None if tokens.output is None else tokens.output.build(),
        )
    trace = samples[tokens.key]
    return TokenSamples(trace.prompt_tokens, trace.output_tokens)


def tenants(stream: Stream, samples: Mapping[str, Trace], until_s: float) -> Senders | None:
    """Return who sends the requests of a stream, or None for no tenant.

    Args:
        stream: The settings.
        samples: The traces that token counts are drawn from, by `TokenSample.key`.
        until_s: End of the arrivals in seconds, up to which shares follow from rates.
    """
    if isinstance(stream.tenants, TenantSettings):
        return Tenants(stream.tenants.count, stream.tenants.zipf)
    if stream.tenants is None:
        return None
    together = superposition(stream)
    shares = _shares(stream.tenants) if together is None else together.shares(until_s)
    return NamedTenants(
        tuple(
            Tenant(name, share, None if own.tokens is None else token_source(own.tokens, samples))
            for (name, own), share in zip(stream.tenants.items(), shares, strict=True)
        )
    )


def superposition(stream: Stream) -> Superposition | None:
    """Return the arrivals of all tenants together, or None where they share the stream's."""
    if stream.arrivals is not None:
        return None
    origins = stream.origins or {}
    return Superposition(
        tuple(
            (name, arrival_process(tenant.arrivals, origins, None))
            for name, tenant in stream.named_tenants.items()
            if tenant.arrivals is not None
        ),
        tuple(origins.values()),
    )


def conversation(settings: ConversationSettings | None) -> Conversation | None:
    """Return how the arrivals of a stream go on, or None for single requests."""
    if settings is None:
        return None
    from fedsim.workload.conversations import Conversation

    return Conversation(
        settings.turns.build(), settings.think.build(), settings.max_context, settings.block_tokens
    )


def _shares(settings: NamedTenantSettings) -> list[float]:
    return [1.0 if tenant.share is None else tenant.share for tenant in settings.values()]


def _pictures(settings: PictureSettings) -> PictureSizes:
    from fedsim.workload.pictures import PictureSizes

    return PictureSizes(
        steps=settings.steps.build(),
        images=settings.images.build(),
        models=settings.models.build(),
        adapters=None if settings.adapters is None else settings.adapters.build(),
    )


def _prefixes(settings: PrefixSettings) -> Prefixes:
    from fedsim.workload.prefixes import Prefixes

    return Prefixes(settings.count, settings.zipf, settings.tokens.build(), settings.block_tokens)
